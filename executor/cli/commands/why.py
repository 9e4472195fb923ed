"""`why`: what would run for a step, which phases, and the reason."""

from __future__ import annotations

from executor.cli.options import JSON, option
from executor.engine.order import Survey
from executor.engine.step_view import awaited, blocking, decide_or_refuse, outrun
from executor.plan.selection import select
from executor.store import log_reader, project
from executor.store.changes import UNSAID, judged_by
from executor.store.fingerprint import who
from executor.store.project_view import ProjectView, box_of
from executor.store.ticks import is_uncontained, tick_of
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_json, escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from executor.store.task import Decision

SHOWN = ("action", "why", "runner", "phases", "box", "last_task", "last_verdict", "tick", "evidence", "alerts", "see")


OPTIONS = (option("step", help="1 | 1-5 | name"), JSON)


def run(args: Namespace) -> Verdict:
    """Print what is known of the steps and what would run."""
    here = project.find(args.project)
    plan, _ = project.load(here)
    desk = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
    boxes = desk.boxes()
    desk.follow_numbers(boxes)
    titles = {number: box.title for number, box in boxes.items()}
    told = [_told(desk, number) for number in select(args.step, plan, titles).numbers]
    desk.sources.save()
    verdict = Verdict.INVALID if any(one["action"] == "refused" for one in told) else Verdict.PASSED
    if args.json:
        import json

        print(escaped_json(json.dumps({"steps": told}, ensure_ascii=False)))
        return verdict
    for one in told:
        print(escaped_line(f"step {one['step']}: {one['title']}"))
        for key in SHOWN:
            if one[key]:
                print(escaped_line(f"  {key.replace('_', ' ')}: {one[key]}"))
        for line in _since(one):
            print(escaped_line(f"  {line}"))
    return verdict


def _since(one: dict[str, Any]) -> Iterator[str]:
    """Yield what is to be said of a tick: what has changed since, and that what judged it is not known."""
    if one["changed"]:
        yield f"changed since it passed: {', '.join(one['changed'])}"
    if one["judged_by"] == UNSAID:
        yield f"judged by: {UNSAID}"


def _told(desk: ProjectView, number: int) -> dict[str, Any]:
    box = box_of(desk, number)
    state = desk.state(number)
    decision = decide_or_refuse(desk, number, heed_stale=True, box=box)
    edges = Survey(desk, desk.boxes(), order=()).missing(number)
    held = [f"{awaited(edge)} of step {edge.step}" for edge in edges]
    blocker = blocking(desk, number)
    held += [f"an alert of step {blocker} to clear"] if blocker else []
    gate = f"; but it waits for {', '.join(held)}" if held and decision.action == "run" else ""
    anew = _anew(desk, number, decision)
    return {
        "step": number,
        "title": box.title,
        "action": decision.action,
        "why": decision.why + anew + gate,
        "runner": _runner(desk, number, decision),
        "phases": _phases(decision),
        "box": f"[{box.state}] line {box.line}",
        "last_task": state.task_id,
        "last_verdict": state.verdict or ("unfinished" if state.task_id else ""),
        "evidence": state.note,
        "tick": tick_of(box, state) or None,
        "uncontained": is_uncontained(box, state),
        "alerts": ", ".join(f"{one.key} [{one.action}]" for one in state.alerts),
        "see": "do-tasks --monitor" if decision.action == "attend" else "",
        "stale_by": outrun(desk, number),
        "changed": [*desk.changed(number, box)],
        "judged_by": judged_by(state, box),
    }


def _anew(desk: ProjectView, number: int, decision: Decision) -> str:
    """Say from where a job goes on: the same task from its newest checkpoint, another one from the beginning."""
    runs_job = decision.action == "run" and decision.main == "run" and desk.step(number).is_job
    if not runs_job or not desk.state(number).job:
        return ""
    if decision.task_id:
        return "; it goes on from its newest checkpoint, if it left one"
    return "; it begins anew, from no checkpoint"


def _runner(desk: ProjectView, number: int, decision: Decision) -> str:
    """Say who would do MAIN; a reused or adopted one is done by nobody anew."""
    if decision.action != "run" or decision.main != "run":
        return ""
    choice = who(desk, desk.step(number))
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
