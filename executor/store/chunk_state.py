"""The chunks of a step in its state: those that ran, those that were accepted."""

from __future__ import annotations

from executor.store.step_state import AcceptedChunk, BegunChunk
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.store.step_state import StepState

    Line = Mapping[str, Any]


def with_spent(state: StepState, line: Line, usd: float) -> StepState:
    """Record a run of a chunk, and the total cost of its runs with the same fingerprint of the rows."""
    number, made_by = line["chunk"], line.get("made_by", "")
    others = tuple(one for one in state.chunks_begun if one.number != number)
    spent = BegunChunk(number, made_by, spent_on(state.chunks_begun, number, made_by) + usd)
    return state.replace(chunks_begun=(*others, spent))


def spent_on(begun: tuple[BegunChunk, ...], number: int, made_by: str) -> float:
    """Return the cost of the runs of a chunk so far (USD), 0 when none has run."""
    return next((one.spent_usd for one in begun if (one.number, one.made_by) == (number, made_by)), 0.0)


def with_accepted(state: StepState, line: Line) -> StepState:
    """Record that a chunk was accepted, with its rows and the cost of all its runs."""
    number, made_by = line["chunk"], line.get("made_by", "")
    usd = spent_on(state.chunks_begun, number, made_by)
    accepted = AcceptedChunk(number, line.get("rows", 0), line.get("sha256", ""), usd, made_by)
    return state.replace(chunks=(*(one for one in state.chunks if one.number != number), accepted))
