"""One reader of the lines of a Markdown file: list items with boxes and headings, by their bytes.

Items at the left margin are found by one pattern. From a line that may hide or nest items, lines are read one by one
by CommonMark's rules until an item or a heading stands at the margin again. An item that CommonMark may read otherwise
is kept and called ambiguous.
"""

from __future__ import annotations

import re
from functools import cache

from executor.plan.formats import markdown_regions as regions
from executor.plan.formats.markdown_items import BOX, HEAD, HEADING, REST, Context, Lines, patterns
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.markdown_items import Patterns
    from executor.plan.formats.markdown_regions import Region

_THEMATIC = lazy_regex.pattern(rb"([-*_])(?:[ \t]*\1){2,}[ \t\r]*$", re.MULTILINE)
_SETEXT = lazy_regex.pattern(rb"(?:=+|-+)[ \t\r]*$", re.MULTILINE)
_ATX = lazy_regex.pattern(rb"()()()()(\#{1,6})(?:[ \t]+([^\n]*)|(?=\r?$))", re.MULTILINE)  # the groups of `margin`
_STARTER = lazy_regex.pattern(rb"[-*+#<>`~\d]")
_MARK = lazy_regex.pattern(rb"([-*+]|\d{1,9}[.)])(?=[ \t\r\n]|\Z)")
_CHAIN = lazy_regex.pattern(rb"(?:(?:[-*+]|\d{1,9}[.)]|>)[ \t]*)*(?=(?:[-*+]|\d{1,9}[.)]))")  # markers before the last
_LINE = lazy_regex.pattern(rb"([ \t]*)([^\n]*)\n?")
_QUOTED = lazy_regex.pattern(rb"([ \t>]*)([^\n]+)\n?|\n")
_PLAIN_NESTED = lazy_regex.pattern(rb" +(?=[-*+] {1,4}\[[ xX]\](?:[ \t]|\r?$))", re.MULTILINE)
# Lines of notes below an item: bullets with a line of plain text, which hold no item and end with their line.
_NOTE = rb" {%d}- (?=[A-Za-z(]|_[A-Za-z])[^\n]*\n"
_USUAL_QUOTED = lazy_regex.pattern(rb"(?:> ?)+[-*+] {1,4}\[[^\]\n]\][ \t]")


def scan(data: bytes, head: bytes = b"", bare: bytes = b"", *, every: bool = False) -> Lines:
    """Return the items and headings of a file; `every` keeps list items without a box too.

    `head` is the pattern, without groups, of the ids that tasks of the format begin with; an item without a box is a
    task when its id matches `bare`.
    """
    lines = _scanned(Lines(data), patterns(head, bare), every=every)
    fences = [region for region in lines.regions if region.kind == "fence"]
    if any(one.is_unclosed for one in fences) and any(one.hidden for one in fences):
        lines = Lines(data)
        lines.has_doubtful_fences = True
        lines = _scanned(lines, patterns(head, bare), every=every)
    return lines


def _scanned(lines: Lines, wanted: Patterns, *, every: bool) -> Lines:
    data, margin, items, headings = lines.data, wanted.margin, lines.items, lines.headings
    front = regions.FRONT_MATTER.match(data)
    at = front.end() if front else 0
    if front:
        lines.regions.append(regions.Region("front matter", 0, at, hidden=True))
    if every or (not front and data.startswith(regions.BOM)):
        at = _Reader(lines, wanted, every=every).read(at, at)
    nested = _Nested(lines, wanted)
    while at < len(data):
        for match in margin.finditer(data, at):
            kind = match.lastindex
            if kind == REST:
                items.append(match)
            elif kind == HEADING:
                headings.append(match)
            elif not nested.add(match.start()):
                break
        else:
            return lines
        item = next((one.start() for one in reversed(items) if one.start() not in lines.contexts), 0)
        since = max(at, item, headings[-1].start() if headings else 0)
        at = _Reader(lines, wanted, every=every).read(since, match.start())
    return lines


