"""The monitors of a step, from loaded data."""

from __future__ import annotations

from executor.monitoring.alerts import match
from executor.monitoring.model import CHECK_LIMIT_S, Action, Monitor, speaks_of_checkpoints
from executor.monitoring.options import ASKS
from executor.monitoring.rules.registry import read_rule
from executor.plan.fields import NAME_CHARS, Field
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.monitoring.model import Rule

COMMANDS = {"command": "command", "monitor": "command", "check": "check", "alert": "alert"}
PROBED = ("metrics", "checkpoints", "progress", "process", "log", "disk", "memory", "gpu")
KEYS = (*COMMANDS, *PROBED, "call")
MATCHED = ("command", "monitor", "log")
WORDS = ("notify", "stop", "restart", "block")
ACTIONS = ("stop", "restart", "command")
AT_END = ("fail", "note")
SOONEST_S = 0.001


def build_monitors(step: Field) -> tuple[Monitor, ...]:
    """Return the monitors of a step; ValidationIssueError for one that cannot be, or two of one written name."""
    spots = step["background"].items()
    return tuple(
        _monitor(spot, name, resumable=names_checkpoints(step.mapping()))
        for spot, name in zip(spots, _names(spots), strict=True)
    )


def names_checkpoints(body: Mapping[str, Any]) -> bool:
    """Tell whether something in a loaded step finds its checkpoints: a monitor, or a criterion bound to their file."""
    main = body.get("main")
    criteria = main.get("success_criteria") if isinstance(main, dict) else None
    return _binds_one(criteria) or _any_has("checkpoints", body.get("background"))


def _binds_one(criteria: object) -> bool:
    items = [one for one in criteria if isinstance(one, dict)] if isinstance(criteria, list) else []
    return any(speaks_of_checkpoints(str(one.get("criterion")), one["file"]) for one in items if one.get("file"))


def _any_has(key: str, items: object) -> bool:
    return isinstance(items, list) and any(isinstance(one, dict) and one.get(key) is not None for one in items)


def _names(spots: list[Field]) -> list[str]:
    """Return a name for each: the written one, else its command or kind, numbered where that is taken."""
    names = [spot["task"].text() for spot in spots]
    for place, name in enumerate(names):
        if name and name in names[:place]:
            spots[place]["task"].refuse("is the name of a monitor above: their alerts would share a key; rename one")
    for place, spot in enumerate(spots):
        names[place] = names[place] or _unused(_default_name(spot), names)
    return names


def _default_name(spot: Field) -> str:
    key = _key(spot)
    text = spot[key].text() if key in COMMANDS else key
    return " ".join(text.split())[:NAME_CHARS] or key


def _unused(name: str, taken: list[str]) -> str:
    names = (name, *(f"{name} {number}" for number in range(2, len(taken) + 2)))
    return next(one for one in names if one not in taken)


def _monitor(spot: Field, name: str, *, resumable: bool) -> Monitor:
    key = _key(spot)
    kind = COMMANDS.get(key, key)
    interval_s = max(spot["interval"].seconds(Monitor.interval_s), SOONEST_S)
    return Monitor(
        name=name,
        kind=kind,
        asks=_asks(spot[key], kind),
        interval_s=interval_s,
        limit_s=_limit_s(spot["timeout"], kind),
        alert_on=_alert_on(spot, key),
        rules=_rules(spot["rules"], kind, interval_s),
        action=_action(spot["on_alert"], resumable=resumable),
        grace_s=None if spot["grace"].data is None else spot["grace"].wait(0.0),
        at_end=spot["at_end"].choice(AT_END),
        env=spot["env"].texts(),
    )


def _key(spot: Field) -> str:
    """Return the key under which stands what the monitor looks at."""
    return spot.one_of(KEYS)


def _asks(spot: Field, kind: str) -> Any:
    if kind in COMMANDS:
        return spot.text()
    wrong = ASKS[kind](spot.data) if kind in ASKS else ""
    if wrong:
        spot.refuse(wrong)
    return spot.data


def _limit_s(spot: Field, kind: str) -> float:
    limit_s = max(spot.seconds(Monitor.limit_s), SOONEST_S)
    return limit_s if kind in PROBED else min(limit_s, CHECK_LIMIT_S)


def _alert_on(monitor: Field, key: str) -> str:
    spot = monitor["alert_on"]
    if spot.data is None:
        return ""
    if key not in MATCHED:
        instead = "its exit code decides" if key in COMMANDS else "rules: [...] decide"
        spot.refuse(f"is only for {', '.join(MATCHED)}: of {key}, {instead}")
    if isinstance(monitor[key].data, dict) and monitor[key]["match"].data is not None:
        spot.refuse("stands beside match: keep one of the two")
    try:
        match(spot.text())
    except ValueError as wrong:
        spot.refuse(str(wrong))
    return spot.text()


def _rules(spot: Field, kind: str, interval_s: float) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for item in spot.items():
        rule = _rule(item, kind, interval_s)
        if rule.kind in [other.kind for other in rules]:
            item.refuse(f"{rule.kind} stands twice: its alerts would share a key; give the second a monitor of its own")
        rules.append(rule)
    return tuple(rules)


def _rule(spot: Field, kind: str, interval_s: float) -> Rule:
    try:
        return read_rule(spot.data, monitor_kind=kind, interval_s=interval_s)
    except ValueError as wrong:
        spot.refuse(str(wrong))


def _action(spot: Field, *, resumable: bool) -> Action:
    """Return what an alert does: a word, or one of stop, restart, command with its bounds."""
    if not isinstance(spot.data, dict):
        return Action(spot.choice(WORDS))
    kind = spot.one_of(ACTIONS)
    if kind == "command":
        return Action(kind, spot[kind].text())
    bounds = spot[kind]
    if kind == "restart":
        _refuse_blind_restart(bounds["from"], resumable=resumable)
    return Action(
        kind,
        attempts=bounds["attempts"].whole(Action.attempts),
        backoff_s=bounds["backoff"].wait(Action.backoff_s),
        grace_s=bounds["grace"].wait(Action.grace_s),
    )


def _refuse_blind_restart(spot: Field, *, resumable: bool) -> None:
    if spot.data is not None and spot.choice(("latest_checkpoint",)) and not resumable:
        said = "needs something that finds checkpoints: a monitor with checkpoints: GLOB, or a criterion with file:"
        spot.refuse(said)
