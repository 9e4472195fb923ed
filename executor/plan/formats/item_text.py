"""The text of a list item: its title over several lines, and all that stands under it."""

from __future__ import annotations

import re

from executor.plan.formats.markdown_regions import CODE_INDENT, columns
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.markdown_items import Lines

_LINE = lazy_regex.pattern(rb"([ \t]*)([^\n]*)\n?")
# A line that begins another block, so that no paragraph goes on there.
BLOCK = lazy_regex.pattern(
    rb"(?:[-*+]|\d{1,9}[.)])(?:[ \t\r]|\Z)|\#{1,6}(?:[ \t\r]|\Z)|```|~~~|>|<[A-Za-z/!?]|(?:[-_*][ \t]*){3,}\r?\Z"
)
# A line of which it is not certain what it makes of the paragraph before it.
_DOUBTFUL = lazy_regex.pattern(rb"=+[ \t\r]*\Z|-+[ \t\r]*\Z|\||<|\[[^\]\n]*\]:|(?:[-*+]|\d+[.)])")

ITEM_BOX = lazy_regex.pattern(rb"^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]*)+)\[[^\]\n]{0,8}\]", re.MULTILINE)
CHILD = lazy_regex.pattern(rb"^[ \t]+(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[^\]\n]{0,8}\][ \t]*)?([^\n]*)", re.MULTILINE)
CHILD_BOX = lazy_regex.pattern(rb"^[ \t]+(?:[-*+]|\d{1,9}[.)])[ \t]+\[[^\]\n]{0,4}\][ \t]+([^\n]*)", re.MULTILINE)


def paragraph_end(lines: Lines, start: int) -> tuple[int, bool]:
    """Return the offset behind the text of an item, which may wrap, and whether that end is certain.

    `start` is the offset of the item. The end of its last line is no part of its text.
    """
    data = lines.data
    context = lines.contexts.get(start)
    held = context.columns if context and context.columns else (start - lines.line_start(start) + 2,)
    is_certain = not (context and context.quoted)
    end = _text_end(data, start)
    at = data.find(b"\n", start) + 1
    while at and (line := _LINE.match(data, at)) and line[2].strip():
        indent = columns(line[1])
        base = max((column for column in held if column <= indent), default=0)
        is_deep = indent - base >= CODE_INDENT
        if not is_deep and BLOCK.match(line[2]):
            may_go_on = line[2][:1] == b"<" or (line[2][:1].isdigit() and indent >= held[-1])
            return end, is_certain and not may_go_on
        may_begin_a_block = is_deep and indent < held[-1] and BLOCK.match(line[2])
        is_certain = is_certain and not may_begin_a_block and not _DOUBTFUL.match(line[2])
        end = _text_end(data, at)
        at = line.end() if data[line.end() - 1 : line.end()] == b"\n" else 0
    return end, is_certain


def _text_end(data: bytes, at: int) -> int:
    """Return the offset behind the last byte of a line that is no blank and no end of line."""
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end
    while end > at and data[end - 1] in b" \t\r":
        end -= 1
    return end


def block_end(lines: Lines, start: int, limit: int) -> int:
    """Return the offset behind all that stands under an item, at most `limit`."""
    data, end = lines.data, paragraph_end(lines, start)[0]
    first = lines.line_start(start)
    own = columns(data[first:start]) if not data[first:start].strip(b" \t") else start - first
    at = data.find(b"\n", end) + 1
    while 0 < at < limit and (line := _LINE.match(data, at)):
        if line[2].strip():
            if columns(line[1]) <= own:
                break
            end = _text_end(data, at)
        at = line.end() if line.end() > at else limit
    return min(end, limit)


def decoded(raw: bytes) -> str:
    """Return bytes as text; what is no UTF-8 becomes a replacement character."""
    return str(raw, "utf-8", "replace")


def one_line(raw: bytes) -> str:
    """Return text that may wrap as one line."""
    return " ".join(decoded(raw).split())


def without_boxes(raw: bytes) -> bytes:
    """Return text without the boxes of the items in it; its first line begins behind its own."""
    first, newline, under = raw.partition(b"\n")
    return first + newline + (ITEM_BOX.sub(rb"\1", under) if b"[" in under else under)
