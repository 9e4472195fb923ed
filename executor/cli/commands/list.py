"""`list`: the steps with their state, from SPEC.md and the log; reads, never runs."""

from __future__ import annotations

from executor.cli.options import FROM_TEXT, JSON, PLAN, SELECTORS, flag, is_selecting
from executor.cli.output import cells
from executor.cli.output.screen import print_json
from executor.cli.tasks import executor, supervisor
from executor.engine.condition import is_skipped
from executor.engine.step_facts import newer_dependency
from executor.errors import UsageError
from executor.store import log_reader, project, runs
from executor.store.changes import describe_changes, judged_by
from executor.store.project_view import ProjectView
from executor.store.ticks import SIGNS, TICKS, UNCONTAINED, WORDS, begun_again, is_uncontained, tick_of, went_back
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control, counted

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.engine.order import Survey
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.step_state import StepState

ENDED = {"cancelled": "stopped", "timed_out": "timed out"} | {
    one: one for one in ("failed", "lost", "interrupted", "waiting")
}

OPTIONS = (PLAN, *SELECTORS, flag("--ready", "only open steps that can start now"), FROM_TEXT, JSON)


def run(args: Namespace) -> Verdict:
    """Print one line for each step; a plan of another tool, or one without definitions, is read as a plan file."""
    if other := _other_plan(args):
        from executor.cli import plan_graph

        plan_graph.print_tasks(other, args)
        return Verdict.PASSED
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    plan, validated = project.load(here)
    view = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
    boxes = view.boxes()
    view.follow_numbers(boxes)
    rows = _selected(view, boxes, _rows(view, boxes), args)
    if args.json:
        steps = [{"id": str(row["step"]), **row, "depends_on": _needs(plan, row["step"])} for row in rows]
        print_json({"v": 1, "steps": steps, "validated": validated})
        return Verdict.PASSED
    note = "" if validated else "; definitions not validated since they changed: do-tasks validate"
    summary = (_counted(rows, "ready") or "nothing is ready") if args.ready else _done(rows)
    hints = [clean_control(str(row["hint"])) for row in rows if "hint" in row]
    print("\n".join([*map(_line, rows), *hints, f"{summary}{note}"]))
    return Verdict.PASSED


def _rows(view: ProjectView, boxes: dict[StepId, Box]) -> list[dict[str, Any]]:
    """Return a row for each step that is defined or has a line, in order."""
    numbers = sorted({*view.plan.numbers, *boxes}, key=view.plan.place)
    near = view.near_misses() if len(boxes) < len(numbers) else {}
    rows = [_row(view, number, boxes.get(number)) for number in numbers]
    view.sources.save()
    return [row | {"hint": near[number]} if number in near else row for number, row in zip(numbers, rows, strict=True)]


def _selected(
    view: ProjectView, boxes: dict[StepId, Box], rows: list[dict[str, Any]], args: Namespace
) -> list[dict[str, Any]]:
    """Return the rows that the selectors and `--ready` choose."""
    if is_selecting(args):
        from executor.cli import plan_graph
        from executor.store import plan_files

        ids = plan_graph.chosen(args, plan_files.load(view.source.path).document)
        rows = [row for row in rows if str(row["step"]) in ids]
    if args.ready:
        from executor.engine.order import Survey

        survey = Survey(view, boxes)
        rows = [row for row in rows if _ready(view, row, survey)]
    return rows


def _other_plan(args: Namespace) -> str:
    """Return the path of a plan that is no SPEC.md with definitions, empty when it is one."""
    from executor.store import plan_files

    if args.agent_from_text:
        return ""
    if args.plan:
        return "" if _has_definitions(args) else str(args.plan)
    return "" if project.is_there(args.project) else plan_files.only_one(args.project)


def _has_definitions(args: Namespace) -> bool:
    """Return True when there are definitions for the plan that the command line names."""
    try:
        here = project.find_for(args.plan, args.project)
        project.load(here)
    except UsageError:
        return False
    return here.is_defined


def _needs(plan: Plan, number: StepId) -> list[str]:
    """Return the steps that a step's `depends_on` names."""
    return [str(edge.step) for edge in plan.step(number).depends_on] if plan.defines(number) else []


