"""The steps that a command line requests, in order, with notes on those that cannot run."""

from __future__ import annotations

from executor.engine.condition import is_skipped
from executor.engine.decide import refuse_contradicted
from executor.engine.noticed import tick_notes
from executor.engine.step_facts import changes_that_reopen, finished_needs, is_enough, newer_dependency
from executor.errors import UsageError
from executor.plan.selection import ranges, select
from executor.store.ticks import begun_again
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control as safe

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Mapping

    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView


def selected(view: ProjectView, boxes: Mapping[StepId, Box], words: Iterable[str]) -> list[StepId]:
    """Return the steps that numbers, ranges or names select; UsageError for a word that selects none."""
    titles = {number: box.title for number, box in boxes.items()}
    return [number for word in words for number in select(word, view.plan, titles).numbers]


def requested(view: ProjectView, boxes: dict[StepId, Box], args: Namespace) -> tuple[list[StepId], list[str]]:
    """Return the requested steps in order, and notes on those that cannot run."""
    view.follow_numbers(boxes)
    if args.step:
        titles = {number: box.title for number, box in boxes.items()}
        chosen = select(args.step, view.plan, titles)
        gaps = [f"Not defined, so not run: step {ranges(chosen.missing)}."] if chosen.missing else []
        return list(chosen.numbers), gaps
    if args.rerun and args.resume:
        raise UsageError("--continue runs open steps; to run ticked ones again: do-tasks --step WHICH --rerun")
    numbers, notes = _open_steps(view, boxes, stop_at_gap=args.resume)
    notes = [*notes, *tick_notes(view, boxes)]
    return (list(view.plan.numbers), notes) if args.rerun else (numbers, notes)


def _open_steps(view: ProjectView, boxes: dict[StepId, Box], *, stop_at_gap: bool) -> tuple[list[StepId], list[str]]:
    defined = set(view.plan.numbers)
    undefined = [
        number for number in sorted(boxes, key=view.plan.place) if number not in defined and boxes[number].state != "x"
    ]
    numbers: list[StepId] = []
    for number in view.plan.numbers:
        if _is_open(view, boxes.get(number), number) or will_outrun(view, number, numbers):
            numbers.append(number)
    if view.plan.tasks is not None:
        return _of_document(view, boxes, numbers, undefined, stop_at_gap=stop_at_gap)
    if not undefined:
        return numbers, [] if numbers else ["Nothing is open: every step is done."]
    gap = undefined[0]
    if stop_at_gap:
        numbers = [number for number in numbers if view.plan.place(number) < view.plan.place(gap)]
        before = "" if numbers else f"There is nothing open before step {gap}. "
        return numbers, [f"{before}Stopped before step {gap}, which is not defined yet: {safe(boxes[gap].title)}"]
    return numbers, [f"Not defined yet: step {ranges(undefined)}."]


def _is_out_of_hand(box: Box) -> bool:
    """Return True for a task that its plan calls cancelled or blocked, or begun without a mark of do-tasks."""
    return box.state in ("-", "!") or (box.state == "~" and box.mark is None)


def _of_document(
    view: ProjectView,
    boxes: dict[StepId, Box],
    numbers: list[StepId],
    undefined: list[StepId],
    *,
    stop_at_gap: bool,
) -> tuple[list[StepId], list[str]]:
    """Return the open steps of a plan of another tool, and notes on the tasks that cannot run.

    `stop_at_gap` leaves out those that wait for an undefined task.
    """
    undefined = [number for number in undefined if boxes[number].state != "-"]
    waits = {*undefined} if stop_at_gap else set()
    strange = [number for number in numbers if number not in boxes]
    closed = [number for number in numbers if number in boxes and _is_out_of_hand(boxes[number])]
    left = [number for number in numbers if number not in (*closed, *strange)]
    held: list[StepId] = []
    for number in left:
        before = [edge.step for edge in view.step(number).depends_on]
        if not waits.isdisjoint(before):
            held.append(number)
            waits.add(number)
    notes = [f"Not defined yet: step {ranges(undefined)}."] if undefined else []
    notes += [f"Not run, for they wait for tasks that are not defined: step {ranges(held)}."] if held else []
    notes += [f"Not run, for the plan calls them cancelled, blocked or begun: step {ranges(closed)}."] if closed else []
    notes += [f"Not run, for {view.source.name} has no such task: step {ranges(strange)}."] if strange else []
    ready = [number for number in left if number not in held]
    return ready, notes or ([] if ready else ["Nothing is open: every step is done."])


def _is_open(view: ProjectView, box: Box | None, number: StepId) -> bool:
    """Return True for an open step; one without a line in SPEC.md is open, so that the run reports it."""
    if box is None or box.state != "x" or begun_again(box, view.state(number)):
        return True
    refuse_contradicted(box, view.state(number))
    return not is_enough(view, box) or bool(newer_dependency(view, number) or changes_that_reopen(view, number, box))


def will_outrun(view: ProjectView, number: StepId, before: list[StepId]) -> StepId:
    """Return a written dependency that runs before this step, which passed already, 0 when there is none."""
    if not (view.plan.gated(number) and view.state(number).passed_at):
        return 0
    needs = (need for need in finished_needs(view.step(number)) if need in before)
    return next((need for need in needs if not is_skipped(view, need)), 0)
