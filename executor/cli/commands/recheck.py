"""`recheck`: run POST and the criteria of ticked steps again, without MAIN."""

from __future__ import annotations

from executor.cli import session
from executor.cli.options import FROM_TEXT, JSON_BESIDE, VERBOSE, option
from executor.cli.output.screen import print_json
from executor.cli.requested_steps import selected
from executor.engine.noticed import note_spec
from executor.engine.recheck import is_checkable, recheck
from executor.errors import UsageError
from executor.guard import brief_gate
from executor.plan.selection import ranges
from executor.plan.step_ids import new_task_id
from executor.store import project
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.cli.output.screen import Screen
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.system.outcome import Outcome


OPTIONS = (
    option("steps", nargs="*", help="1 | 1-5 | 1,3 | name; default: every ticked step"),
    FROM_TEXT,
    JSON_BESIDE,
    VERBOSE,
)


def run(args: Namespace) -> Verdict:
    """Check ticked steps again; a tick without evidence in this log becomes `rechecked` when every check passes."""
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    with (
        session.locked(here, "recheck", as_json=args.json) as screen,
        session.opened(session.view(here), screen, verbose=args.verbose) as context,
    ):
        boxes = context.boxes()
        brief_gate.refuse_changed(context)
        note_spec(context, boxes)
        context.interrupts.listen()
        return _rechecked(context, boxes, args, screen)


def _rechecked(context: RunContext, boxes: dict[StepId, Box], args: Namespace, screen: Screen) -> Verdict:
    rows: list[dict[str, Any]] = []
    for number in _ticked(context, boxes, args.steps):
        rows.append(_row(context, boxes[number]))
        if context.interrupts.count:
            break
    if args.json:
        print_json({"v": 1, "steps": context.masker.mask_all(rows)})
    _summarise(rows, screen)
    if context.interrupts.count:
        return Verdict.INTERRUPTED
    return Verdict.FAILED if any(row["verdict"] == "failed" for row in rows) else Verdict.PASSED


def _row(context: RunContext, box: Box) -> dict[str, object]:
    """Recheck one step; return its row of the JSON report."""
    step = context.step(box.number)
    row: dict[str, object] = {"step": box.number, "title": box.title, "task_id": "", "reason": ""}
    if not is_checkable(step):
        reason = "nothing can be checked again: no POST check, no criterion bound to a file, command or metric"
        return row | {"verdict": "skipped", "reason": reason}
    task_id = new_task_id(box.number)
    outcome: Outcome = recheck(context, box, task_id)
    return row | {"verdict": str(outcome.verdict), "task_id": task_id, "reason": outcome.reason}


def _summarise(rows: list[dict[str, Any]], screen: Screen) -> None:
    for verdict, text in (
        ("passed", "Rechecked"),
        ("failed", "Does not hold here; the tick stays as it was"),
        ("skipped", "Not rechecked, for nothing but its MAIN could prove it"),
    ):
        numbers = [row["step"] for row in rows if row["verdict"] == verdict]
        if numbers:
            screen.print(f"{text}: step {ranges(numbers)}.")
    if not rows:
        screen.print("Nothing to recheck: no step is ticked.")


def _ticked(context: RunContext, boxes: dict[StepId, Box], words: list[str]) -> list[StepId]:
    """Return the requested ticked steps, every one without a request; UsageError for an open or undefined step."""
    ticked = [number for number in context.plan.numbers if number in boxes and boxes[number].state == "x"]
    if not words:
        return ticked
    numbers = selected(context, boxes, words)
    still_open = [number for number in numbers if number not in ticked]
    if still_open:
        raise UsageError(
            f"step {ranges(still_open)} is not ticked, so there is nothing to recheck; to run it: do-tasks --continue"
        )
    return numbers