def _done(rows: list[dict[str, Any]]) -> str:
    """Return the counts: done steps, each kind of tick but proven, steps to run again."""
    done = [row for row in rows if row["tick"]]
    kinds = [(kind, [row for row in done if row["tick"] == kind]) for kind in TICKS if kind != "proven"]
    parts = [
        f"{len(done)} of {len(rows)} done",
        *(_counted(found, WORDS.get(kind, kind)) for kind, found in kinds),
        _counted([row for row in done if row["uncontained"]], UNCONTAINED),
        _counted([row for row in done if row["stale_by"]], "to run again"),
        _counted([row for row in rows if row["state"] == "skipped"], "skipped"),
    ]
    return ", ".join(filter(None, parts))


def _counted(rows: list[dict[str, Any]], what: str) -> str:
    return f"{len(rows)} {what}" if rows else ""


def _row(view: ProjectView, number: StepId, box: Box | None) -> dict[str, Any]:
    known, is_defined = view.state(number), view.plan.defines(number)
    state = _state(view, number, box, known)
    tick = tick_of(box, known) if box and not begun_again(box, known) else ""
    return {
        "step": number,
        "title": (box.title if box else "") or (view.plan.title(number) if is_defined else ""),
        "state": state,
        "task_id": _task_id(view.root, known, box),
        "stale_by": newer_dependency(view, number) if tick and is_defined else 0,
        "alerts": len(known.alerts) if state == "running" else 0,
        "tick": tick or None,
        "judged_by": judged_by(known, box),
        **({"cells": cells.rows(view, number)} if cells.has_cells(view, number) else {}),
        "uncontained": bool(tick) and is_uncontained(box, known),
        "changed": [*view.changed(number, box)],
    }


def _task_id(root: str, state: StepState, box: Box | None) -> str:
    """Return the task that a row shows: a living one, else the one of the tick."""
    if box is None or box.state != "x" or begun_again(box, state) or _lives(root, state):
        return state.task_id or (box.mark.task_id if box and box.mark else "")
    return box.mark.task_id if box.mark and tick_of(box, state) != "by_hand" else ""


def _lives(root: str, state: StepState) -> bool:
    """Return True for a run that lives, and for a job between two of its runs."""
    if not state.task_id or state.verdict not in ("", "started", "reopened"):
        return False
    if runs.newest_status(root, state.task_id).status == "alive":
        return True
    return bool(supervisor(root, state.task_id))


def _is_begun(root: str, state: StepState) -> bool:
    """Return True for an open task while an executor runs the plan: its checks are in no run folder."""
    return not state.verdict and bool(executor(root))


def _state(view: ProjectView, number: StepId, box: Box | None, known: StepState) -> str:
    if box is None:
        return "no line"
    if box.state == "x" and not begun_again(box, known):
        return "by hand" if tick_of(box, known) == "by_hand" else "done"
    return _open_state(view, number, box, known) if view.plan.defines(number) else "not defined"


def _open_state(view: ProjectView, number: StepId, box: Box, state: StepState) -> str:
    if went_back(box, state):
        return "went back"
    if state.task_id and state.verdict in ("", "started"):
        return "running" if _lives(view.root, state) or _is_begun(view.root, state) else "unfinished"
    return "skipped" if is_skipped(view, number) else ENDED.get(state.verdict, "open")


def _ready(view: ProjectView, row: dict[str, Any], survey: Survey) -> bool:
    number: StepId = row["step"]
    if row["state"] == "no line" or not view.plan.defines(number):
        return False
    if row["tick"]:
        return bool(row["stale_by"]) or bool(row["changed"] and view.plan.settings.on_change == "reopen")
    if row["state"] in ("running", "skipped"):
        return False
    return survey.is_ready(number)


def _line(row: dict[str, Any]) -> str:
    task = f"  [{row['task_id']}]" if row["task_id"] else ""
    tick, state = str(row["tick"] or "").replace("_", " "), str(row["state"])
    word = WORDS.get(str(row["tick"]), tick) or state
    alerts = f", {counted(row['alerts'], 'alert')}: do-tasks --monitor" if row["alerts"] else ""
    found = row.get("cells") or ()
    passed = sum(one["state"] == "passed" for one in found)
    counts = [f"{passed} of {len(found)} cells"] if found else []
    words = [
        *([word] if word not in ("proven", "open") else []),
        *counts,
        *([UNCONTAINED] if row["uncontained"] else []),
    ]
    shown = f" ({', '.join(words)}{alerts})" if words else ""
    if row["stale_by"]:
        shown += f" (to run again: step {row['stale_by']} passed after it)"
    changed = describe_changes(row["changed"])
    task += f" ({clean_control(changed)})" if changed else ""
    return f"[{SIGNS[tick or state]}] {row['step']:>3}  {clean_control(str(row['title']))}{shown}{task}"
