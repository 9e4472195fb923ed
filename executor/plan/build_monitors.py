"""The monitors of a step, built from data that was validated."""

from __future__ import annotations

from executor.monitoring.model import CHECK_LIMIT_S, Action, Monitor
from executor.monitoring.rules.registry import read_rule
from executor.plan.build import first_key, given, name_from, same, seconds
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Body = Mapping[str, Any]

COMMANDS = {"command": "command", "monitor": "command", "check": "check", "alert": "alert"}
PROBED = ("metrics", "checkpoints", "progress", "process", "log", "disk", "memory", "gpu")
KEYS = (*COMMANDS, *PROBED, "call")
SOONEST_S = 0.001
_ACTION = {"backoff": ("backoff_s", seconds), "grace": ("grace_s", seconds), **same("attempts")}


def build_monitors(written: Sequence[Body]) -> tuple[Monitor, ...]:
    """Return the monitors of a step."""
    return tuple(_monitor(one, name) for one, name in zip(written, _names(written), strict=True))


def _names(written: Sequence[Body]) -> list[str]:
    """Return a name for each: the written one, else its command or kind, numbered where that is taken."""
    names = [monitor.get("task", "") for monitor in written]
    for place, monitor in enumerate(written):
        names[place] = names[place] or _unused(_default_name(monitor), names)
    return names


def _default_name(monitor: Body) -> str:
    key = first_key(monitor, KEYS)
    return (name_from(monitor[key]) if key in COMMANDS else "") or key


def _unused(name: str, taken: list[str]) -> str:
    names = (name, *(f"{name} {number}" for number in range(2, len(taken) + 2)))
    return next(one for one in names if one not in taken)


def _monitor(written: Body, name: str) -> Monitor:
    key = first_key(written, KEYS)
    kind = COMMANDS.get(key, key)
    interval_s = max(seconds(written.get("interval", Monitor.interval_s)), SOONEST_S)
    limit_s = max(seconds(written.get("timeout", Monitor.limit_s)), SOONEST_S)
    return Monitor(
        name=name,
        kind=kind,
        asks=written[key],
        interval_s=interval_s,
        limit_s=limit_s if kind in PROBED else min(limit_s, CHECK_LIMIT_S),
        rules=tuple(read_rule(rule, monitor_kind=kind, interval_s=interval_s) for rule in written.get("rules", ())),
        **given(written, _MONITOR),
    )


def _action(written: str | Body) -> Action:
    """Return the action of an alert: a word, or one of stop, restart and command with its bounds."""
    if isinstance(written, str):
        return Action(written)
    [(kind, bounds)] = written.items()
    return Action(kind, bounds) if kind == "command" else Action(kind, **given(bounds, _ACTION))


_MONITOR = {"on_alert": ("action", _action), "grace": ("grace_s", seconds), **same("alert_on", "at_end", "env")}
