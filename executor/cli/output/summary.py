"""What a run says of its steps when they have ended."""

from __future__ import annotations

import os

from executor.cli.next_command import resume_command
from executor.engine.step_view import outrun
from executor.store import runs
from executor.system import files
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control as safe
from executor.system.text import escaped_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.cli.output.screen import Screen
    from executor.engine.step import RunReport
    from executor.store.context import RunContext


WORST_FIRST = (
    *(Verdict.INTERRUPTED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED),
    *(Verdict.LOST, Verdict.ALERT, Verdict.WAITING),
)


def worst_of(reports: Iterable[RunReport]) -> Verdict:
    """Return the verdict that the exit code of a run shows."""
    verdicts = [report.outcome.verdict for report in reports]
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), Verdict.PASSED)


def say_report(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Say what became of one step, and what to do next."""
    if report.done and report.outcome.verdict == Verdict.STARTED:
        screen.say(f"Step {report.number} is started ({report.task_id}): {safe(report.outcome.reason)}")
        return
    if report.done:
        why = safe(report.outcome.reason)  # empty of a job that ended just now
        screen.say(f"Step {report.number} is already done: {why}" if why else f"Step {report.number} is done.")
        return
    if not report.task_id:
        if report.outcome.verdict != Verdict.WAITING:  # the transcript has said what it waits for
            screen.say(f"Step {report.number}: {safe(report.outcome.reason)}")
        return
    if report.outcome.verdict in (Verdict.PASSED, Verdict.STARTED):
        later = next(
            (number for number in context.plan.numbers if number > report.number and _still_open(context, number)), 0
        )
        ready = f" Ready for step {later}." if later else ""
        ended = "complete" if report.outcome.verdict == Verdict.PASSED else "started"
        screen.say(f"\nStep {report.number} {ended} in {report.duration_s:.1f}s.{ready}")
        if ended == "started":
            screen.say(f"How it goes: do-tasks --monitor   To end it: do-tasks stop {report.task_id}")
    elif report.outcome.verdict == Verdict.WAITING:
        _say_brief(context, report, screen)
    else:
        verdict = report.outcome.verdict.replace("_", " ")
        again = (
            "" if report.outcome.verdict == Verdict.INTERRUPTED else f" To try again: do-tasks --step {report.number}"
        )
        if runs.is_job(context.root, report.task_id):  # its reason may name a move that keeps what was trained
            screen.say("", safe(report.outcome.reason))
        screen.say(f"\nStep {report.number} {verdict} after {report.duration_s:.1f}s.{again}")
    screen.say(f'\nTo view logs: grep "{report.task_id}" .task_execution.log\n')


def _say_brief(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Show what is to be done by whoever called, with what was found wrong of the last answer."""
    run = runs.newest_main(context.root, report.task_id)
    path = os.path.join(runs.run_folder(context.root, report.task_id, run), "brief.md")
    screen.say("", *map(safe, files.read(path).decode("utf-8", "replace").splitlines()), "")
    screen.say(f"Step {report.number} waits: {safe(report.outcome.reason)}")
    screen.say(safe(f"When the work is done: {resume_command(report.task_id, context.invocation.folder)}"))


def say_json(context: RunContext, reports: list[RunReport], notes: list[str], *, move: str) -> None:
    """Print what became of the steps, and the next command; a step that waits for whoever called carries its brief."""
    import json

    rows = [
        {
            "step": report.number,
            "title": report.title,
            "task_id": report.task_id,
            "verdict": str(report.outcome.verdict),
            "reason": report.outcome.reason,
            "evidence": list(report.outcome.evidence),
            "duration_s": round(report.duration_s, 3),
            "already_done": report.done,
            "brief": _brief_of(context, report),
        }
        for report in reports
    ]
    body = context.masker.mask_all({"steps": rows, "notes": notes, "next": move or None})
    print(escaped_json(json.dumps(body, ensure_ascii=False)))


def _brief_of(context: RunContext, report: RunReport) -> object:
    """Return the brief of a task that waits for its host, None for any other."""
    import json

    if report.outcome.verdict != Verdict.WAITING or not report.task_id:
        return None
    run = runs.newest_main(context.root, report.task_id)
    text = files.read(os.path.join(runs.run_folder(context.root, report.task_id, run), "brief.json"))
    return json.loads(text) if text else None


def _still_open(context: RunContext, number: int) -> bool:
    """Tell, from the log alone, whether a step has no tick that holds."""
    state = context.state(number)
    return not (state.ticked or state.hand_seen) or bool(outrun(context, number))


def at_the_end(reports: list[RunReport]) -> list[RunReport]:
    """Return one report a step, its newest: a job that was started may have ended in the same run."""
    return [*{report.number: report for report in reports}.values()]


def say_summary(reports: list[RunReport], screen: Screen) -> None:
    """Say a line a step."""
    for report in reports:
        verdict = report.outcome.verdict
        mark = {Verdict.PASSED: "✅", Verdict.STARTED: "⏳"}.get(verdict, "❌")
        reason = (
            "already done"
            if report.done and verdict == Verdict.PASSED
            else (report.outcome.reason.splitlines() or [""])[0]
        )
        told = f"{report.title}: {reason}" if reason else report.title
        screen.say(
            f"{mark} step {report.number:<3} {verdict.replace('_', ' '):<11} {report.duration_s:7.1f}s  {safe(told)}"
        )


def still_running(context: RunContext, reports: list[RunReport]) -> list[int]:
    """Return the steps of this run whose background job has not ended since."""
    context.hear()
    started = [report.number for report in reports if report.outcome.verdict == Verdict.STARTED]
    return [number for number in started if context.state(number).verdict == Verdict.STARTED]
