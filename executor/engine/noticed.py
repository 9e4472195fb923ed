"""Changes that others made to SPEC.md since the last run: logged when a run begins, and shown to people."""

from __future__ import annotations

from executor.plan.selection import ranges
from executor.store.events import HandTickSeen, SpecLineMissing, SpecTicked, StepsRenumbered
from executor.store.ticks import line_fingerprint, moves, tick_of, went_back
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView


def note_spec(context: RunContext, boxes: Mapping[StepId, Box]) -> None:
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
    """Log a tick without an event: by the executor, when it died before the event, or by a person."""
    if box.state != "x":
        return
    state = context.state(box.number)
    is_by_hand = tick_of(box, state) == "by_hand"
    is_passed = state.verdict == "passed"
    if not is_by_hand and box.mark and box.mark.task_id == state.task_id and is_passed and not state.ticked:
        ticked = SpecTicked(line=box.line, text=box.title, after=line_fingerprint(box))
        context.journal.write(ticked, task_id=state.task_id, step=box.number)
    elif is_by_hand and not (state.hand_seen or is_passed):
        context.journal.write(HandTickSeen(text=box.title), step=box.number)


def tick_notes(view: ProjectView, boxes: Mapping[StepId, Box]) -> list[str]:
    """Return notes on ticks that went back, and on those whose evidence is not in this log."""
    defined = [box for number, box in boxes.items() if view.plan.defines(number)]
    back = [box.number for box in defined if went_back(box, view.state(box.number))]
    elsewhere = [box.number for box in defined if tick_of(box, view.state(box.number)) == "elsewhere"]
    notes = []
    if back:
        which = ranges(back)
        notes.append(
            f"SPEC.md went back to before the ticks of step {which}:"
            f" do-tasks retick {which.replace(' ', '')} ticks again from the log, do-tasks reopen STEP runs one again."
        )
    if elsewhere:
        which = ranges(elsewhere)
        notes.append(
            f"Ticked with evidence that is not in this log: step {which};"
            f" do-tasks recheck {which.replace(' ', '')} checks what lies here."
        )
    return notes
