"""Lines that are nearly a step's line, each with the right form."""

from __future__ import annotations

import re

from executor.plan.spec.lines import BLANK, DECO, title
from executor.plan.spec.markdown_blocks import CODE_INDENT, columns, hidden
from executor.plan.spec.marks import plain, split
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE_LENGTH = 80
_WORDS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_TYPOS = frozenset((b"steps", b"stpe", b"setp", b"tsep", b"stp", b"ste", b"tep", b"sttep", b"sstep", b"stepp", b"steo"))
_DONE = lazy_regex.pattern(rb"[xXvV]|\xe2\x9c[\x93\x94\x85]|\xe2\x88\x9a|\xe2\x98[\x91\x92]")
_NEAR = lazy_regex.pattern(
    rb"^(?:\xef\xbb\xbf)?[ \t>]*((?:[-*+]|\xe2\x80[\x93\x94\xa2]|\d{1,9}[.)])(?:" + BLANK + rb")*+)*+(" + DECO + rb"*?)"
    rb"(\\?\[[^\[\]\n]{0,5}\\?\]|\([ xX]?\)|\[[ xX]?|[ xX]?\]|\xe2\x98[\x90-\x92]|\xe2\x9c[\x85\x93\x94])?+" + BLANK
    + rb"*+(" + DECO + rb"*+)([a-z]{3,5})(?:" + BLANK + rb"|\\?[#_.:-]){0,4}+"
    rb"(\d{1,9}(?!\w|[.,\\-]?\d|\xe2\x80\x93)|" + "|".join(reversed(_WORDS)).encode() + rb")(?![a-z])([^\n]*)",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_LONG = lazy_regex.pattern(rb"[^\n]{500,}")  # no person's step, and what is nearly one is looked for in it at a price
_OF_MANY = lazy_regex.pattern(rb"/\d+")
_SEPARATORS = lazy_regex.pattern(rb"(?:[ \t]|\xc2\xa0|[*_:.)\]|-]|\xe2\x80[\x93\x94]|\xef\xbc\x9a)+")


class Near(Record):
    """A line that is nearly a step's line, and the form that is one."""

    line: int
    number: int
    form: str

    def __str__(self) -> str:
        """Return place, finding and correction."""
        return f"line {self.line} looks like step {self.number} but is not: write `{self.form}`"


def near(data: bytes, known: frozenset[int]) -> tuple[Near, ...]:
    """Return the lines that are nearly those of steps which have none; `known` are the steps that have one."""
    found: list[Near] = []
    line, at = 1, 0
    for match in _candidates(data):
        one = _near(match)
        if one and one.number not in known and match.start() >= at:
            line += data.count(b"\n", at, match.start())
            at = match.start()
            found.append(one.replace(line=line))
    return tuple(found)


def _candidates(data: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the candidates: lines of the text, and lines as deep as code, for a whole list may have been indented."""
    at = 0
    data = _LONG.sub(lambda line: b"x" * len(line[0]), data)
    for first, last in (*hidden(data), (len(data), len(data))):
        yield from _NEAR.finditer(data, at, first)
        if columns(data[first:last]) >= CODE_INDENT and data.count(b"\n", first, last) <= 1:
            yield from _NEAR.finditer(data, first, last)
        at = max(at, last)


def _near(match: re.Match[bytes]) -> Near | None:
    marker, before, box, deco, word, number, rest = match.groups()
    exact = number.isdigit() and word.lower() == b"step"
    if word.lower() != b"step" and word.lower() not in _TYPOS:
        return None
    is_bold, is_loud = b"*" in before + deco or b"__" in before + deco, exact and word == b"STEP"
    is_line = bool(marker) and (is_bold or is_loud)
    if not (box or is_line or (is_bold and is_loud and not _starts_heading(match))):
        return None
    count = int(number) if number.isdigit() else _WORDS.index(number.lower().decode()) + 1
    head, _, _ = split(_OF_MANY.sub(b"", rest.rstrip(b"\r"), count=1) if rest.startswith(b"/") else rest.rstrip(b"\r"))
    opening = _SEPARATORS.match(head)
    heading = plain(title(deco or None, opening[0] if opening else b"", head[opening.end() if opening else 0 :]))
    heading = heading if len(heading) <= TITLE_LENGTH else heading[: TITLE_LENGTH - 1].rstrip() + "…"
    state = "x" if box and _DONE.search(box) else " "
    return Near(0, count, f"- [{state}] **STEP {count}**: {heading}".rstrip())


def _starts_heading(match: re.Match[bytes]) -> bool:
    return match[0].lstrip(b" \t>").startswith(b"#")
