"""Which steps a command line asks for, in order, with what to say of those that cannot be taken."""

from __future__ import annotations

from executor.engine.decide import begun_again, decide_box
from executor.engine.noticed import remarks
from executor.engine.step_view import finished_needs, not_enough, outrun, reopened
from executor.errors import UsageError
from executor.plan.selection import ranges as ranges  # noqa: PLC0414 - said again for who looks here
from executor.plan.selection import select
from executor.store.changes import in_words
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control as safe

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.plan.spec.spec_md import Box
    from executor.store.project_view import ProjectView
    from executor.store.task import Decision


def asked(desk: ProjectView, boxes: dict[int, Box], args: Namespace) -> tuple[list[int], list[str]]:
    """Return the steps to take in order, and what to say of those that cannot be taken."""
    desk.follow_numbers(boxes)
    if args.step:
        titles = {number: box.title for number, box in boxes.items()}
        chosen = select(args.step, desk.plan, titles)
        gaps = [f"Not defined, so not run: step {ranges(chosen.missing)}."] if chosen.missing else []
        return list(chosen.numbers), gaps
    if args.rerun and args.resume:
        raise UsageError("--continue goes on with open steps; to run ticked ones again: do-tasks --step WHICH --rerun")
    numbers, notes = _open_steps(desk, boxes, stop_at_gap=args.resume)
    notes = [*notes, *remarks(desk, boxes)]
    return (list(desk.plan.numbers), notes) if args.rerun else (numbers, notes)


def _open_steps(desk: ProjectView, boxes: dict[int, Box], *, stop_at_gap: bool) -> tuple[list[int], list[str]]:
    defined = set(desk.plan.numbers)
    undefined = [number for number in sorted(boxes) if number not in defined and boxes[number].state != "x"]
    numbers: list[int] = []
    for number in desk.plan.numbers:
        if _is_open(desk, boxes.get(number), number) or will_outrun(desk, number, numbers):
            numbers.append(number)
    if not undefined:
        return numbers, [] if numbers else ["Nothing is open: every step is done."]
    gap = undefined[0]
    if stop_at_gap:
        numbers = [number for number in numbers if number < gap]
        before = "" if numbers else f"There is nothing open before step {gap}. "
        return numbers, [f"{before}Stopped before step {gap}, which is not defined yet: {safe(boxes[gap].title)}"]
    return numbers, [f"Not defined yet: step {ranges(undefined)}."]


def _is_open(desk: ProjectView, box: Box | None, number: int) -> bool:
    """Tell whether a step is open; one without a line is, so that the run can say so."""
    if box is None or box.state != "x" or begun_again(box, desk.state(number)):
        return True
    decide_box(box, desk.state(number), rerun=False)  # refuses a tick that the log contradicts
    return not_enough(desk, box) or bool(outrun(desk, number) or reopened(desk, number, box))


def will_outrun(desk: ProjectView, number: int, before: list[int]) -> int:
    """Return a written dependency that runs before this step, which passed already, 0 when there is none."""
    if not (desk.plan.gated(number) and desk.state(number).passed_at):
        return 0
    return next((need for need in finished_needs(desk.step(number)) if need in before), 0)


def noted(desk: ProjectView, decision: Decision, box: Box | None, gate: str) -> dict[str, Any]:
    """Return why, with what has changed of a step that is done; any other decision says that itself."""
    changed = desk.changed(box.number, box) if box else ()
    since = in_words(changed) if decision.action == "done" else ""
    return {"why": "; ".join(filter(None, (decision.why, since))) + gate, "changed": [*changed]}
