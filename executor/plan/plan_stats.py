"""Counts of a plan: done and open, by section and by tag, estimates."""

from __future__ import annotations

from executor.plan.formats.model import STATES
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.plan.formats.model import PlanTask


class Count(Record):
    """Tasks by state, and their estimates in hours: of all, and of those that are done."""

    name: str
    states: dict[str, int]
    hours: float
    hours_done: float

    @property
    def total(self) -> int:
        """Return the number of tasks."""
        return sum(self.states.values())


def count(name: str, tasks: Iterable[PlanTask]) -> Count:
    """Return the counts of some tasks."""
    every = list(tasks)
    states = {state: sum(task.state == state for task in every) for state in STATES}
    done = sum(task.estimate_h for task in every if task.state == "done")
    return Count(name, states, sum(task.estimate_h for task in every), done)


def by_section(tasks: Iterable[PlanTask]) -> list[Count]:
    """Return the counts of each section in document order; tasks below no heading come under `-`."""
    groups: dict[str, list[PlanTask]] = {}
    for task in tasks:
        groups.setdefault(task.section or task.phase or "-", []).append(task)
    return [count(name, group) for name, group in groups.items()]


def by_tag(tasks: Iterable[PlanTask]) -> list[Count]:
    """Return the counts of each tag, in alphabetical order; a task counts under each of its tags."""
    groups: dict[str, list[PlanTask]] = {}
    for task in tasks:
        for tag in task.tags:
            groups.setdefault(tag, []).append(task)
    return [count(name, groups[name]) for name in sorted(groups)]