class _Nested:
    """Plain items that are indented and follow a plain item: they need no reading of lines.

    Between the two stands nothing, or notes of the first one.
    """

    def __init__(self, lines: Lines, wanted: Patterns) -> None:
        self.lines, self.item = lines, wanted.item
        self.stack: list[tuple[int, int]] = []  # content column and offset of the open items

    def add(self, at: int) -> bool:
        """Keep the item on the line at this offset; return False when it is none of these."""
        lines, data = self.lines, self.lines.data
        last = lines.items[-1] if lines.items else None
        plain = _PLAIN_NESTED.match(data, at) if last and last.end() < at else None
        if last is None or plain is None:
            return False
        start, context = last.start(), lines.contexts.get(last.start())
        if context is None:
            self.stack = [(last.start(BOX) - 1 - start, start)]
        elif not self.stack or self.stack[-1][1] != start:
            return False
        indent = plain.end() - at
        if last.end() + 1 < at and not self._are_notes(last.end() + 1, at, indent):
            return False
        while self.stack and indent < self.stack[-1][0]:
            self.stack.pop()
        content, parent = self.stack[-1] if self.stack else (0, -1)
        item = self.item.match(data, plain.end())
        if item is None or indent - content >= regions.CODE_INDENT:
            return False
        self.stack.append((item.start(BOX) - 1 - at, item.start()))
        lines.contexts[item.start()] = Context(tuple([column for column, _ in self.stack]), parent)
        lines.items.append(item)
        return True

    def _are_notes(self, start: int, end: int, indent: int) -> bool:
        """Return True when the lines of a span are notes of the last item, and the next item is none of theirs."""
        column = self.stack[-1][0]
        return indent <= column and _notes(column).fullmatch(self.lines.data, start, end) is not None


@cache
def _notes(column: int) -> re.Pattern[bytes]:
    return re.compile(rb"(?:" + _NOTE % column + rb")+")


