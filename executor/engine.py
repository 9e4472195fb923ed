"""Run a step, run many: recall, decide, phases in order, SPEC always."""

from __future__ import annotations

import os

from executor import watch
from executor.bench import Bench, Task
from executor.desk import box_of, decide, main_digest
from executor.errors import DefinitionError, SpecError
from executor.events import (
    HandTickSeen,
    HandUntickSeen,
    StepSkipped,
    StraysStopped,
    TaskResumed,
    TaskStarted,
    WarningRaised,
)
from executor.outcome import Outcome, Verdict
from executor.phases import PHASES
from executor.phases.tick import tick, tick_again
from executor.state import NEW
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.formats.spec_md import Box
    from executor.recall import Decision
    from executor.steps import Step


class Report(Value):
    """What became of one step that was asked for; `done` says that nothing had to run."""

    number: int
    title: str
    outcome: Outcome
    task_id: str = ""
    duration_s: float = 0.0
    done: bool = False


def run_step(
    bench: Bench, number: int, *, rerun: bool = False, force: bool = False, heed_stale: bool = False
) -> Report:
    """Take one step as far as it goes: nothing, the missing tick, or all its phases."""
    decision = decide(bench, number, rerun=rerun, heed_stale=heed_stale)
    box = box_of(bench, number)
    if decision.action == "done":
        return _done(bench, box, decision)
    if decision.action == "tick":
        tick_again(bench, number=number, task_id=decision.task_id, note=bench.states[number].note)
        return Report(number, box.title, Outcome(Verdict.PASSED, decision.why), decision.task_id, done=True)
    if decision.action in ("ask", "elsewhere"):
        return _skip(bench, box, Outcome(Verdict.WAITING, decision.why))
    unmet = [edge.step for edge in bench.plan.step(number).depends_on if box_of(bench, edge.step).state != "x"]
    if unmet and not force:
        names = ", ".join(map(str, unmet))
        return _skip(
            bench,
            box,
            Outcome(Verdict.WAITING, f"it depends on step {names}, which is open; run it first, or use --force"),
        )
    return _run(bench, bench.plan.step(number), box, decision)


def run_many(
    bench: Bench, numbers: Iterable[int], *, keep_going: bool, rerun: bool, force: bool, heed_stale: bool
) -> list[Report]:
    """Run steps in order until one does not pass; with `keep_going` past failures too."""
    reports: list[Report] = []
    for number in numbers:
        reports.append(_reported(bench, number, keep_going=keep_going, rerun=rerun, force=force, heed_stale=heed_stale))
        verdict = reports[-1].outcome.verdict
        if verdict == Verdict.INTERRUPTED or (verdict != Verdict.PASSED and not keep_going):
            break
    return reports


def _reported(bench: Bench, number: int, *, keep_going: bool, rerun: bool, force: bool, heed_stale: bool) -> Report:
    try:
        return run_step(bench, number, rerun=rerun, force=force, heed_stale=heed_stale)
    except (DefinitionError, SpecError) as error:
        if not keep_going:
            raise
        return Report(number, bench.plan.title(number), Outcome(Verdict.FAILED, str(error)))


def _run(bench: Bench, step: Step, box: Box, decision: Decision) -> Report:
    _warn_of_open_predecessor(bench, step.number)
    task = _open(bench, step, box, decision)
    outcome, failed_in = _phases(bench, task)
    tick(bench, task, outcome, failed_in=failed_in)
    title = step.title or box.title
    return Report(step.number, title, outcome, task.task_id, duration_s=bench.now() - task.began)


def _open(bench: Bench, step: Step, box: Box, decision: Decision) -> Task:
    """Begin a task, or go on with the one that was interrupted, with its strays ended first."""
    state = bench.states.get(step.number, NEW)
    if decision.by_hand == "opened":
        bench.journal.write(HandUntickSeen(text=box.title), task_id=state.task_id, step=step.number)
    _end_strays(bench, step.number, state.task_id if not state.verdict or decision.task_id else "", decision)
    digest = main_digest(bench, step)
    task_id = decision.task_id or f"task_{step.number}_{os.urandom(4).hex()}"
    task = Task(step, task_id, digest, decision, began=bench.now())
    kind = TaskResumed if decision.task_id else TaskStarted
    bench.log(
        kind(phase="PRE-FLIGHT", status="started", title=step.title or box.title, digest=digest, why=decision.why), task
    )
    return task


def _end_strays(bench: Bench, number: int, task_id: str, decision: Decision) -> None:
    if not task_id:
        return
    spared = f"{decision.main_task}/{decision.main_run}" if decision.main == "adopt" else ""
    ended = watch.end_strays(f"{task_id}/", bench.interrupts, sparing=spared)
    if ended:
        bench.journal.write(StraysStopped(pids=ended), task_id=task_id, step=number)


def _phases(bench: Bench, task: Task) -> tuple[Outcome, str]:
    outcome = Outcome(Verdict.PASSED)
    for name, phase in PHASES:
        outcome = phase(bench, task)
        if outcome.passed and bench.interrupts.count:
            outcome = Outcome(Verdict.INTERRUPTED, bench.interrupts.name)
        if not outcome.passed:
            return outcome, name
    return outcome, ""


def _done(bench: Bench, box: Box, decision: Decision) -> Report:
    if decision.by_hand == "seen" and not bench.states.get(box.number, NEW).passed_at:
        bench.journal.write(HandTickSeen(text=box.title), step=box.number)
    return Report(box.number, box.title, Outcome(Verdict.PASSED, decision.why), decision.task_id, done=True)


def _skip(bench: Bench, box: Box, outcome: Outcome) -> Report:
    bench.journal.write(StepSkipped(reason=outcome.reason), step=box.number)
    return Report(box.number, box.title, outcome)


def _warn_of_open_predecessor(bench: Bench, number: int) -> None:
    before = [one for one in bench.plan.numbers if one < number]
    boxes = bench.boxes()
    if before and before[-1] in boxes and boxes[before[-1]].state != "x":
        message = f"step {before[-1]} is still open; step {number} runs all the same"
        bench.journal.write(WarningRaised(message=message), step=number)
