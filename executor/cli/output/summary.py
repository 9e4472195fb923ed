"""The end of a run: a report for each step, a summary, JSON."""

from __future__ import annotations

import os

from executor.cli.next_command import resume_command
from executor.cli.output.screen import print_json
from executor.engine.step_facts import newer_dependency
from executor.store import runs
from executor.system import files
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.cli.output.screen import Screen
    from executor.engine.step import RunReport
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext


WORST_FIRST = (
    *(Verdict.INTERRUPTED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED),
    *(Verdict.LOST, Verdict.ALERT, Verdict.WAITING),
)


def worst_of(reports: Iterable[RunReport]) -> Verdict:
    """Return the verdict that the exit code of a run shows."""
    verdicts = [report.outcome.verdict for report in reports]
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), Verdict.PASSED)


def print_report(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Print the result of one step and the next command."""
    if report.done and report.outcome.verdict == Verdict.STARTED:
        screen.print(f"Step {report.number} is started ({report.task_id}): {clean_control(report.outcome.reason)}")
        return
    if report.done:
        why = clean_control(report.outcome.reason)  # empty of a job that ended just now
        screen.print(f"Step {report.number} is already done: {why}" if why else f"Step {report.number} is done.")
        return
    if not report.task_id:
        if report.outcome.verdict not in (Verdict.WAITING, Verdict.SKIPPED):  # the transcript has their reasons
            screen.print(f"Step {report.number}: {clean_control(report.outcome.reason)}")
        return
    if report.outcome.verdict in (Verdict.PASSED, Verdict.STARTED):
        _print_success(context, report, screen)
    elif report.outcome.verdict == Verdict.WAITING:
        _print_brief(context, report, screen)
    else:
        verdict = report.outcome.verdict.replace("_", " ")
        is_cut = report.outcome.verdict == Verdict.INTERRUPTED
        again = "" if is_cut else f" To try again: do-tasks --step {report.number}"
        if runs.is_job(context.root, report.task_id):  # its reason may name a command that keeps what was trained
            screen.print("", clean_control(report.outcome.reason))
        screen.print(f"\nStep {report.number} {verdict} after {report.duration_s:.1f}s.{again}")
    screen.print(f'\nTo view logs: grep "{report.task_id}" .task_execution.log\n')


def _print_success(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Print that a step is complete or started, and the next open step."""
    place = context.plan.place
    after = (number for number in context.plan.numbers if place(number) > place(report.number))
    ready = next((f" Ready for step {number}." for number in after if _is_open(context, number)), "")
    ended = "complete" if report.outcome.verdict == Verdict.PASSED else "started"
    screen.print(f"\nStep {report.number} {ended} in {report.duration_s:.1f}s.{ready}")
    if ended == "started":
        screen.print("To watch it: do-tasks --monitor", f"To end it: do-tasks stop {report.task_id}")


def _print_brief(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Print the brief, with the faults of the last answer, and the command for the finished work."""
    run = runs.newest_main(context.root, report.task_id)
    path = os.path.join(runs.run_folder(context.root, report.task_id, run), "brief.md")
    screen.print("", *map(clean_control, files.read(path).decode("utf-8", "replace").splitlines()), "")
    screen.print(f"Step {report.number} waits: {clean_control(report.outcome.reason)}")
    screen.print(clean_control(f"When the work is done: {resume_command(report.task_id, context.invocation.folder)}"))


def print_reports(context: RunContext, reports: list[RunReport], notes: list[str], *, move: str) -> None:
    """Print the results of the steps and the next command as JSON, with the brief of a step that waits."""
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
    print_json(context.masker.mask_all({"steps": rows, "notes": notes, "next": move or None}))


def _brief_of(context: RunContext, report: RunReport) -> object:
    """Return the brief of a task that waits for an answer to it, None for any other."""
    import json

    if report.outcome.verdict != Verdict.WAITING or not report.task_id:
        return None
    run = runs.newest_main(context.root, report.task_id)
    text = files.read(os.path.join(runs.run_folder(context.root, report.task_id, run), "brief.json"))
    return json.loads(text) if text else None


def _is_open(context: RunContext, number: StepId) -> bool:
    """Return True for a step without a valid tick, by the log alone."""
    state = context.state(number)
    return not (state.ticked or state.hand_seen) or bool(newer_dependency(context, number))


def newest_reports(reports: list[RunReport]) -> list[RunReport]:
    """Return the newest report of each step: a job that was started may have ended in the same run."""
    return [*{report.number: report for report in reports}.values()]


def print_summary(reports: list[RunReport], screen: Screen) -> None:
    """Print one line for each step."""
    for report in reports:
        verdict = report.outcome.verdict
        mark = {Verdict.PASSED: "✅", Verdict.STARTED: "⏳", Verdict.SKIPPED: "–"}.get(verdict, "❌")
        reason = (
            "already done"
            if report.done and verdict == Verdict.PASSED
            else (report.outcome.reason.splitlines() or [""])[0]
        )
        text = clean_control(f"{report.title}: {reason}" if reason else report.title)
        words = f"step {report.number:<3} {verdict.replace('_', ' '):<11} {report.duration_s:7.1f}s"
        screen.print(f"{mark} {words}  {text}")


def still_running(context: RunContext, reports: list[RunReport]) -> list[StepId]:
    """Return the steps of this run whose background job has not ended since."""
    context.catch_up()
    started = [report.number for report in reports if report.outcome.verdict == Verdict.STARTED]
    return [number for number in started if context.state(number).verdict == Verdict.STARTED]