class _Reader:
    """Lines read one by one: the open list items and whether a paragraph is open."""

    def __init__(self, lines: Lines, wanted: Patterns, *, every: bool) -> None:
        self.lines, self.data, self.every = lines, lines.data, every
        self.wanted = wanted
        self.stack: list[tuple[int, int]] = []  # content column, offset of the item or -1
        self.is_text = False  # a paragraph is open
        self.is_empty = False  # the last line was a list marker alone
        self.is_uncertain = False  # whether a paragraph is open: behind a quote, or a block that may be text of it
        self.first = 0

    def read(self, at: int, first: int) -> int:
        """Read lines from `at`; return where plain lines go on. Items before `first` are known already."""
        self.first = first
        while at < len(self.data):
            if at > first and not self.every:
                match = self.wanted.margin.match(self.data, at)
                if match and match.lastindex in (REST, HEADING):
                    return at
            at = self._line(at)
        return at

    def _line(self, at: int) -> int:
        """Read one line or the region that begins on it; return where the next one begins."""
        begin = at + len(regions.BOM) if at == 0 and self.data.startswith(regions.BOM) else at
        line = _LINE.match(self.data, begin)
        if line is None or not line[2].strip():
            if self.is_empty and self.stack:
                self.stack.pop()
            self.is_text = self.is_empty = self.is_uncertain = False
            return line.end() if line else len(self.data)
        self.is_empty = False
        indent = regions.columns(line[1])
        depth = 0
        while depth < len(self.stack) and self.stack[depth][0] <= indent:
            depth += 1
        if indent - (self.stack[depth - 1][0] if depth else 0) < regions.CODE_INDENT:
            return self._block(begin, line, indent, depth)
        doubt = "goes on a paragraph" if self.is_text else "indented like code"
        begins = _STARTER.match(self.data, line.start(2)) is not None
        self.is_uncertain |= self.is_text and begins and depth < len(self.stack)
        if not self.is_text or begins:
            del self.stack[depth:]
        self._doubtful(line.start(2), doubt)
        return line.end()

    def _block(self, start: int, line: re.Match[bytes], column: int, depth: int) -> int:
        """Read what begins on a line that is no code by its indent."""
        at, end, was_text = line.start(2), line.end(), self.is_text
        # The paragraph is of this very block: few items may begin within it.
        goes_on = was_text and depth == len(self.stack) and not self.is_uncertain
        while True:
            region = self._region(start, at, depth, is_text=was_text and not self.is_uncertain)
            if region:
                if self.is_uncertain and region.kind == "HTML block":
                    self._check_html_behind_quote(region)
                del self.stack[depth:]
                return self._skip(region)
            marker = None if _THEMATIC.match(self.data, at) else _MARK.match(self.data, at, end)
            if marker is None or (goes_on and not self._interrupts(marker, end)):
                return self._text(at, end, depth, was_text=was_text and at == line.start(2))
            del self.stack[depth:]
            at, column, is_code = self._open(marker, column, end)
            depth, was_text, goes_on = len(self.stack), False, False
            if is_code or at >= end or not self.data[at:end].strip():
                self.is_text, self.is_empty = False, not is_code
                return end

    def _check_html_behind_quote(self, region: Region) -> None:
        """Doubt the whole file when what may be HTML, or the rest of a quote, holds the opener of another block."""
        text = self.data[regions.line_end(self.data, region.start) : region.end]
        if any(opener in text for opener in (b"```", b"~~~", b"<")):
            self.lines.file_doubt = "a quote is followed by tags that hold other blocks"

    def _interrupts(self, marker: re.Match[bytes], end: int) -> bool:
        """Return True where a list item may begin although a paragraph is open."""
        number = marker[1][:-1]
        return bool(self.data[marker.end() : end].strip()) and (not number or int(number) == 1)

    def _open(self, marker: re.Match[bytes], column: int, end: int) -> tuple[int, int, bool]:
        """Open a list item; return offset and column of its content, and whether that is code by its indent."""
        width = len(marker[1])
        blanks = _LINE.match(self.data, marker.end(), end)
        behind = blanks.start(2) if blanks else end
        content = regions.columns(self.data[marker.end() : behind], column + width)
        is_empty = not self.data[behind:end].strip()
        is_code = not is_empty and content - column - width > regions.CODE_INDENT
        if is_empty or is_code:
            content = column + width + 1
        kept = self._item(marker.start(), content, "five or more blanks behind its marker" if is_code else "")
        self.stack.append((content, kept))
        return behind, content, is_code

    def _text(self, at: int, end: int, depth: int, *, was_text: bool) -> int:
        heading = _ATX.match(self.data, at, end)
        is_rule = _THEMATIC.match(self.data, at) is not None
        if heading or is_rule:
            del self.stack[depth:]
            self.is_text = False
            if heading and at >= self.first:
                self.lines.headings.append(heading)
            return end
        if not was_text:
            del self.stack[depth:]
            self.is_uncertain = False
        self.is_text = not (was_text and depth == len(self.stack) and _SETEXT.match(self.data, at))
        self._doubtful(at, "goes on a paragraph" if was_text else "no list item for CommonMark")
        return end

    def _item(self, at: int, content: int, doubt: str) -> int:
        """Keep the item at this offset when it has a box or an id; return its offset, else -1."""
        match = self.wanted.item.match(self.data, at)
        if match is None or not (self.every or self.wanted.is_task(match)):
            return -1
        if at < self.first:
            return at
        behind = match.end(BOX) + 1 if match[BOX] is not None else match.start(HEAD if match[HEAD] else REST)
        next_byte = self.data[behind : behind + 1]
        if not doubt and match[BOX] is not None and next_byte not in (b" ", b"\t", b"\r", b"\n", b"", b"*"):
            doubt = "no blank behind its box"
        parent = next((offset for _, offset in reversed(self.stack) if offset >= 0), -1)
        held = (*(column for column, _ in self.stack), content)
        self.lines.contexts[at] = Context(held, parent, doubt)
        self.lines.items.append(match)
        return at

    def _doubtful(self, at: int, doubt: str, *, quoted: bool = False) -> None:
        """Keep a line as an ambiguous item when it looks like a task."""
        chain = _CHAIN.match(self.data, at)
        match = self.wanted.item.match(self.data, chain.end() if chain else at)
        if at >= self.first and match and match[BOX] is not None and self.wanted.is_task(match):
            self.lines.contexts[match.start()] = Context((), -1, doubt, quoted=quoted)
            self.lines.items.append(match)

    def _region(self, start: int, at: int, depth: int, *, is_text: bool) -> Region | None:
        base = self.stack[depth - 1][0] if depth else 0
        byte = self.data[at : at + 1]
        if byte in (b"`", b"~"):
            opener = regions.FENCE.match(self.data, at)
            return regions.fence(self.data, start, opener, base) if opener else None
        if byte == b"<":
            return regions.html(self.data, start, at, base, is_text=is_text)
        return regions.quote(self.data, at, base) if byte == b">" else None

    def _skip(self, region: Region) -> int:
        """Pass over a region; its items are dropped where it hides them, else ambiguous."""
        quoted, stack = region.kind == "quote", len(self.stack)
        self.is_text, self.is_uncertain = region.is_text, quoted
        self.lines.regions.append(region)
        if region.hidden and not (region.kind == "fence" and self.lines.has_doubtful_fences):
            return region.end
        for line in _QUOTED.finditer(self.data, region.start, region.end):
            if line[2] is None:
                continue
            usual = quoted and not stack and not region.doubt and _USUAL_QUOTED.match(self.data, line.start())
            doubt = region.doubt or ("in a quote" if quoted else "in a fence, while another never closes")
            self._doubtful(line.start(2), "" if usual else doubt, quoted=quoted)
        return region.end
