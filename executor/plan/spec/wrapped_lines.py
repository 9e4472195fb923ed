"""A step's line that a tool has wrapped over several, or joined with the text under it."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from executor.plan.spec.markdown_blocks import MARKER, visible
from executor.plan.spec.marks import GLYPH, NOTE_LENGTH, WRAP, Mark, read
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    # What stands before the mark, the blanks behind it, the mark, the offset of its end.
    Ending = tuple[bytes, bytes, Mark | None, int]

# A suffix without its end, over as many lines as a tool made of it.
WRAPPED = lazy_regex.pattern(
    rb"("
    + GLYPH
    + rb")(?:\xef\xb8\x8f)?"
    + WRAP
    + rb"*(by"
    + WRAP
    + rb"+hand|Failed|started|rechecked|)"
    + WRAP
    + rb"*"
    rb"(?:\\?\[task\\?_id:" + WRAP + rb"*((?:[\w.:-]|\\_)+)\\?\]" + WRAP + rb"*)?"
    rb"\\?\[(\d{4}-\d\d-\d\d(?:(?:T|" + WRAP + rb"+)\d\d:\d\d[\d:.+Zz-]*)?)\\?\]"
    rb"(?:" + WRAP + rb"*\(([^()\[\]]*)\))?((?!))?"
)
# A line that begins something else than the text before it.
_OTHER = lazy_regex.pattern(
    rb"[ \t>]*(?:\r*(?:\n|\Z)|#{1,6}(?:[ \t\r\n]|\Z)|`{3}|~{3}|\||=+[ \t\r]*(?:\n|\Z)|<!--|<[!?]"
    rb"|</?(?:address|blockquote|details|div|dl|h[1-6]|hr|li|ol|p|pre|script|style|summary|table|ul)\b"
    rb"|" + MARKER + rb"(?:[ \t]|\r*(?:\n|\Z))|(?:[*_-][ \t]*){3,}\r*(?:\n|\Z))",
    re.IGNORECASE,
)
# A link and code are not broken.
_FIRST_WORD = lazy_regex.pattern(rb"[ \t>]*((?:!?\[[^\]\n]*\]\([^)\n]*\)|`[^`\n]*`)?[^ \t\r\n]*)")
_PROSE = lazy_regex.pattern(rb"[ \t]+(?:\w|[\xc3-\xe1\xe3-\xf4])(?:(?!\xe2(?:\x9c[\x93\x97]|\x8f\xb3))[^\n])*\Z")
_DATED = lazy_regex.pattern(rb"\\?\[\d{4}-\d\d-\d\d[^\[\]\n]*\]")
_NO_REASON = lazy_regex.pattern(rb"[\[\]]|\xe2(?:\x9c[\x93\x97]|\x8f\xb3)")
# Wide characters are counted by some tools as two columns, by some as one.
SLACK = 3
NARROWEST = 40  # columns of a page; what is narrower was broken by a person
FOR_A_REASON, FOR_A_TITLE = 2, 3  # breaks at one width that show a wrapped file


class _Breaks(Record):
    """The widths at which lines were broken: each line had `least` columns, and its next word had no room in `most`."""

    least: int
    most: int

    def with_(self, width: int, wanted: int) -> _Breaks:
        return _Breaks(max(self.least, width), min(self.most, wanted))

    @property
    def are_one(self) -> bool:
        """Return True when one width of page explains them all."""
        return self.least < self.most + SLACK


_ANY = _Breaks(0, 1 << 30)


def goes_on(data: bytes, at: int) -> bool:
    """Return True when the text of the line that ends at this offset goes on in the next."""
    return data[at : at + 1] == b"\n" and not _OTHER.match(data, at + 1)


def paragraph_end(data: bytes, at: int) -> int:
    """Return the end of the paragraph whose first line ends at this offset, without the end of line."""
    while goes_on(data, at):
        at = data.find(b"\n", at + 1)
        if at < 0:
            return len(data)
    return at


def ending(data: bytes, start: int, at: int, own: tuple[str, tuple[str, ...]]) -> Ending | None:
    """Return the end of the item whose title begins at `at`, in the line from `start`; None without a mark.

    `own` is how the step's own task ids begin, and the kinds of mark that its box calls for: only such a mark is known
    when more text stands behind it.
    """
    eol = data.find(b"\n", at)
    text = data[at : paragraph_end(data, eol) if eol >= 0 else len(data)]
    begun = before = -1
    for match in WRAPPED.finditer(text):
        mark = read(match)
        is_sure = mark and (mark.task_id or match[2] or b"\n" not in text[: match.start()])
        if mark is None or not is_sure or _in_code(text[: match.start()]):
            begun = -1
            continue
        gap = text[before : match.start()].strip()
        is_stacked = begun >= 0 and (not gap or (gap.startswith(b":") and not _NO_REASON.search(gap)))
        begun = begun if is_stacked else match.start()
        before = match.end()
        if found := _ended(text, match, mark, begun, own) or _reasoned(data[start:at], text, match, begun, data):
            head, tail, mark, end = found
            return head, tail, mark, at + end
    return None


def without_break(head: bytes) -> bytes:
    """Return the text before a mark, without the end of line that a tool put between."""
    first, eol, last = head.rpartition(b"\n")
    return first.rstrip(b"\r") if eol and not last.strip(b" \t>") else head


def whole_title(data: bytes, start: int, at: int, eol: int) -> bytes:
    """Return the title that begins at `at`, with the lines over which a tool has wrapped it, and no more."""
    lines = data[start : paragraph_end(data, eol)].split(b"\n")
    known, breaks = _of_file(data)
    more = _most(lines, 0, known) if breaks >= FOR_A_TITLE else 0
    end = start + len(b"\n".join(lines[: more + 1]))
    return data[at:end].rstrip(b"\r")


def _in_code(before: bytes) -> bool:
    return before.count(b"`") % 2 == 1


def _ended(
    text: bytes, match: re.Match[bytes], mark: Mark, begun: int, own: tuple[str, tuple[str, ...]]
) -> Ending | None:
    """Return the ending when the mark is the last of its line, or differs clearly from the text behind it."""
    behind = text[match.end() : _line_end(text, match.end())].rstrip(b"\r")
    head, end = text[: begun - (text[begun - 1 : begun] in (b" ", b"\t"))], match.end() + len(behind)
    if not behind.strip(b" \t"):
        return head, behind, mark, end
    is_own = mark.task_id.startswith(own[0]) and mark.kind in own[1]
    return (head + behind, b"", mark, end) if is_own and _PROSE.match(behind) else None


def _reasoned(line: bytes, text: bytes, match: re.Match[bytes], begun: int, data: bytes) -> Ending | None:
    """Return the ending when a reason stands behind the mark; `line` is what stands before the text in its line."""
    at = match.end() + len(text[match.end() :]) - len(text[match.end() :].lstrip(b" \t"))
    if not match[2] or text[at : at + 1] != b":":
        return None
    first = (line + text[:at]).count(b"\n")
    lines = (line + text).split(b"\n")
    known, breaks = (_folded(lines[: first + 1]), FOR_A_REASON) if first else _of_file(data)
    # Behind a colon there is a reason: when its line has none, the next begins it.
    least = int(not text[at + 1 : _line_end(text, at)].strip() and b"\n" in text[at:])
    most = _most(lines, first, known) if breaks >= FOR_A_REASON else 0
    for more in range(max(least, most), least - 1, -1):
        end = at
        for _ in range(more + 1):
            end = _line_end(text, end + (text[end : end + 1] == b"\n"))
        reason = text[at + 1 : end].rstrip(b" \t\r")
        mark = None if _NO_REASON.search(reason) else read(match, reason)
        if mark and (not more or len(mark.note) <= NOTE_LENGTH):
            tail = text[at + 1 + len(reason) : end].rstrip(b"\r")
            head = text[: begun - (text[begun - 1 : begun] in (b" ", b"\t"))]
            return head, tail, mark, at + 1 + len(reason) + len(tail)
    return None


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return end if end >= 0 else len(text)


def _most(lines: list[bytes], first: int, known: _Breaks) -> int:
    """Return the number of further lines that the reason on line `first` may have by wrapping."""
    count = 0
    while known.are_one and first + count + 1 < len(lines):
        line, following = lines[first + count], lines[first + count + 1]
        known = known.with_(*_break(line, following))
        if not known.are_one or _is_hard(line) or _width(following) >= known.most + SLACK:
            break
        count += 1
    return count


def _folded(lines: list[bytes]) -> _Breaks:
    known = _ANY
    for line, following in pairwise(lines):
        known = known.with_(*_break(line, following))
    return known


def _break(line: bytes, following: bytes) -> tuple[int, int]:
    word = _FIRST_WORD.match(following)
    return _width(line), _width(line) + 1 + (_width(word[1]) if word else 0)


def _width(line: bytes) -> int:
    return len(str(line.rstrip(b" \t\r"), "utf-8", "replace").expandtabs(4))


def _is_hard(line: bytes) -> bool:
    return line.rstrip(b"\r").endswith((b"  ", b"\\"))


@lru_cache(maxsize=1)
def _of_file(data: bytes) -> tuple[_Breaks, int]:
    """Return the width at which the whole file was wrapped, and how many breaks show it.

    Lines with a whole mark show none: what stands under them may be a person's.
    """
    known, longest, breaks = _ANY, 0, 0
    for line, following in _texts(data):
        if not _DATED.search(line):
            longest = max(longest, _width(line))
            if following and not _is_hard(line):
                known, breaks = known.with_(*_break(line, following)), breaks + 1
    is_one = known.least >= NARROWEST and longest < known.most + SLACK
    return known, breaks if is_one else 0


def _texts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each line of text with the one on which it goes on, empty when it ends; no headings, no tables."""
    for first, last in visible(data):
        lines = data[first:last].split(b"\n")
        for at, line in enumerate(lines):
            following = lines[at + 1] if at + 1 < len(lines) else b""
            if line.strip() and not line.lstrip(b" \t>").startswith((b"#", b"|", b"<")):
                yield line, b"" if _OTHER.match(following) else following
