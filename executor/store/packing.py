"""States of thousands of steps as JSON: rows of values without their names."""

from __future__ import annotations

from operator import itemgetter

from executor.store.step_state import AcceptedChunk, BegunChunk, StandingAlert, StepState
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FIELDS = list(StepState._fields)
TUPLES = [at for at, name in enumerate(FIELDS) if isinstance(getattr(StepState, name), tuple)]
RECORDS = [
    (FIELDS.index(name), kind)
    for name, kind in (("alerts", StandingAlert), ("chunks", AcceptedChunk), ("chunks_begun", BegunChunk))
]
SHAPES = [kind._fields for _, kind in RECORDS]
_values = itemgetter(*FIELDS)


def packed(states: Mapping[int, StepState]) -> dict[str, Any]:
    """Return the names of the fields, then the values of each step by its number."""
    steps = {str(number): _row(state) for number, state in states.items()}
    return {"fields": FIELDS, "records": SHAPES, "steps": steps}


def _row(state: StepState) -> tuple[Any, ...]:
    values: tuple[Any, ...] = _values(state.__dict__)
    if not (state.alerts or state.chunks or state.chunks_begun):
        return values  # almost all of thousands
    row = list(values)
    for at, kind in RECORDS:
        row[at] = [[getattr(one, name) for name in kind._fields] for one in row[at]]
    return tuple(row)


def unpacked(body: Mapping[str, Any]) -> dict[int, StepState]:
    """Return the states by step; ValueError, KeyError or TypeError for rows of another version or shape."""
    if body["fields"] != FIELDS or body["records"] != [list(names) for names in SHAPES]:
        raise ValueError("the states are of another version")
    return {int(number): _state_of(values) for number, values in body["steps"].items()}


def _state_of(values: list[Any]) -> StepState:
    for at in TUPLES:
        values[at] = tuple(values[at])
    if len(values) != len(FIELDS):
        raise ValueError("a state has other fields")
    for at, kind in RECORDS:
        if values[at]:
            values[at] = tuple(kind(*one) for one in values[at])
    state = object.__new__(StepState)  # its own way in checks each name, which thousands of states would feel
    state.__dict__.update(zip(FIELDS, values, strict=True))
    return state
