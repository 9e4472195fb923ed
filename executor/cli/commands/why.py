"""`why`: what would run for a step, which phases, and the reason."""

from __future__ import annotations

from executor.cli.options import FROM_TEXT, JSON, option
from executor.cli.output import cells
from executor.cli.output.screen import print_json
from executor.cli.requested_steps import selected
from executor.cli.tasks import executor
from executor.engine.order import Survey, awaited, blocking
from executor.engine.step_facts import decide_or_refuse, newer_dependency
from executor.store import log_reader, project
from executor.store.changes import NOT_RECORDED, judged_by
from executor.store.fingerprint import runner_for
from executor.store.project_view import ProjectView, box_of
from executor.store.step_values import given_to, values_of
from executor.store.ticks import is_uncontained, tick_of
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from executor.plan.step_ids import StepId
    from executor.store.task import Decision

SHOWN = (
    "action",
    "why",
    "runner",
    "phases",
    "params",
    "cells",
    "box",
    "last_task",
    "last_verdict",
    "tick",
    "evidence",
    "alerts",
    "see",
)


OPTIONS = (option("step", help="1 | 1-5 | name"), FROM_TEXT, JSON)


def run(args: Namespace) -> Verdict:
    """Print the state of the steps and what would run."""
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    plan, _ = project.load(here)
    view = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
    boxes = view.boxes()
    view.follow_numbers(boxes)
    rows = [_row(view, number) for number in selected(view, boxes, [args.step])]
    view.sources.save()
    if args.json:
        print_json({"steps": rows})
    else:
        print("\n".join(escaped_line(line) for row in rows for line in _lines(row)))
    return Verdict.INVALID if any(row["action"] == "refused" for row in rows) else Verdict.PASSED


def _lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"step {row['step']}: {row['title']}"
    yield from (f"  {key.replace('_', ' ')}: {row[key]}" for key in SHOWN if row[key])
    if row["changed"]:
        yield f"  changed since it passed: {', '.join(row['changed'])}"
    if row["judged_by"] == NOT_RECORDED:
        yield f"  judged by: {NOT_RECORDED}"


def _row(view: ProjectView, number: StepId) -> dict[str, Any]:
    """Return the row of a step for `--json`."""
    box = box_of(view, number)
    state = view.state(number)
    decision = decide_or_refuse(view, number, reopen_stale=True, box=box)
    edges = Survey(view, view.boxes(), order=()).missing(number)
    held = [f"{awaited(edge)} of step {edge.step}" for edge in edges]
    blocker = blocking(view, number)
    held += [f"an alert of step {blocker} to clear"] if blocker else []
    gate = f"; but it waits for {', '.join(held)}" if held and decision.action == "run" else ""
    return {
        "step": number,
        "title": box.title,
        "action": decision.action,
        "why": _at_work(view, number, decision) + decision.why + _start_of_job(view, number, decision) + gate,
        "runner": _runner(view, number, decision),
        "phases": _phases(decision),
        "box": f"[{box.state}] line {box.line}",
        "last_task": state.task_id,
        "last_verdict": state.verdict or ("unfinished" if state.task_id else ""),
        "evidence": state.note,
        "tick": tick_of(box, state) or None,
        "uncontained": is_uncontained(box, state),
        "params": _params(view, number),
        "cells": cells.words(view, number),
        "alerts": ", ".join(f"{one.key} [{one.action}]" for one in state.alerts),
        "see": "do-tasks --monitor" if decision.action == "attend" else "",
        "stale_by": newer_dependency(view, number),
        "changed": [*view.changed(number, box)],
        "judged_by": judged_by(state, box),
    }


def _params(view: ProjectView, number: StepId) -> str:
    """Return the parameters of a step with their values, empty without any."""
    values = values_of(view, number)
    if not values:
        return ""
    from executor.plan.params import text_of

    given, main = given_to(view, number), view.step(number).main
    varied = (main.matrix if main else None) or ()
    shown = {name: text_of(one) for name, one in values.items() if name not in varied}
    return ", ".join(f"{name}={text}{' (given)' if name in given else ''}" for name, text in shown.items())


def _at_work(view: ProjectView, number: StepId, decision: Decision) -> str:
    """Return the beginning of the reason for a task that has no verdict while an executor runs the plan."""
    state = view.state(number)
    if decision.action != "run" or not state.task_id or state.verdict:
        return ""
    pid = executor(view.root)
    return f"{state.task_id} is at work (executor: pid {pid}); if it were cut off now: " if pid else ""


def _start_of_job(view: ProjectView, number: StepId, decision: Decision) -> str:
    """Return the start of a job: the newest checkpoint for the same task, the beginning for a new one."""
    runs_job = decision.action == "run" and decision.main == "run" and view.step(number).is_job
    if not runs_job or not view.state(number).job:
        return ""
    return (
        "; it continues at its newest checkpoint, if there is one" if decision.task_id else "; it starts from scratch"
    )


def _runner(view: ProjectView, number: StepId, decision: Decision) -> str:
    """Return the runner of MAIN and the reason for it, empty when MAIN would not run."""
    if decision.action != "run" or decision.main != "run":
        return ""
    choice = runner_for(view, view.step(number))
    return f"{choice.runner} ({choice.why})"


def _phases(decision: Decision) -> str:
    if decision.action != "run":
        return {"tick": "SPEC", "attend": "BACKGROUND, POST, SPEC"}.get(decision.action, "")
    test = "TEST reused" if decision.reuse_test else "TEST"
    main = {
        "run": "MAIN",
        "reuse": f"MAIN reused from {decision.main_task}/{decision.main_run}",
        "adopt": "MAIN adopted",
    }
    return f"PRE-FLIGHT, {test}, {main[decision.main]}, POST, SPEC"
