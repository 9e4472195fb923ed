"""The measured run as Markdown: the goals first, then each workload."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.goals import Verdict, judged, ratios

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.goals import Finding, Goal, Measured
    from benchmarks.measure import Series
    from benchmarks.projects import Tool
    from benchmarks.workloads import Result

OURS = "do-tasks"
BUSY = 1.5
PER_SECOND = {"ms": 1e3, "µs": 1e6}


@dataclass(frozen=True)
class Machine:
    """Where a run was made; loads are one-minute averages."""

    cores: int
    system: str
    python: str
    load_before: float
    load_most: float

    @property
    def busy(self) -> bool:
        return self.load_most > BUSY * self.cores


def this_machine(python: str, loads: Sequence[float]) -> Machine:
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return Machine(os.cpu_count() or 1, system, python, loads[0], max(loads))


def document(
    machine: Machine, goals: Iterable[Goal], results: Sequence[Result], tools: Sequence[Tool], notes: Sequence[str]
) -> str:
    """Return the whole page."""
    measured: Measured = {result.key: {series.name: series for series in result.series} for result in results}
    findings = [judged(goal, measured, busy=machine.busy) for goal in goals]
    misses = [finding for finding in findings if finding.verdict == Verdict.MISSED]
    why = [_out_of_reach(finding, results) or _explained(finding) for finding in misses]
    told = [*dict.fromkeys(filter(None, why)), *notes]
    parts = [
        "# Performance\n",
        _opening(machine),
        "## Goals\n",
        goal_table(findings),
        *([_bullets(told)] if told else []),
        "## What was measured\n",
        *(_section(result) for result in results),
        "## The tools\n",
        _tool_table(tools),
        _repeating(),
    ]
    return "\n".join(parts)


def goal_table(findings: Iterable[Finding]) -> str:
    head = "| goal | at most | wall | CPU | |\n|---|---:|---:|---:|---|\n"
    return head + "".join(map(_goal_row, findings))


def result_table(result: Result) -> str:
    if result.unit == "MiB":
        return "| | MiB |\n|---|---:|\n" + "".join(f"| {s.name} | {s.peak_mib:.1f} |\n" for s in result.series)
    by_name = {series.name: series for series in result.series}
    floor, ours = by_name.get(result.floor), _ours(result.series)
    unit = result.unit
    columns = (
        f"wall {unit}", "least", f"CPU {unit}", "least",
        f"wall ÷ {result.floor}", "CPU ÷", f"{ours.name if ours else OURS} ÷ this, wall", "CPU",
    )  # fmt: skip
    head = f"| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}\n"
    return head + "".join(_series_row(series, floor, ours, PER_SECOND[unit]) for series in result.series)


def _explained(finding: Finding) -> str:
    return f"{finding.goal.name}: {finding.goal.why}" if finding.goal.why else ""


def _out_of_reach(finding: Finding, results: Sequence[Result]) -> str:
    """Say so when a goal is missed that the floor itself would miss."""
    goal = finding.goal
    result = next((result for result in results if result.key == goal.workload), None)
    if finding.verdict != Verdict.MISSED or goal.unit != "x" or result is None:
        return ""
    rows = {series.name: series for series in result.series}
    floor, against = rows.get(result.floor), rows.get(goal.against)
    if floor is None or against is None or min(filter(None, ratios(floor, against))) <= goal.at_most:
        return ""
    wall, cpu = ratios(floor, against)
    return (
        f"{goal.name} ÷ {goal.against}: the {result.floor} alone is {_figure(wall, 'x')} in wall and"
        f" {_figure(cpu, 'x')} in CPU, so nothing that owes its processes can reach {goal.at_most:g}"
    )


def _opening(machine: Machine) -> str:
    decides = "CPU ratio decides, for the machine was busy" if machine.busy else "wall ratio decides"
    return (
        "What do-tasks costs beside the bare processes and syncs that the work needs (the floor) and beside other\n"
        "runners. Medians of one run in which all tools take turns (A B C, A B C, ...); CPU is user and system time\n"
        "of the whole process tree. Compare ratios, never times from two runs.\n"
        "`make bench` writes this page.\n\n"
        f"{machine.cores} cores, {machine.system}, Python {machine.python}; load average {machine.load_before:.1f}\n"
        f"before and {machine.load_most:.1f} at most during the run: the {decides}.\n"
    )


def _goal_row(finding: Finding) -> str:
    goal = finding.goal
    against = f" ÷ {goal.against}" if goal.unit == "x" else f" over {goal.against}" if goal.against else ""
    limit = f"{goal.at_most:g} {goal.unit}"
    return (
        f"| {goal.name}: {goal.measure}{against} | {limit} | {_figure(finding.wall, goal.unit)} |"
        f" {_figure(finding.cpu, goal.unit)} | {finding.verdict} |\n"
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if unit == "x" else f"{value:.1f}"


def _section(result: Result) -> str:
    notes = f"\n{_bullets(result.notes)}" if result.notes else ""
    return f"### {result.title}\n\n{result_table(result)}{notes}"


def _series_row(series: Series, floor: Series | None, ours: Series | None, scale: float) -> str:
    times = (series.wall_s, series.wall_min_s, series.cpu_s, series.cpu_min_s)
    to_floor = ratios(series, floor) if floor else (None, None)
    to_ours = ratios(ours, series) if ours else (None, None)
    cells = [f"{time * scale:.2f}" for time in times] + [_figure(ratio, "x") for ratio in (*to_floor, *to_ours)]
    return f"| {series.name} | {' | '.join(cells)} |\n"


def _ours(rows: Sequence[Series]) -> Series | None:
    named = [series for series in rows if series.name.startswith(OURS)]
    return next((series for series in named if series.name == OURS), named[0] if named else None)


def _tool_table(tools: Sequence[Tool]) -> str:
    rows = "".join(f"| {tool.name} | {tool.__doc__} | {tool.leaves_out} |\n" for tool in tools)
    return f"| tool | how it is used | what it leaves out |\n|---|---|---|\n{rows}"


def _bullets(notes: Sequence[str]) -> str:
    return "".join(f"- {note}\n" for note in notes)


def _repeating() -> str:
    return (
        "## Repeat it\n\n"
        "    make bench                                              # all of it, within ten minutes\n"
        "    python benchmarks/bench.py --quick                      # smaller sizes, within two\n"
        "    python benchmarks/bench.py --only start,list --do-tasks .venv/bin/do-tasks\n\n"
        "[benchmarks/README.md](../../benchmarks/README.md) says what each workload is.\n"
    )
