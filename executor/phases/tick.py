"""SPEC: the verdict in the log, then in SPEC.md."""

from __future__ import annotations

from executor.errors import DoTasksError
from executor.events import SpecMarked, SpecTicked, StepFailed, StepInterrupted, StepPassed, WarningRaised
from executor.formats.spec_md import Mark, clean
from executor.outcome import Verdict
from executor.phases import made_of
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.bench import Bench, Task
    from executor.outcome import Outcome


def tick(bench: Bench, task: Task, outcome: Outcome, *, failed_in: str = "") -> None:
    """Write the verdict: a tick for what passed, a mark with the reason for what did not."""
    if outcome.verdict == Verdict.PASSED:
        _pass(bench, task, outcome)
    else:
        _fail(bench, task, outcome, failed_in=failed_in)


def tick_again(bench: Bench, *, number: int, task_id: str, note: str) -> None:
    """Write the tick of a step that passed before we died."""
    mark = Mark(kind="passed", task_id=task_id, time=bench.local_time(), note=note)
    box = bench.mark(number, state="x", mark=mark)
    bench.journal.write(SpecTicked(line=box.line, text=box.title), task_id=task_id, step=number)
    bench.journal.sync()


def mark_started(bench: Bench, task: Task) -> None:
    """Show in SPEC.md that the step's job is started: [~], until its end."""
    mark = Mark(kind="started", task_id=task.task_id, time=bench.local_time())
    box = bench.mark(task.step.number, state="~", mark=mark)
    bench.log(SpecMarked(status="started", line=box.line, text="started"), task)


def shown_started(bench: Bench, task: Task) -> None:
    """Show it where that can be done: a SPEC.md that somebody has changed or locked must not end the watch."""
    try:
        mark_started(bench, task)
    except DoTasksError as error:
        bench.log(WarningRaised(message=f"SPEC.md does not show that it is started: {error}"), task)


def _pass(bench: Bench, task: Task, outcome: Outcome) -> None:
    proven, claimed = outcome.evidence.count("proven"), outcome.evidence.count("claimed")
    prose = sum(check.kind == "prose" for check in (*task.step.pre_flight, *task.step.post_validation))
    stood = [one for one in outcome.evidence if one.startswith("alert ")]
    note = clean(", ".join((_counts(proven=proven, claimed=claimed, prose=prose), *stood)))
    what = made_of.as_recorded(bench, task)
    duration_s = _age(bench, task)
    passed = StepPassed(digest=task.digest, **what, proven=proven, claimed=claimed, duration_s=duration_s, note=note)
    bench.log(passed, task)
    bench.journal.sync()
    tick_again(bench, number=task.step.number, task_id=task.task_id, note=note)


def _counts(*, proven: int, claimed: int, prose: int) -> str:
    parts = [f"{proven} proven"] if proven else []
    parts += [f"{claimed} claimed"] if claimed else []
    parts += [f"{prose} not runnable"] if prose else []
    return ", ".join(parts) or "no criteria"


def _fail(bench: Bench, task: Task, outcome: Outcome, *, failed_in: str) -> None:
    reason = bench.masker.mask(outcome.reason) or str(outcome.verdict)
    if outcome.verdict == Verdict.INTERRUPTED:
        bench.log(StepInterrupted(reason=reason, failed_in=failed_in), task)
    else:
        bench.log(
            StepFailed(status=outcome.verdict, reason=reason, failed_in=failed_in, duration_s=_age(bench, task)), task
        )
    bench.journal.sync()
    where = "" if failed_in == "BACKGROUND" else f"{failed_in}: "  # a job tells its own end: died: exit 137 ...
    note = bench.masker.mask(clean(f"{where}{reason}"))  # again: cleaning joins what an escape had parted
    mark = Mark(kind="failed", task_id=task.task_id, time=bench.local_time(), note=note)
    box = bench.mark(task.step.number, state=" ", mark=mark)
    bench.log(SpecMarked(status=outcome.verdict, line=box.line, text=f"{where}{reason}"), task)


def _age(bench: Bench, task: Task) -> float:
    return round(bench.now() - task.began, 3)
