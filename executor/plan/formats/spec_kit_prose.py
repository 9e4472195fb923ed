"""Edges in the prose of spec-kit: `T012 depends on T008`, `T001 → T002`, under a heading about dependencies."""

from __future__ import annotations

import itertools
import re

from executor.plan.formats import prose_edges
from executor.plan.formats.item_text import decoded
from executor.plan.formats.markdown_items import HASHES, heading_text
from executor.plan.formats.spec_kit_headings import ID
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from executor.plan.formats.markdown_items import Lines

SECTION = lazy_regex.pattern(
    r"dependenc|execution order|critical path|parallel (?:opportunit|execution|example)|order of", re.IGNORECASE
)
_ARROW = lazy_regex.pattern(r"\s*(?:→|->|=>|⟶|➜)\s*")
_LINE = lazy_regex.pattern(rb"[^\n]*\n?")

# What follows the id of a line that speaks of tasks and is none.
PROSE = lazy_regex.pattern(
    rb"[\s*`\])]*(?:[,;&+/(]|->|\xe2\x86\x92|(?:and|or|depends?|can|must|may|should|will|before|after|blocks?|is|are"
    rb"|needs?|requires?|through|to|in parallel|then|first|has|have)\b)",
    re.IGNORECASE,
)
_ESTIMATE = lazy_regex.pattern(r"\best(?:imate)?:\s*~?(\d+(?:\.\d+)?)\s*(m|min|h|hours?|d|days?)\b", re.IGNORECASE)
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 8.0}


def sections(lines: Lines) -> Iterator[tuple[int, int]]:
    """Yield the spans under headings that speak of dependencies and order."""
    for index, heading in enumerate(lines.headings):
        if SECTION.search(heading_text(heading)):
            after = lines.headings[index + 1 :]
            level = len(heading[HASHES])
            end = next((one.start() for one in after if len(one[HASHES]) <= level), len(lines.data))
            yield heading.end(), end


def edges(lines: Lines, ids: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield each task for which such a section names dependencies, these, and the offset of the line."""
    known, last = frozenset(ids), -1
    for start, end in sections(lines):
        for line in _LINE.finditer(lines.data, max(start, last), end):
            text = decoded(line[0])
            yield from ((one, before, line.start()) for one, before in _of(text, ids) if one in known)
        last = max(last, end)


def _of(text: str, ids: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    parts = _ARROW.split(text)
    for before, after in itertools.pairwise(parts):
        sources = prose_edges.ids_in(before, ID, ids)
        yield from ((one, tuple(sources)) for one in prose_edges.ids_in(after, ID, ids) if sources)
    stated = prose_edges.subject_and_dependencies(text, ID, ids)
    if stated and len(parts) == 1:
        yield from ((one, stated[1]) for one in stated[0])


def names(ids: Iterable[str]) -> str:
    """Return ids in order, for a message."""
    return ", ".join(sorted(ids))


def parts(one: str) -> list[str]:
    """Return the ids that a range in one line stands for, such as T066a-T066c."""
    ends = re.findall(ID, one)
    low, high = ends[0], ends[-1]
    if low[:-1] == high[:-1] and low[-1].isalpha() and high[-1].isalpha():
        return [low[:-1] + chr(code) for code in range(ord(low[-1]), ord(high[-1]) + 1)]
    return prose_edges.ids_in(one, ID)


def hours(text: str) -> float:
    """Return the estimate of a task in hours, such as `est:30m`; 0.0 for none."""
    found = _ESTIMATE.search(text)
    return round(float(found[1]) * _HOURS[found[2][0].lower()], 2) if found else 0.0
