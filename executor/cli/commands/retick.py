"""`retick`: tick passed steps again from the log, after SPEC.md was reverted."""

from __future__ import annotations

from executor.cli import session
from executor.cli.options import FROM_TEXT, option
from executor.cli.requested_steps import selected
from executor.engine.noticed import note_spec
from executor.engine.verdict import write_tick
from executor.errors import UsageError
from executor.guard import brief_gate
from executor.plan.selection import ranges
from executor.store import project
from executor.store.ticks import went_back
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext


OPTIONS = (
    option("steps", nargs="*", help="1 | 1-5 | 1,3 | name; default: every step that lost its tick"),
    FROM_TEXT,
)


def run(args: Namespace) -> Verdict:
    """Tick the steps that passed by the log, without running anything."""
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    with (
        session.locked(here, "retick") as screen,
        session.opened(session.view(here, for_run=False), screen) as context,
    ):
        boxes = context.boxes()
        brief_gate.refuse_changed(context)
        note_spec(context, boxes)
        numbers = _unticked(context, boxes, args.steps)
        for number in numbers:
            state = context.state(number)
            write_tick(context, number=number, task_id=state.task_id, note=state.note)
        screen.print("" if numbers else "Nothing to tick: no open step has passed by the log.")
        return Verdict.PASSED


def _unticked(context: RunContext, boxes: dict[StepId, Box], words: list[str]) -> list[StepId]:
    """Return the steps to tick; UsageError for a requested step that has not passed by the log."""
    if not words:
        return [number for number, box in boxes.items() if _lost_its_tick(context, box)]
    numbers = selected(context, boxes, words)
    unknown = [number for number in numbers if number not in boxes]
    if unknown:
        missing = f"SPEC.md has no line for step {ranges(unknown)}"
        raise UsageError(f"{missing}: restore it, or add it: do-tasks --step {unknown[0]} --append")
    for number in numbers:
        if boxes[number].state != "x" and not _passed(context, number):
            verdict = context.state(number).verdict or "not run here"
            raise UsageError(
                f"step {number} has not passed by the log (it is {verdict}), so there is no evidence for a tick;"
                f" see: do-tasks why {number}"
            )
    return [number for number in numbers if boxes[number].state != "x"]


def _lost_its_tick(context: RunContext, box: Box) -> bool:
    """Return True for a step that passed and whose tick was reverted or never written, not for one opened by hand."""
    state = context.state(box.number)
    return box.state != "x" and _passed(context, box.number) and (went_back(box, state) or not state.ticked)


def _passed(context: RunContext, number: StepId) -> bool:
    return context.plan.defines(number) and context.state(number).verdict == "passed"
