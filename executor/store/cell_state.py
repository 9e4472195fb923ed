"""The cells of a matrix in the state of their step."""

from __future__ import annotations

import json

from executor.store.step_state import AcceptedCell
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.store.step_state import StepState


def with_cell(state: StepState, line: Mapping[str, Any]) -> StepState:
    """Record that a cell was judged; one that failed is taken out."""
    name, place = str(line.get("cell", "")), line.get("place", 0)
    others = tuple(one for one in state.cells if one.name != name)
    if line.get("status") != "passed":
        return state.replace(cells=others, metrics_read="")
    cell = AcceptedCell(
        name,
        task_id=str(line.get("main_task", "")),
        run=str(line.get("run", "")),
        made_by=str(line.get("made_by", "")),
        judged_by=str(line.get("judged_by", "")),
        proven=line.get("proven", 0),
        claimed=line.get("claimed", 0),
        place=place,
        metrics=state.metrics_read,
    )
    return state.replace(cells=(*others, cell), main_place=place, metrics_read="")


def metrics_at_pass(state: StepState) -> str:
    """Return the metrics that a pass records: of a matrix those of each cell, by its name."""
    if not state.cells:
        return state.metrics_read
    return json.dumps({one.name: json.loads(one.metrics) for one in state.cells if one.metrics})
