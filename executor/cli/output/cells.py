"""The cells of a step's matrix with their states, for commands that read."""

from __future__ import annotations

from executor.store.step_values import params_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView


def has_cells(view: ProjectView, number: StepId) -> bool:
    """Return True for a step with a matrix."""
    main = view.plan.raw[number][1].get("main") if view.plan.defines(number) else None
    return bool(main and main.get("matrix"))


def rows(view: ProjectView, number: StepId) -> list[dict[str, Any]]:
    """Return name, state and task of each cell, in order."""
    from executor.plan.matrix import cells_of

    known = {one.name: one.task_id for one in view.state(number).cells if one.judged_by}
    found = cells_of(view.plan.raw[number][1]["main"]["matrix"], params_of(view))
    return [
        {"cell": one.name, "state": "passed" if one.name in known else "open", "task_id": known.get(one.name, "")}
        for one in found
    ]


def words(view: ProjectView, number: StepId) -> str:
    """Return the cells with their states on one line, empty for a step without a matrix."""
    if not has_cells(view, number):
        return ""
    return "; ".join(f"{number}[{row['cell']}] {row['state']}" for row in rows(view, number))
