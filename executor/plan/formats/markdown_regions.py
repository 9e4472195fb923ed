"""Regions of Markdown that hide list items: fenced code, HTML blocks, front matter. Each ends by CommonMark's rules."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.records import Record

BOM = b"\xef\xbb\xbf"
TAB = 4
CODE_INDENT = 4
FRONT_MATTER = lazy_regex.pattern(
    rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(?:(?:[ \t]*(?:\#[^\n]*|[\w.-]+[ \t]*:[^\n]*|- [^\[\n][^\n]*)?)\r?\n)*+"
    rb"(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)"
)
FENCE = lazy_regex.pattern(rb"(`{3,})([^`\n]*)$|(~{3,})([^\n]*)$", re.MULTILINE)
_LINE = lazy_regex.pattern(rb"([ \t]*)([^\n]*)\n?")
_MARKERS = lazy_regex.pattern(rb"\A(?:[> \t]|(?:[-*+]|\d{1,9}[.)])(?=[ \t]|\Z))+")
_BLOCK_TAGS = (
    b"address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt"
    b"|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu"
    b"|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr"
    b"|track|ul|source"
)
# An HTML block: how its first line begins, and what its last line holds; None is a blank line.
_HTML: tuple[tuple[re.Pattern[bytes], re.Pattern[bytes] | None], ...] = (
    (lazy_regex.pattern(rb"<!--"), lazy_regex.pattern(rb"-->")),
    (lazy_regex.pattern(rb"<(?:script|pre|style|textarea)(?=\s|>|\Z)", re.IGNORECASE),
     lazy_regex.pattern(rb"</(?:script|pre|style|textarea)>", re.IGNORECASE)),
    (lazy_regex.pattern(rb"<\?"), lazy_regex.pattern(rb"\?>")),
    (lazy_regex.pattern(rb"<![A-Za-z]"), lazy_regex.pattern(rb">")),
    (lazy_regex.pattern(rb"<!\[CDATA\["), lazy_regex.pattern(rb"\]\]>")),
    (lazy_regex.pattern(rb"</?(?:" + _BLOCK_TAGS + rb")(?=\s|/?>|\Z)", re.IGNORECASE), None),
    (lazy_regex.pattern(rb"</?[A-Za-z][\w-]*(?:[ \t/][^<>\n]*)?>[ \t\r]*$", re.MULTILINE), None),
)  # fmt: skip


class Region(Record):
    """Bytes that belong to one block. `hidden` says that its items are no tasks; `doubt` is why they may be some."""

    kind: str  # front matter, fence, comment, HTML block, quote
    start: int
    end: int
    hidden: bool = False
    doubt: str = ""
    is_unclosed: bool = False
    is_text: bool = False  # ends with a paragraph that the next line may go on


def columns(blanks: bytes, start: int = 0) -> int:
    """Return the column behind these blanks, which begin at column `start`; tabs go to multiples of four."""
    if b"\t" not in blanks:
        return start + len(blanks)
    for blank in blanks:
        start += TAB - start % TAB if blank == 9 else 1
    return start


def line_end(data: bytes, at: int) -> int:
    """Return the offset behind the line that holds `at`, its newline included."""
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end + 1


def fence(data: bytes, start: int, opener: re.Match[bytes], base: int) -> Region:
    """Return the region of a fence whose opener is given; `base` is the content column of the item that holds it."""
    marks = opener[1] or opener[3]
    inner, at = 0, line_end(data, opener.end())
    while at < len(data):
        line = _LINE.match(data, at)
        text = line[2].rstrip() if line else b""
        if line is None or (text and columns(line[1]) < base):
            return Region("fence", start, at, hidden=not inner, doubt=_doubt(inner), is_unclosed=inner > 0)
        if text.startswith(marks) and columns(line[1]) - base < CODE_INDENT:
            if not text.strip(marks[:1]):
                return Region("fence", start, line.end(), hidden=not inner, doubt=_doubt(inner))
            inner = inner or at
        at = line.end()
    return Region("fence", start, len(data), doubt="in a fence that never closes", is_unclosed=True)


def _doubt(inner: int) -> str:
    return "in a fence that holds the opener of another: one of them may never close" if inner else ""


def html(data: bytes, start: int, at: int, base: int, *, is_text: bool) -> Region | None:
    """Return the region of the HTML block that begins at `at`; None when none does.

    A tag of the last kind begins none while a paragraph is open.
    """
    kinds = _HTML[:-1] if is_text else _HTML
    found = next((end for begin, end in kinds if begin.match(data, at)), _HTML)
    if isinstance(found, tuple):
        return None
    kind = "comment" if data.startswith(b"<!--", at) else "HTML block"
    end, closed, has_blank = _html_end(data, at, base, found)
    if kind == "comment" and closed and not (base and has_blank):
        return Region(kind, start, end, hidden=True)
    if closed or found is None:
        return Region(kind, start, end, doubt=f"in a{'n' * (kind != 'comment')} {kind}")
    return Region(kind, start, end, doubt=f"in a{'n' * (kind != 'comment')} {kind} that never closes", is_unclosed=True)


def _html_end(data: bytes, at: int, base: int, last: re.Pattern[bytes] | None) -> tuple[int, bool, bool]:
    """Return the end of an HTML block, whether it is closed, and whether it holds a blank line."""
    has_blank, first = False, True
    while at < len(data):
        end = line_end(data, at)
        text = data[at:end]
        blank = not text.strip()
        has_blank = has_blank or blank
        if (blank and last is None) or (not blank and not first and _indent(text) < base):
            return at, last is None, has_blank
        if last and last.search(text):
            return end, True, has_blank
        at, first = end, False
    return at, last is None, has_blank


def _indent(text: bytes) -> int:
    return columns(text[: len(text) - len(text.lstrip(b" \t"))])


def quote(data: bytes, start: int, base: int) -> Region:
    """Return the region of the lines that follow one another with a `>`, none of them left of column `base`."""
    at = line_end(data, start)
    while (line := _LINE.match(data, at)) and line[2].startswith(b">") and columns(line[1]) >= base:
        at = line.end()
    text = data[start:at]
    last = _MARKERS.sub(b"", text.rstrip(b"\r\n").rpartition(b"\n")[2]).strip()
    goes_on = bool(last) and not last.startswith((b"#", b"---", b"***", b"___"))
    odd = b"```" in text or b"~~~" in text or b"<" in text or b"\t" in text
    return Region(
        "quote", start, at, doubt="in a quote that holds other blocks" if odd else "", is_text=goes_on and not odd
    )
