"""Contradictions within a report that declares tasks by ranges."""

from __future__ import annotations

import re
from collections import Counter

from executor.plan.formats.model import Finding
from executor.plan.formats.report_ids import shortened
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.formats.report_parts import Group, Phase
    from executor.plan.formats.report_reading import Report


def findings(path: str, report: Report) -> list[Finding]:
    """Return all findings of a report."""
    rows = [
        *_totals(report),
        *_phase_counts(report),
        *_ranges(report),
        *_stories(report),
        *_hours(report),
        *_groups(report),
        *_titles(report),
        *_unknown(report),
    ]
    return [Finding(path, line, kind, message) for line, kind, message in rows]


Row = tuple[int, str, str]


def _count(phase: Phase, report: Report) -> int:
    return len(members(phase, report))


def members(phase: Phase, report: Report) -> tuple[str, ...]:
    """Return the ids of a phase: those of its range, else those declared below its heading."""
    return phase.ids or tuple(one.id for one in report.tasks.values() if one.phase == phase.name)


def _totals(report: Report) -> Iterator[Row]:
    declared = len(report.tasks)
    for total, line in report.totals[:1]:
        if total != declared:
            yield line, "total", f"{total} tasks in total, but {declared} are declared ({shortened([*report.tasks])})"
        counts = [phase.count for phase in report.phases]
        if counts and min(counts) >= 0 and sum(counts) != total:
            sums = " + ".join(map(str, counts))
            yield line, "total", f"{total} tasks in total, but the phases have {sums} = {sum(counts)}"
    if report.priorities and sum(count for count, _ in report.priorities) != declared:
        counted = sum(count for count, _ in report.priorities)
        message = f"the priorities have {counted} tasks, but {declared} are declared"
        yield report.priorities[0][1], "total", message


def _phase_counts(report: Report) -> Iterator[Row]:
    for phase in report.phases:
        found = members(phase, report)
        if phase.count >= 0 and found and len(found) != phase.count:
            message = f"{phase.name} has {phase.count} tasks, but its range {shortened(found)} has {len(found)}"
            yield phase.line, "count", message


def _ranges(report: Report) -> Iterator[Row]:
    count = Counter(one for phase in report.phases for one in dict.fromkeys(phase.ids))
    twice = [one for one, number in count.items() if number > 1]
    if twice:
        phases = [phase for phase in report.phases if set(phase.ids) & set(twice)]
        names = ", ".join(phase.name for phase in phases)
        yield phases[-1].line, "range", f"{shortened(sorted(twice))} is in several ranges: {names}"
    numbers = {int(re.sub(r"\D", "", one)): one for one in report.tasks}
    missing = [number for number in range(min(numbers, default=0), max(numbers, default=-1)) if number not in numbers]
    if missing:
        width = len(re.sub(r"\D", "", next(iter(report.tasks))))
        hole = shortened([f"{report.prefix}{number:0{width}d}" for number in missing])
        line = next((report.tasks[numbers[at]].line for at in sorted(numbers) if at > missing[0]), 1)
        yield line, "range", f"no range has {hole}: the numbers leave a hole"


def _stories(report: Report) -> Iterator[Row]:
    """Compare the totals by story with the phases that name the story."""
    for story, count, line in report.stories:
        phases = [phase for phase in report.phases if phase.story == story]
        listed = sum(_count(phase, report) for phase in phases)
        stated = sum(phase.count for phase in phases if phase.count >= 0)
        if phases and count != listed:
            names = ", ".join(phase.name for phase in phases)
            yield line, "story", f"User Story {story} has {count} tasks, but {names} lists {listed}"
        elif phases and min(phase.count for phase in phases) >= 0 and count != stated:
            names = ", ".join(phase.name for phase in phases)
            yield line, "story", f"User Story {story} has {count} tasks, but {names} says {stated}"


def _hours(report: Report) -> Iterator[Row]:
    low, high, line = report.hours
    spans = [phase.hours for phase in report.phases if phase.hours[0] >= 0]
    if line and spans:
        sums = (sum(span[0] for span in spans), sum(span[1] for span in spans))
        if sums != (low, high):
            message = f"{_span(low, high)} hours in total, but the phases sum to {_span(*sums)}"
            yield line, "hours", message


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _groups(report: Report) -> Iterator[Row]:
    for group in report.groups:
        if group.count >= 0 and group.ids and len(group.ids) != group.count:
            message = f"{group.count} tasks can run in parallel, but {len(group.ids)} are named: {shortened(group.ids)}"
            yield group.line, "parallel-count", message
        if group.sequential >= 0 and group.others and len(group.others) != group.sequential:
            message = f"{group.sequential} sequential, but {len(group.others)} are named: {shortened(group.others)}"
            yield group.line, "parallel-count", message
        yield from _inner_edges(report, group)


def _inner_edges(report: Report, group: Group) -> Iterator[Row]:
    known = set(group.ids)
    for one in group.ids:
        inside = [other for other in report.edges.get(one, ()) if other in known]
        if inside:
            message = f"{one} is said to run in parallel with {', '.join(inside)}, and depends on it"
            yield group.line, "edge-in-parallel-group", message


def _titles(report: Report) -> Iterator[Row]:
    first: dict[str, str] = {}
    for one, title, line in report.titles:
        known = first.setdefault(one, title)
        if known != title:
            yield line, "two-titles", f"{one} is called {title!r} here, {known!r} before"


def _unknown(report: Report) -> Iterator[Row]:
    by_line: dict[int, list[str]] = {}
    for one, line in report.named.items():
        if one not in report.tasks:
            by_line.setdefault(line, []).append(one)
    for line, ids in by_line.items():
        yield line, "unknown-task", f"{shortened(ids)} is named here, but no range declares it"
