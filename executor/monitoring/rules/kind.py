"""What a kind of rule is."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.monitoring.model import Memory, RuleResult, Sample

    Args = Mapping[str, Any]
    Judge = Callable[[Args, Memory, Sample], RuleResult]


class RuleKind(Record):
    """A row of RULES.

    `defaults` are all its arguments in base units, `units` the row of `written.UNITS` by which each is read; `short`
    is what `{stall: 6x}` sets; `fits` are the monitors whose readings it understands; `example` is how it is written.
    A `floor` of None is FLOOR_S, or three looks where they are rarer. `of_kind` are defaults for one kind of monitor.
    """

    judge: Judge
    says: str
    fits: tuple[str, ...]
    short: str
    example: str
    defaults: Mapping[str, Any]
    units: Mapping[str, str]
    of_kind: Mapping[str, Mapping[str, Any]] = {}
