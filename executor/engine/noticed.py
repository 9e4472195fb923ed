"""What SPEC.md shows and the log does not know yet, logged when a run begins."""

from __future__ import annotations

from executor.engine.decide import unlogged_tick
from executor.plan.selection import ranges
from executor.store.events import HandTickSeen, SpecLineMissing, SpecTicked, StepsRenumbered
from executor.store.ticks import fingerprint, moves, tick_of, went_back
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.spec.spec_md import Box
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView


def note_spec(context: RunContext, boxes: Mapping[int, Box]) -> None:
    """Log the steps that have another number, those without a line, and the ticks that the log does not have."""
    moved = moves(boxes, context.states)
    if moved:
        context.journal.write(StepsRenumbered(moves=tuple(f"{new} was {old}" for new, old in moved.items())))
    for number in context.plan.numbers:
        if number in boxes:
            _note_tick(context, boxes[number])
        elif context.state(number).verdict == "passed" and not context.state(number).line_lost:
            context.journal.write(SpecLineMissing(), task_id=context.state(number).task_id, step=number)


def _note_tick(context: RunContext, box: Box) -> None:
    state = context.state(box.number)
    whose = unlogged_tick(box, state)
    if whose == "ours":
        ticked = SpecTicked(line=box.line, text=box.title, after=fingerprint(box))
        context.journal.write(ticked, task_id=state.task_id, step=box.number)
    elif whose == "hand":
        context.journal.write(HandTickSeen(text=box.title), step=box.number)


def remarks(desk: ProjectView, boxes: Mapping[int, Box]) -> list[str]:
    """Return what to say of ticks that went back, or whose evidence is not in this log; empty when there are none."""
    defined = [box for number, box in boxes.items() if desk.plan.defines(number)]
    back = [box.number for box in defined if went_back(box, desk.state(box.number))]
    elsewhere = [box.number for box in defined if tick_of(box, desk.state(box.number)) == "elsewhere"]
    said = []
    if back:
        which = ranges(back)
        said.append(
            f"SPEC.md went back to before the ticks of step {which}:"
            f" do-tasks retick {which.replace(' ', '')} ticks again from the log, do-tasks reopen STEP runs one again."
        )
    if elsewhere:
        which = ranges(elsewhere)
        said.append(
            f"Ticked with evidence that is not in this log: step {which};"
            f" do-tasks recheck {which.replace(' ', '')} checks what lies here."
        )
    return said
