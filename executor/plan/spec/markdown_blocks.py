"""Which parts of a Markdown file are text: not fenced code, not HTML comments."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

BOM = b"\xef\xbb\xbf"
MARKER = rb"(?:[-*+]|\d{1,9}[.)])"
CODE_INDENT = 4
# The block of keys that some tools keep before the text; a rule with steps under it is none.
_KEYS = lazy_regex.pattern(
    rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(?:[ \t]*(?:#[^\n]*|[\w.-]+[ \t]*:[^\n]*|- [^\[\n][^\n]*)?\r?\n)*+"
    rb"---[ \t]*(?:\r?\n|\Z)"
)
# Where code by its indent may begin: behind a blank line, or at once.
_DEEP = tuple(before + deep for before in (b"\n\n", b"\n\r\n", b" \n", b"\t\n", b" \r\n") for deep in (b"    ", b"\t"))
# A line as far as blocks go: its blanks, its list markers, what opens or closes a block, the rest.
_LINE = rb"([ \t]*)((?:" + MARKER + rb"(?:[ \t]+|(?=\r?\n)))*)(`{3,}|~{3,}|<!--)?([^\n]*)\n?"


def columns(text: bytes) -> int:
    return len(text[: len(text) - len(text.lstrip(b" \t"))].expandtabs(4))


def visible(data: bytes) -> Iterator[tuple[int, int]]:
    keys = _KEYS.match(data) if data.startswith((b"---", BOM)) else None
    at = keys.end() if keys else 0
    if b"```" in data or b"~~~" in data or b"<!--" in data or _may_have_code(data):
        for first, last in hidden(data):
            if first > at:
                yield at, first
            at = max(at, last)
    yield at, len(data)


def _may_have_code(data: bytes) -> bool:
    """Return True when a line is as deep as code behind a blank one, as few files have it."""
    if data[:1] in (b" ", b"\t", b"\n", b"\r", b"\xef"):
        return True
    return (b"\n    " in data or b"\n\t" in data) and any(piece in data for piece in _DEEP)


class _Block(Record):
    """An open fence or comment: `base` is the content column of the list item that holds it."""

    base: int
    indent: int
    opener: bytes
    start: int


def hidden(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield fences, comments and indented code by CommonMark's rules; inside a list any indentation opens a fence."""
    items: list[int] = []
    block: _Block | None = None
    may_be_code = True  # behind a blank line, or behind such code
    for line in re.compile(_LINE).finditer(data, len(BOM) if data.startswith(BOM) else 0):
        blank = not (line[2] or line[3] or line[4].strip())
        if block and not blank and columns(line[1] + b".") < block.base:
            yield block.start, line.start()
            block = None
        if not block and may_be_code and not blank and _is_code(line, items):
            yield line.span()
            continue
        may_be_code = blank
        ends = _closes(line, block) if block else line[3] == b"<!--" and b"-->" in line[3][2:] + line[4]
        block = block or (None if blank else _opened(line, items))
        if block and ends:
            yield block.start, line.end()
            block = None
    if block:
        yield block.start, len(data)


def _is_code(line: re.Match[bytes], items: list[int]) -> bool:
    """Return True for a line as deep as code that belongs to no list item."""
    indent = columns(line[1] + b".")
    return indent >= CODE_INDENT and not any(indent >= item for item in items)


def _opened(line: re.Match[bytes], items: list[int]) -> _Block | None:
    """Return the block that begins on this line; keep the columns of the open list items."""
    blanks, markers, opener, rest = line.groups()
    indent = columns(blanks + b".")
    while items and indent < items[-1]:
        items.pop()
    if markers:
        indent = len((blanks + markers).expandtabs(4)) + (not markers.endswith((b" ", b"\t")))
        items.append(indent)
    is_code = not items and indent >= CODE_INDENT
    if opener is None or is_code or (opener.startswith(b"`") and b"`" in rest):
        return None
    return _Block(items[-1] if items else 0, indent, opener, line.start())


def _closes(line: re.Match[bytes], block: _Block) -> bool:
    blanks, markers, fence, rest = line.groups()
    if block.opener == b"<!--":
        return b"-->" in line[0]
    near = columns(blanks + b".") < max(block.base + CODE_INDENT, block.indent + 1)
    return near and not markers and fence is not None and fence.startswith(block.opener) and not rest.strip()
