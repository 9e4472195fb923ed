"""Items and headings of a Markdown file as patterns match them, with their lines, sections and doubts."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache, cached_property

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.plan.formats.markdown_regions import Region

MARKER, BOX, HEAD, REST, HASHES, HEADING = 1, 2, 3, 4, 5, 6  # groups of the pattern; HASHES and HEADING of headings
_BLANK = rb"(?:[ \t]|\xc2\xa0|\xe2\x80[\x80-\x8b\xaf]|\xe3\x80\x80)"
_LOOSE_BOX = rb"\[[^\]\n]{0,8}\](?![(:])"
_STEP = rb"(?:[-*+]|\d{1,9}[.)])"
_LABEL = lazy_regex.pattern(rb"[A-WYZ]|\d+|(?=[^\]]*[A-Za-z])[^\]]*[A-Za-z\d][^\]]+|[^\]]+[A-Za-z]")


class Patterns(Record):
    """The patterns of a format: lines at the margin, and one item of any form."""

    margin: re.Pattern[bytes]
    item: re.Pattern[bytes]
    bare: re.Pattern[bytes]

    def is_task(self, match: re.Match[bytes]) -> bool:
        """Return True for an item with a box or an id; `[P]` and `[Story]` without an id are labels, no boxes."""
        box, head = match[BOX], match[HEAD]
        if box is None:
            return head is not None and self.bare.match(match.string, match.start(HEAD)) is not None
        return head is not None or not _LABEL.fullmatch(box.strip())


@cache
def patterns(head: bytes, bare: bytes) -> Patterns:
    """Return the patterns for a format whose task ids match `head`; those that match `bare` need no box."""
    none, bare = head or rb"(?!)", bare or rb"(?!)"
    behind = rb"(?:[ \t]+(" + none + rb")?|(?=\r?$))([^\n]*)"
    margin = (
        rb"^(?:([-*+]) {1,4}\[([ xX])\]" + behind + rb"|(\#{1,6})[ \t]([^\n]*)"
        rb"|((?=[ \t]*(?:```|~~~|[<>\#]|"
        + _STEP
        + _BLANK
        + rb"*+(?:"
        + _LOOSE_BOX
        + rb"|>|"
        + _STEP
        + rb"[ \t]|"
        + bare
        + rb")))))"
    )
    item = (
        rb"(" + _STEP + rb")" + _BLANK + rb"*+(?:\[([^\]\n]{0,8})\](?![(:])(?:\\?\*(?=[ \t]))?" + _BLANK + rb"*+)?("
        + none + rb")?([^\n]*)((?!))?((?!))?"  # the groups of a heading, always absent
    )  # fmt: skip
    return Patterns(re.compile(margin, re.MULTILINE), re.compile(item, re.MULTILINE), re.compile(bare))


class Context:
    """The place of an item that is not at the margin, or is not plain.

    `columns` are the content columns of the items that hold it, its own last; `parent` is the offset of the item that
    holds it, -1 for none; `doubt` says why CommonMark may read the line otherwise.
    """

    __slots__ = ("columns", "doubt", "parent", "quoted")

    def __init__(self, columns: tuple[int, ...], parent: int, doubt: str = "", *, quoted: bool = False) -> None:
        self.columns, self.parent, self.doubt, self.quoted = columns, parent, doubt, quoted


class Lines:
    """Items, headings and regions of one file. `contexts` holds what differs from a plain item at the margin."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.items: list[re.Match[bytes]] = []
        self.headings: list[re.Match[bytes]] = []
        self.contexts: dict[int, Context] = {}  # by the offset of the item
        self._chains: dict[int, tuple[re.Match[bytes], ...]] = {}
        self.regions: list[Region] = []
        self.has_doubtful_fences = False  # a fence never closes, so that any other may be read the wrong way round
        self.file_doubt = ""
        if b"\r" in data and re.search(rb"\r(?!\n)", data):
            self.file_doubt = "the file has carriage returns that end no line"

    @cached_property
    def _newlines(self) -> list[int]:
        return [match.start() for match in re.finditer(rb"\n", self.data)]

    @cached_property
    def _heading_starts(self) -> list[int]:
        return [match.start() for match in self.headings]

    def line_of(self, offset: int) -> int:
        """Return the number of the line that holds this offset, from 1."""
        return bisect_right(self._newlines, offset - 1) + 1

    def headings_over(self, offset: int) -> tuple[re.Match[bytes], ...]:
        """Return the headings over an offset: the nearest, and those of higher levels that hold it, highest first."""
        return self._chain(bisect_right(self._heading_starts, offset) - 1)

    def _chain(self, last: int) -> tuple[re.Match[bytes], ...]:
        if last not in self._chains:
            found, level = [], 7
            for index in range(last, -1, -1):
                match = self.headings[index]
                if len(match[HASHES]) < level:
                    found.append(match)
                    level = len(match[HASHES])
                if level == 1:
                    break
            self._chains[last] = tuple(reversed(found))
        return self._chains[last]

    def doubt(self, offset: int) -> str:
        """Return the reason for which the item at this offset is ambiguous, "" when it is not."""
        found = self.contexts.get(offset)
        return self.file_doubt or (found.doubt if found else "")

    def parent(self, offset: int) -> int:
        """Return the offset of the item that holds the one at this offset, -1 for none."""
        found = self.contexts.get(offset)
        return found.parent if found else -1

    def line_start(self, offset: int) -> int:
        """Return the offset of the first byte of the line that holds this offset."""
        return self.data.rfind(b"\n", 0, offset) + 1


def heading_text(match: re.Match[bytes]) -> str:
    """Return the text of a heading without closing hashes."""
    raw = match[HEADING] or b""
    return re.sub(r"[ \t]+#+$", "", str(raw, "utf-8", "replace").strip(" \t\r\n"))
