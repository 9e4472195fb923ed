"""Rules of monitors that a JSON Schema cannot state; their input has the form of the schema."""

from __future__ import annotations

from executor.monitoring.alerts import match
from executor.monitoring.model import Monitor
from executor.monitoring.rules.registry import read_rule
from executor.plan.build import first_key, seconds
from executor.plan.build_monitors import COMMANDS, KEYS
from executor.plan.issues import ValidationIssue
from executor.plan.step_rules import names_checkpoints, one_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path

    Body = Mapping[str, Any]

MATCHED = ("command", "monitor", "log")


def monitor_issues(step: Body) -> Iterator[ValidationIssue]:
    """Yield the contradictions in the monitors of a step, by path inside the step."""
    names: set[str] = set()
    for place, monitor in enumerate(step["background"]):
        path: Path = ("background", place)
        if monitor.get("task") in names:
            message = "is the name of a monitor above: their alerts would share a key; rename one"
            yield ValidationIssue((*path, "task"), message)
        names |= {monitor["task"]} if "task" in monitor else set()
        wrong = [*one_of(path, monitor, KEYS)]
        yield from wrong or _inner_issues(path, monitor)
        yield from _blind_restart((*path, "on_alert", "restart", "from"), monitor.get("on_alert"), step)


def _inner_issues(path: Path, monitor: Body) -> Iterator[ValidationIssue]:
    key = first_key(monitor, KEYS)
    if "alert_on" in monitor:
        yield from _alert_on_issues((*path, "alert_on"), monitor, key)
    kinds: set[str] = set()
    interval_s = seconds(monitor.get("interval", Monitor.interval_s))
    for place, written in enumerate(monitor.get("rules", ())):
        try:
            kind = read_rule(written, monitor_kind=COMMANDS.get(key, key), interval_s=interval_s).kind
        except ValueError as wrong:
            yield ValidationIssue((*path, "rules", place), str(wrong))
            continue
        if kind in kinds:
            message = f"{kind} stands twice: its alerts would share a key; give the second a monitor of its own"
            yield ValidationIssue((*path, "rules", place), message)
        kinds.add(kind)


def _alert_on_issues(path: Path, monitor: Body, key: str) -> Iterator[ValidationIssue]:
    if key not in MATCHED:
        instead = "its exit code decides" if key in COMMANDS else "rules: [...] decide"
        yield ValidationIssue(path, f"is only for {', '.join(MATCHED)}: of {key}, {instead}")
    elif isinstance(monitor[key], dict) and "match" in monitor[key]:
        yield ValidationIssue(path, "stands beside match: keep one of the two")
    else:
        try:
            match(monitor["alert_on"])
        except ValueError as wrong:
            yield ValidationIssue(path, str(wrong))


def _blind_restart(path: Path, action: object, step: Body) -> Iterator[ValidationIssue]:
    restart = action.get("restart") if isinstance(action, dict) else None
    if restart and "from" in restart and not names_checkpoints(step):
        message = "needs something that finds checkpoints: a monitor with checkpoints: GLOB, or a criterion with file:"
        yield ValidationIssue(path, message)
