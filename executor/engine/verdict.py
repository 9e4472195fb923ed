"""SPEC: the verdict in the log, then in SPEC.md."""

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
from executor.store.ticks import UNCONTAINED, fingerprint
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.spec_file import Change
    from executor.store.task import Task
    from executor.system.outcome import Outcome

NOTE = "note: "  # evidence that is the note of a result file
BLIND = "saw nothing: "  # evidence that names the monitors that saw nothing
LEFT = "ended what it left running: "  # evidence that names the processes a job left
STOOD = "failed by alert "  # evidence that names an alert (monitor/rule) that failed a job at its end


def tick(context: RunContext, task: Task, outcome: Outcome, *, failed_in: str = "") -> None:
    """Write the verdict: a tick for what passed, a mark with the reason for what did not; results are masked now."""
    context.mask_results(task)
    if outcome.verdict == Verdict.PASSED:
        _pass(context, task, outcome)
    else:
        _fail(context, task, outcome, failed_in=failed_in)


def tick_again(context: RunContext, *, number: int, task_id: str, note: str) -> None:
    """Write the tick of a step that passed: after the verdict, or again when it was not written or went back."""
    mark = Mark(kind="passed", task_id=task_id, time=context.local_time(), note=note)
    line = context.mark(number, state="x", mark=mark, task_id=task_id)
    context.journal.write(ticked(line), task_id=task_id, step=number)
    context.journal.sync()


def ticked(line: Change) -> SpecTicked:
    """Return the fact that a line has its tick."""
    after = line.after
    return SpecTicked(line=after.line, text=after.title, before=fingerprint(line.before), after=fingerprint(after))


def marked(line: Change, *, status: str, text: str) -> SpecMarked:
    """Return the fact that a line has another mark than a tick from the log."""
    prints = {"before": fingerprint(line.before), "after": fingerprint(line.after)}
    return SpecMarked(status=status, line=line.after.line, text=text, **prints)


def mark_started(context: RunContext, task: Task) -> None:
    """Show in SPEC.md that the step's job is started: [~], until its end."""
    mark = Mark(kind="started", task_id=task.task_id, time=context.local_time())
    line = context.mark(task.step.number, state="~", mark=mark, task_id=task.task_id)
    context.log(marked(line, status="started", text="started"), task)


def shown_started(context: RunContext, task: Task) -> None:
    """Show it where that can be done: a SPEC.md that somebody has changed or locked must not end the watch."""
    try:
        mark_started(context, task)
    except DoTasksError as error:
        context.log(WarningRaised(message=f"SPEC.md does not show that it is started: {error}"), task)


def _pass(context: RunContext, task: Task, outcome: Outcome) -> None:
    proven, claimed = outcome.evidence.count("proven"), outcome.evidence.count("claimed")
    checks = [check.kind for check in (*task.step.pre_flight, *task.step.post_validation)]
    said = [one for one in outcome.evidence if one.startswith(("alert ", BLIND, LEFT, NOTE))]
    accepted = context.state(task.step.number).accepted
    said += [f"accepted by {accepted}"] if accepted else []
    uncontained = is_uncontained(context, task)
    said = [UNCONTAINED, *said] if uncontained else said
    note = clean(", ".join((_counts(proven=proven, claimed=claimed, prose=checks.count("prose")), *said)))
    passed = StepPassed(
        digest=task.digest,
        **made_of.as_recorded(context, task),
        proven=proven,
        claimed=claimed,
        checks=sum(check.kind != "prose" for check in task.step.post_validation),
        duration_s=_age(context, task),
        note=note,
        uncontained=uncontained,
        accepted=accepted,
    )
    context.log(passed, task)
    context.journal.sync()
    tick_again(context, number=task.step.number, task_id=task.task_id, note=note)


def is_uncontained(context: RunContext, task: Task) -> bool:
    """Return True when an agent did the work of a task and nothing held its shell, in one of its runs at least."""
    if task.runner not in AGENTS:
        return False
    lines = log_reader.task_lines(context.root, task.task_id)
    runs = [line for line in lines if line.get("event") == "MainStarted" and line.get("agent")]
    return task.runner == "host" or not runs or not all(line.get("contained") for line in runs)


def _counts(*, proven: int, claimed: int, prose: int) -> str:
    parts = [f"{proven} proven"] if proven else []
    parts += [f"{claimed} claimed"] if claimed else []
    parts += [f"{prose} not runnable"] if prose else []
    return ", ".join(parts) or "no criteria"


def _fail(context: RunContext, task: Task, outcome: Outcome, *, failed_in: str) -> None:
    reason = context.masked_reason(outcome.reason) or str(outcome.verdict)
    if outcome.verdict == Verdict.INTERRUPTED:
        context.log(StepInterrupted(reason=reason, failed_in=failed_in), task)
    else:
        context.log(_failed(context, task, outcome, reason, failed_in), task)
    context.journal.sync()
    where = "" if failed_in == "BACKGROUND" else f"{failed_in}: "  # a job tells its own end: died: exit 137 ...
    note = context.masker.mask(clean(f"{where}{reason}"))  # again: cleaning joins what an escape had parted
    mark = Mark(kind="failed", task_id=task.task_id, time=context.local_time(), note=note)
    line = context.mark(task.step.number, state=" ", mark=mark, task_id=task.task_id)
    context.log(marked(line, status=outcome.verdict, text=f"{where}{reason}"), task)


def _failed(context: RunContext, task: Task, outcome: Outcome, reason: str, failed_in: str) -> StepFailed:
    stood = tuple(one.removeprefix(STOOD) for one in outcome.evidence if one.startswith(STOOD))
    return StepFailed(
        status=outcome.verdict, reason=reason, failed_in=failed_in, duration_s=_age(context, task), alerts=stood
    )


def _age(context: RunContext, task: Task) -> float:
    return round(context.now() - task.began, 3)
