"""Parsing of rules as they are written in the definitions."""

from __future__ import annotations

import re
from math import inf

from executor.monitoring.model import Rule
from executor.system.quantities import SIZE_HINT, TIME_HINT, YEAR_S, parse_duration, parse_number, parse_size
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.monitoring.rules.registry import RuleKind

FLOOR_S = 60.0
MOST_ROWS = 10**15
_NUMBER = r"\s*([0-9]+(?:\.[0-9]+)?)\s*"
_LONGEST = 60


class Unit(Record):
    """The unit of an argument: `read` returns the value in base units, None for an invalid one."""

    read: Callable[[object], Any]
    description: str


def _number(value: object, tail: str = "") -> tuple[float, str] | None:
    """Return a number and the text that follows it, which matches `tail`; None for another value."""
    if not isinstance(value, str):
        number = parse_number(value)
        return None if number is None else (float(number), "")
    found = re.fullmatch(f"{_NUMBER}({tail})\\s*", value) if len(value) <= _LONGEST else None
    return (float(found[1]), found[2]) if found else None


def _seconds(value: object, *, unit_s: float = 1) -> float | None:
    span_s = parse_duration(value, unit_s=unit_s)
    return span_s if span_s and 0 < span_s <= YEAR_S else None


def _hours(value: object) -> float | None:
    return _seconds(value, unit_s=3600)


def _between(low: float, high: float, tail: str = "") -> Callable[[object], float | None]:
    """Return a reader of numbers above `low`, at most `high`, in percent when they end in %."""

    def read(value: object) -> float | None:
        found = _number(value, tail)
        number = found[0] / (100 if found[1] == "%" else 1) if found else low
        return number if low < number <= high else None

    return read


def _portion(value: object) -> float | None:
    portion = _between(0, 1, "%?")(value)
    return portion if portion and portion < 1 else None


def _rows(value: object) -> int | None:
    found = _number(value)
    return int(found[0]) if found and 1 <= found[0] <= MOST_ROWS and found[0] == int(found[0]) else None


def _size(value: object) -> float | None:
    size = parse_size(value)
    return size if size and size > 0 else None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _better(value: object) -> str | None:
    return value if value in ("lower", "higher") and isinstance(value, str) else None


UNITS = {
    "seconds": Unit(_seconds, TIME_HINT),
    "hours": Unit(_hours, f"hours as a number, or {TIME_HINT}"),
    "factor": Unit(_between(1, inf, "[xX]?"), "a factor above 1, such as 6x"),
    "spreads": Unit(_between(0, inf), "a number above 0"),
    "portion": Unit(_portion, "a share above 0 and below 1, such as 50% or 0.5"),
    "growth": Unit(_between(0, 10, "%?"), "a share such as 50% or 0.5"),
    "rows": Unit(_rows, "a whole number of at least 1"),
    "size": Unit(_size, SIZE_HINT),
    "name": Unit(_name, "the name of a column"),
    "better": Unit(_better, "lower or higher"),
}


def read(table: Mapping[str, RuleKind], written: object, *, monitor_kind: str, interval_s: float) -> Rule:
    """Return a rule with all its arguments in base units; ValueError with the error and the fix."""
    name, arguments = _split(written)
    if name not in table:
        raise ValueError(f"no rule is named {quoted(name)}{did_you_mean(name, table)}; there are {', '.join(table)}")
    kind = table[name]
    if monitor_kind not in kind.fits:
        raise ValueError(_misfit(table, name, monitor_kind))
    given = dict(_read(name, kind, key, value) for key, value in _given(name, kind, arguments).items())
    args = {**kind.defaults, **kind.of_kind.get(monitor_kind, {}), **given, "interval": float(interval_s)}
    if args.get("floor", 0) is None:
        args["floor"] = max(FLOOR_S, 3 * args["interval"])
    return Rule(name, args)


def _split(written: object) -> tuple[str, object]:
    """Return the name of a rule, and its arguments as written."""
    if isinstance(written, str):
        return written, None
    if isinstance(written, dict) and len(written) == 1:
        [(name, arguments)] = written.items()
        return str(name), arguments
    got = f"a mapping with {', '.join(map(quoted, written))}" if isinstance(written, dict) else quoted(written)
    raise ValueError(f"a rule is its name, or one name with its arguments: nan, or {{stall: 6x}}; got {got}")


def _misfit(table: Mapping[str, RuleKind], name: str, monitor_kind: str) -> str:
    others = [other for other, kind in table.items() if monitor_kind in kind.fits]
    instead = f"for {monitor_kind} there is {', '.join(others)}" if others else f"no rule fits {monitor_kind}"
    return f"{name} does not fit {monitor_kind}: it is for {', '.join(table[name].fits)}; {instead}"


def _given(name: str, kind: RuleKind, arguments: object) -> Mapping[str, object]:
    """Return the written arguments by their names, a single value under the `short` one."""
    if arguments is None or arguments is True:
        return {}
    given = arguments if isinstance(arguments, dict) else {kind.short: arguments}
    odd = next((key for key in given if key not in kind.defaults), None)
    if odd is not None:
        near = did_you_mean(str(odd), kind.defaults)
        raise ValueError(f"{name} takes no {quoted(odd)}{near}; it takes {', '.join(kind.defaults)}: {kind.example}")
    return {key: value for key, value in given.items() if value is not None}


def _read(name: str, kind: RuleKind, key: str, value: object) -> tuple[str, Any]:
    if key == "limit" and "times" in kind.defaults and isinstance(value, str) and value.strip().lower().endswith("x"):
        key = "times"  # {checkpoint_age: 3x}
    unit = UNITS[kind.units[key]]
    read = unit.read(value)
    if read is None:
        raise ValueError(f"{name}: {key} is {quoted(value)}, must be {unit.description}: {kind.example}")
    return key, read
