"""Tasks of spec-kit that are headings: `### T001: Title ✅ COMPLETE`, or `#### Task 1.1: Title` with an `**ID**`."""

from __future__ import annotations

import re

from executor.plan.formats.item_text import decoded
from executor.plan.formats.markdown_items import HASHES, HEADING
from executor.plan.formats.model import DONE, OPEN, STARTED
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.plan.formats.markdown_items import Lines

ID = r"(?:(?!T\d)[A-Z][A-Z0-9]{0,7}-)?(?:TASK|T)-?\d{1,5}[A-Za-z]?(?:\.\d+)*(?![A-Za-z0-9])"
DONE_SIGN = " ✅ COMPLETE".encode()
_TITLE = lazy_regex.pattern(
    rf"(?:✅\s*)?(?:\*\*)?(?:Task\s+(?:(?P<named>{ID})|(?P<number>\d+(?:\.\d+)*))|(?P<id>{ID}))(?:\*\*)?"
    r"\s*(?:[:\uff1a.]|[-–—](?=\s)|(?=\[)|(?=\s|$))\s*(?P<title>.*)"
)
_END = lazy_regex.pattern(
    rb"[ \t]*\xe2\x9c\x85[ \t]*(?:COMPLETED?|DONE|Completed?|Done)?[ \t]*(\([^()\n]*\))?[ \t\r]*\Z"
)
_LABELS = lazy_regex.pattern(r"\[[A-Za-z][^\]]{0,20}\]")
_FIELD_ID = lazy_regex.pattern(r"^[ \t]*[-*]?[ \t]*\*\*(?:Task )?ID:?\*\*:?[ \t]*`?([\w.-]+)", re.MULTILINE)
_FIELD = lazy_regex.pattern(
    r"^[ \t]*(?:[-*][ \t]+)?\*\*([A-Z][A-Za-z ]{1,24})(?::\*\*|\*\*:)[ \t]*([^\n]*)", re.MULTILINE
)
_BULLET = lazy_regex.pattern(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+(?:\[[^\]\n]{0,3}\][ \t]*)?([^\n]*)")


class HeadingTask(Record):
    """A task that is a heading: its id, title and labels, and the text under it."""

    id: str
    title: str
    labels: tuple[str, ...]
    state: str
    start: int
    body_start: int
    end: int
    body: str


def heading_tasks(lines: Lines) -> dict[int, HeadingTask]:
    """Return the headings that are tasks by their offset."""
    found: dict[int, HeadingTask] = {}
    for index, heading in enumerate(lines.headings):
        raw = (heading[HEADING] or b"").rstrip()
        match = _TITLE.match(decoded(raw))
        if match and (made := _task(lines, index, match, raw)):
            found[heading.start()] = made
    return found


def _task(lines: Lines, index: int, match: re.Match[str], raw: bytes) -> HeadingTask | None:
    heading = lines.headings[index]
    level = len(heading[HASHES])
    end = next((one.start() for one in lines.headings[index + 1 :] if _ends(one, level)), len(lines.data))
    body = decoded(lines.data[heading.end() : end])
    stated = _FIELD_ID.search(body)
    own = match["id"] or match["named"] or (stated[1] if stated else "") or match["number"]
    title = decoded(_END.sub(b"", match["title"].encode())).strip()
    labels = tuple(one[1:-1] for one in _LABELS.findall(title))
    title = _LABELS.sub("", title).strip().removesuffix("**").strip()
    return HeadingTask(own, title, labels, state_of(raw), heading.start(), heading.end(), end, body)


def _ends(heading: re.Match[bytes], level: int) -> bool:
    return len(heading[HASHES]) <= level or _TITLE.match(decoded((heading[HEADING] or b"").strip())) is not None


def state_of(raw: bytes) -> str:
    """Return the state that a heading shows; COMPLETE with a reservation in parentheses is not done."""
    end = _END.search(raw)
    if end:
        return STARTED if end[1] else DONE
    return DONE if raw.lstrip().startswith("✅".encode()) else OPEN


def without_sign(raw: bytes) -> bytes:
    """Return a heading's line without the sign of its state."""
    return _END.sub(b"", raw.rstrip())


def fields(body: str) -> dict[str, list[str]]:
    """Return the values of `**Name**: value` under a heading, each with the bullets that follow it."""
    found: dict[str, list[str]] = {}
    marks = [*_FIELD.finditer(body)]
    for at, mark in enumerate(marks):
        until = marks[at + 1].start() if at + 1 < len(marks) else len(body)
        under = [match[1].strip() for one in body[mark.end() : until].splitlines() if (match := _BULLET.match(one))]
        found.setdefault(mark[1].strip().lower(), []).extend([value for value in (mark[2].strip(), *under) if value])
    return found
