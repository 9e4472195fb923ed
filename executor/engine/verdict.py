"""SPEC: writes the verdict to the log, then to SPEC.md."""

from __future__ import annotations

from executor.errors import DoTasksError
from executor.plan.runner_choice import AGENTS
from executor.plan.spec.spec_md import Mark, clean
from executor.runners import made_of
from executor.store import log_reader
from executor.store.events import (
    SpecMarked,
    SpecTicked,
    StepFailed,
    StepInterrupted,
    StepPassed,
    WarningRaised,
)
from executor.store.ticks import UNCONTAINED, line_fingerprint
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.spec_file import Change
    from executor.store.task import Task

NOTE = "note: "  # evidence: the note of a result file
BLIND = "saw nothing: "  # evidence: the monitors that saw nothing
LEFT = "ended what it left running: "  # evidence: the processes that a job left
REWRITTEN = "the task asks for something else since it began; read it, then run it again"
STOOD = "failed by alert "  # evidence: an alert (monitor/rule) that failed a job at its end


def write_verdict(context: RunContext, task: Task, outcome: Outcome, *, failed_in: str = "") -> Outcome:
    """Write the verdict: a tick for passed, else a mark with the reason; the result files are masked first.

    Return the outcome as it was written: a task that asks for something else by now has failed.
    """
    context.mask_results(task)
    if outcome.verdict == Verdict.PASSED and _asks_otherwise(context, task):
        outcome, failed_in = Outcome(Verdict.FAILED, REWRITTEN), "SPEC"
    if outcome.verdict == Verdict.PASSED:
        _pass(context, task, outcome)
    else:
        _fail(context, task, outcome, failed_in=failed_in)
    return outcome


def _asks_otherwise(context: RunContext, task: Task) -> bool:
    """Return True when the text of a task in a plan of another tool has changed since the task began."""
    return bool(task.step.text) and context.source.text_digest(task.step.number) != task.step.text


def write_tick(context: RunContext, *, number: StepId, task_id: str, note: str) -> None:
    """Write the tick of a step that passed: after the verdict, or again when it was not written or went back."""
    mark = Mark(kind="passed", task_id=task_id, time=context.local_time(), note=note)
    line = context.mark(number, state="x", mark=mark, task_id=task_id)
    context.journal.write(ticked_event(line), task_id=task_id, step=number)
    context.journal.sync()


def ticked_event(line: Change) -> SpecTicked:
    """Return the event for the tick of a line."""
    after = line.after
    return SpecTicked(
        line=after.line, text=after.title, before=line_fingerprint(line.before), after=line_fingerprint(after)
    )


def marked_event(line: Change, *, status: str, text: str) -> SpecMarked:
    """Return the event for a mark other than a tick."""
    prints = {"before": line_fingerprint(line.before), "after": line_fingerprint(line.after)}
    return SpecMarked(status=status, line=line.after.line, text=text, **prints)


def mark_started(context: RunContext, task: Task) -> None:
    """Mark the step's line as [~] in SPEC.md: its job is started, until its end."""
    mark = Mark(kind="started", task_id=task.task_id, time=context.local_time())
    line = context.mark(task.step.number, state="~", mark=mark, task_id=task.task_id)
    context.log(marked_event(line, status="started", text="started"), task)


def try_mark_started(context: RunContext, task: Task) -> None:
    """Mark the job as started; a SPEC.md that is changed or locked costs a warning, not the job."""
    try:
        mark_started(context, task)
    except DoTasksError as error:
        context.log(WarningRaised(message=f"SPEC.md does not show that it is started: {error}"), task)


def _pass(context: RunContext, task: Task, outcome: Outcome) -> None:
    proven, claimed = outcome.evidence.count("proven"), outcome.evidence.count("claimed")
    checks = [check.kind for check in (*task.step.pre_flight, *task.step.post_validation)]
    noted = [one for one in outcome.evidence if one.startswith(("alert ", BLIND, LEFT, NOTE))]
    accepted = context.state(task.step.number).accepted
    noted += [f"accepted by {accepted}"] if accepted else []
    uncontained = is_uncontained(context, task)
    noted = [UNCONTAINED, *noted] if uncontained else noted
    counts = {"proven": proven, "claimed": claimed, "not runnable": checks.count("prose")}
    counted = [f"{count} {name}" for name, count in counts.items() if count] or ["no criteria"]
    note = clean(", ".join((*counted, *noted)))
    passed = StepPassed(
        digest=task.digest,
        **made_of.as_recorded(context, task),
        proven=proven,
        claimed=claimed,
        checks=sum(check.kind != "prose" for check in task.step.post_validation),
        duration_s=round(context.now() - task.began, 3),
        note=note,
        uncontained=uncontained,
        accepted=accepted,
    )
    context.log(passed, task)
    context.journal.sync()
    write_tick(context, number=task.step.number, task_id=task.task_id, note=note)


def is_uncontained(context: RunContext, task: Task) -> bool:
    """Return True when an agent did the task and its shell was not contained in one of its runs at least."""
    if task.runner not in AGENTS:
        return False
    lines = log_reader.task_lines(context.root, task.task_id)
    runs = [line for line in lines if line.get("event") == "MainStarted" and line.get("agent")]
    return task.runner == "host" or not runs or not all(line.get("contained") for line in runs)


def _fail(context: RunContext, task: Task, outcome: Outcome, *, failed_in: str) -> None:
    reason = context.masked_reason(outcome.reason) or str(outcome.verdict)
    if outcome.verdict == Verdict.INTERRUPTED:
        context.log(StepInterrupted(reason=reason, failed_in=failed_in), task)
    else:
        stood = tuple(one.removeprefix(STOOD) for one in outcome.evidence if one.startswith(STOOD))
        duration_s = round(context.now() - task.began, 3)
        failed = StepFailed(
            status=outcome.verdict, reason=reason, failed_in=failed_in, duration_s=duration_s, alerts=stood
        )
        context.log(failed, task)
    context.journal.sync()
    where = "" if failed_in == "BACKGROUND" else f"{failed_in}: "  # a job's reason names its end: died: exit 137 ...
    note = context.masker.mask(clean(f"{where}{reason}"))  # again: clean() joins parts that an escape separated
    mark = Mark(kind="failed", task_id=task.task_id, time=context.local_time(), note=note)
    line = context.mark(task.step.number, state=" ", mark=mark, task_id=task.task_id)
    context.log(marked_event(line, status=outcome.verdict, text=f"{where}{reason}"), task)
