"""The marks in a plan of another tool that the log explains."""

from __future__ import annotations

import os

from executor.errors import SpecError
from executor.plan.formats import registry
from executor.plan.formats.model import DONE, STARTED, MarkError, TaskMark
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import PlanFormat, PlanTask
    from executor.plan.step_ids import StepId

BOXES = {DONE: "x", STARTED: "~"}


def allowed(path: str, before: bytes, now: bytes, explained: Mapping[StepId, str]) -> bytes:
    """Return `before` with the states of tasks that the log explains, as `now` has them; `before` for no plan."""
    name = os.path.basename(path)
    try:
        plan_format = registry.format_of(path, before)
        for number, states in explained.items():
            wanted = _task(plan_format, name, now, str(number))
            if wanted is not None and BOXES.get(wanted.state, " ") in states:
                before = _marked(plan_format, name, before, wanted)
    except SpecError:
        return before
    return before


def _task(plan_format: PlanFormat, name: str, data: bytes, number: str) -> PlanTask | None:
    same = [task for task in plan_format.read(name, {name: data}).tasks if task.id == number]
    return same[0] if len(same) == 1 else None


def _marked(plan_format: PlanFormat, name: str, data: bytes, wanted: PlanTask) -> bytes:
    task = _task(plan_format, name, data, wanted.id)
    if task is None or task.state == wanted.state:
        return data
    try:
        return plan_format.write(name, {name: data}, task, TaskMark(wanted.state)).get(name, data)
    except (KeyError, MarkError):
        return data
