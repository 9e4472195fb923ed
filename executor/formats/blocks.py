"""Which parts of a Markdown file are text: not fenced code, not HTML comments."""

from __future__ import annotations

import re

from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

BOM = b"\xef\xbb\xbf"
MARKER = rb"(?:[-*+]|\d{1,9}[.)])"
CODE_INDENT = 4
# A line as far as blocks go: its blanks, its list markers, what opens or closes a block, the rest.
_LINE = rb"([ \t]*)((?:" + MARKER + rb"(?:[ \t]+|(?=\r?\n)))*)(`{3,}|~{3,}|<!--)?([^\n]*)\n?"


def columns(text: bytes) -> int:
    return len(text[: len(text) - len(text.lstrip(b" \t"))].expandtabs(4))


def visible(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    if b"```" in data or b"~~~" in data or b"<!--" in data:
        for first, last in _hidden(data):
            yield at, first
            at = last
    yield at, len(data)


class _Block(Value):
    """An open fence or comment: `base` is the content column of the list item that holds it."""

    base: int
    indent: int
    opener: bytes
    start: int


def _hidden(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield fences and comments by CommonMark's rules; inside a list any indentation opens one."""
    items: list[int] = []
    block: _Block | None = None
    for line in re.compile(_LINE).finditer(data, len(BOM) if data.startswith(BOM) else 0):
        blank = not (line[2] or line[3] or line[4].strip())
        if block and not blank and columns(line[1] + b".") < block.base:
            yield block.start, line.start()
            block = None
        ends = _closes(line, block) if block else line[3] == b"<!--" and b"-->" in line[3][2:] + line[4]
        block = block or (None if blank else _opened(line, items))
        if block and ends:
            yield block.start, line.end()
            block = None
    if block:
        yield block.start, len(data)


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
