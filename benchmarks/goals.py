"""The figures to reach, as a table, judged against one run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from benchmarks.measure import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Measured = dict[str, dict[str, Series]]  # workload -> row -> series


class Verdict(StrEnum):
    """How a goal is shown on the page."""

    MET = "met"
    MISSED = "**missed**"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Goal:
    """`measure` may cost at most `at_most` of `against`; `unit`: x (ratio), ms more (difference), MiB (peak).

    `why` explains a miss.
    """

    name: str
    workload: str
    measure: str
    against: str
    at_most: float
    unit: str = "x"
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """What a goal came to; wall and cpu are None when not measured, cpu also where only one figure exists."""

    goal: Goal
    wall: float | None
    cpu: float | None
    verdict: Verdict


COLD = "the first look at a changed file imports PyYAML, which is the yardstick itself; later looks read the cache"
GOALS = (
    Goal("list one step", "start", "do-tasks list, cached", "import yaml", 1.2),
    Goal("list one step", "start", "do-tasks list, cached", "doit", 0.4),
    Goal("dry-run of one step", "start", "do-tasks dry-run, cached", "import yaml", 1.2),
    Goal("dry-run of one step", "start", "do-tasks dry-run, cached", "doit", 0.4),
    Goal("list one step, the file just changed", "start", "do-tasks list, cold", "import yaml", 1.2, why=COLD),
    Goal("list one step, the file just changed", "start", "do-tasks list, cold", "doit", 0.4, why=COLD),
    Goal("dry-run of one step, the file just changed", "start", "do-tasks dry-run, cold", "import yaml", 1.2, why=COLD),
    Goal("dry-run of one step, the file just changed", "start", "do-tasks dry-run, cold", "doit", 0.4, why=COLD),
    Goal("one no-op step, durable", "one", "do-tasks", "doit", 1.2),
    Goal("one no-op step, the file just changed", "one", "do-tasks, first run", "doit", 1.2),
    Goal("a step of many", "steps", "do-tasks", "doit", 1.0),
    Goal("a step of many", "steps", "do-tasks", "bash floor", 1.5),
    Goal("a step of many, 8 at a time", "jobs", "do-tasks", "bash floor", round(1 / 0.7, 2)),
    Goal("two steps that use a core each", "cores", "do-tasks --jobs 2", "do-tasks --jobs 1", round(1 / 1.7, 2)),
    Goal("resume before the last step", "resume", "do-tasks", "doit", 0.5),
    Goal("resume behind a large log", "resume", "do-tasks, large log", "do-tasks", 10.0, "ms more"),
    Goal("3 checks of `sleep 0.2`, over the sleep", "fanout", "do-tasks", "doit", 1.0),
    Goal("list 10,000 steps, no cache", "list-10000", "do-tasks, cold", "import yaml", 12.0),
    Goal("list 10,000 steps, cached", "list-10000", "do-tasks, cached", "import yaml", 4.0),
    Goal("remember 1,000 files", "evidence", "16 KiB", "nothing there", 20.0, "ms more"),
    Goal("peak memory, one step", "memory", "do-tasks, one step", "", 40.0, "MiB"),
    Goal("peak memory, list of 1,000", "memory", "do-tasks, list of 1,000", "", 28.0, "MiB"),
)


def ratios(measure: Series, against: Series) -> tuple[float, float | None]:
    """Return wall and CPU of one row as multiples of another's; CPU None where nothing was spent."""
    cpu = measure.cpu_s / against.cpu_s if against.cpu_s else None
    return measure.wall_s / against.wall_s, cpu


def differences_ms(measure: Series, against: Series) -> tuple[float, float | None]:
    return (measure.wall_s - against.wall_s) * 1e3, (measure.cpu_s - against.cpu_s) * 1e3


def peaks(measure: Series, _: Series) -> tuple[float, float | None]:
    return measure.peak_mib, None


COMPARED: Mapping[str, Callable[[Series, Series], tuple[float, float | None]]] = {
    "x": ratios,
    "ms more": differences_ms,
    "MiB": peaks,
}


def judged(goal: Goal, measured: Measured, *, busy: bool) -> Finding:
    """Judge by wall medians; on a busy machine by CPU medians. A row that failed beside one that did not is a miss."""
    rows = measured.get(goal.workload, {})
    measure, against = rows.get(goal.measure), rows.get(goal.against or goal.measure)
    if measure is None or against is None:
        return Finding(goal, None, None, Verdict.MISSED if against and measure is None else Verdict.UNKNOWN)
    wall, cpu = COMPARED[goal.unit](measure, against)
    deciding = cpu if busy and cpu is not None else wall
    return Finding(goal, wall, cpu, Verdict.MET if deciding <= goal.at_most else Verdict.MISSED)
