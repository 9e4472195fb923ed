"""The cells of a matrix in the state of their step."""

from __future__ import annotations

import json

from executor.store.step_state import AcceptedCell
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.store.step_state import StepState


def with_run(state: StepState, line: Mapping[str, Any]) -> StepState:
    """Record that the MAIN of a cell exited 0; it is not judged yet."""
    place = line.get("place", 0)
    cell = AcceptedCell(
        name=str(line.get("cell", "")),
        task_id=line["task_id"],
        run=str(line.get("run", "")),
        made_by=str(line.get("made_by", "")),
        judged_by="",
        proven=0,
        claimed=0,
        place=place,
        metrics="",
    )
    return _with(state.replace(main_place=place), cell)


def with_verdict(state: StepState, line: Mapping[str, Any]) -> StepState:
    """Record the verdict on a cell; for a cell that failed only its run is kept."""
    run = (str(line.get("cell", "")), str(line.get("main_task", "")), str(line.get("run", "")))
    known = next((one for one in state.cells if (one.name, one.task_id, one.run) == run), None)
    if known is None:
        return state.replace(metrics_read="")
    passed = line.get("status") == "passed"
    judged = known.replace(
        judged_by=str(line.get("judged_by", "")) if passed else "",
        proven=line.get("proven", 0),
        claimed=line.get("claimed", 0),
        metrics=state.metrics_read,
    )
    return _with(state.replace(metrics_read=""), judged)


def _with(state: StepState, cell: AcceptedCell) -> StepState:
    return state.replace(cells=(*(one for one in state.cells if one.name != cell.name), cell))


def metrics_at_pass(state: StepState) -> str:
    """Return the metrics that a pass records; for a matrix the metrics of each cell, by the name of the cell."""
    if not state.cells:
        return state.metrics_read
    return json.dumps({one.name: json.loads(one.metrics) for one in state.cells if one.metrics})
