"""Run a step, run many: recall, decide, phases in order, SPEC always."""

from __future__ import annotations

import os

from executor import jobs, watch
from executor.bench import Bench, Task
from executor.desk import box_of, decide, is_done
from executor.errors import DefinitionError, SpecError
from executor.events import (
    HandTickSeen,
    HandUntickSeen,
    SpecTicked,
    StepReopened,
    StepSkipped,
    StraysStopped,
    TaskResumed,
    TaskStarted,
    WarningRaised,
)
from executor.outcome import Outcome, Verdict
from executor.phases import PHASES
from executor.phases.tick import tick, tick_again
from executor.recall import unlogged_tick
from executor.state import NEW
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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


class Manner(Value):
    """How steps are run: `heed_stale` opens steps that a written dependency has outrun."""

    rerun: bool = False
    force: bool = False
    heed_stale: bool = False
    keep_going: bool = False


def run_step(bench: Bench, number: int, how: Manner) -> Report:
    """Take one step as far as it goes: nothing, the missing tick, or all its phases."""
    box = box_of(bench, number)
    decision = decide(bench, number, rerun=how.rerun, heed_stale=how.heed_stale, box=box)
    if decision.action == "done":
        return _done(bench, box, decision)
    if decision.action == "tick":
        tick_again(bench, number=number, task_id=decision.task_id, note=bench.state(number).note)
        return Report(number, box.title, Outcome(Verdict.PASSED, decision.why), decision.task_id, done=True)
    if decision.action == "ask":
        _mark_lost(bench, box, decision)
    if decision.action in ("ask", "elsewhere"):
        return _skip(bench, box, Outcome(Verdict.WAITING, decision.why))
    unmet = [edge.step for edge in bench.step(number).depends_on if not is_done(bench, edge.step)]
    if unmet and not how.force:
        why = f"it depends on step {', '.join(map(str, unmet))}, which is open; run it first, or use --force"
        return _skip(bench, box, Outcome(Verdict.WAITING, why))
    return _run(bench, bench.step(number), box, decision)


def run_many(bench: Bench, numbers: Iterable[int], how: Manner) -> Iterator[Report]:
    """Run steps in order until one does not pass; with `keep_going` past failures too."""
    for number in numbers:
        report = _reported(bench, number, how)
        yield report
        verdict = report.outcome.verdict
        if verdict == Verdict.INTERRUPTED or (verdict != Verdict.PASSED and not how.keep_going):
            return


def _reported(bench: Bench, number: int, how: Manner) -> Report:
    try:
        return run_step(bench, number, how)
    except (DefinitionError, SpecError) as error:
        if not how.keep_going:
            raise
        box = bench.boxes().get(number)
        title = box.title if box else bench.plan.title(number)
        return Report(number, title, Outcome(Verdict.FAILED, str(error)))


def _run(bench: Bench, step: Step, box: Box, decision: Decision) -> Report:
    _warn_of_open_predecessor(bench, step.number)
    task = _open(bench, step, box, decision)
    outcome, failed_in = _phases(bench, task)
    tick(bench, task, outcome, failed_in=failed_in)
    return Report(step.number, task.title, outcome, task.task_id, duration_s=bench.now() - task.began)


def _open(bench: Bench, step: Step, box: Box, decision: Decision) -> Task:
    """Begin a task, or go on with the one that was interrupted, with its strays ended first."""
    state = bench.states.get(step.number, NEW)
    if decision.by_hand == "opened":
        bench.journal.write(HandUntickSeen(text=box.title), task_id=state.task_id, step=step.number)
    if decision.by_hand == "rerun" and state.task_id:
        bench.journal.write(StepReopened(by="--rerun", reason=decision.why), task_id=state.task_id, step=step.number)
    may_live = not state.verdict or decision.task_id or decision.stop_run
    _end_strays(bench, step.number, state.task_id if may_live else "", decision)
    if may_live and state.task_id:
        jobs.mask_task(bench.root, state.task_id, bench.masker, sparing=decision.main_run)
    if decision.task_id and decision.main != "adopt":
        jobs.forget_stop(bench.root, decision.task_id)
    digest = decision.digest
    task_id = decision.task_id or f"task_{step.number}_{os.urandom(4).hex()}"
    task = Task(step, task_id, digest, decision, title=box.title or step.title, began=bench.now())
    kind = TaskResumed if decision.task_id else TaskStarted
    bench.log(kind(phase="PRE-FLIGHT", status="started", title=task.title, digest=digest, why=decision.why), task)
    _warn_of_agent(bench, task)
    return task


def _warn_of_agent(bench: Bench, task: Task) -> None:
    """Say who does MAIN when it is not who the definitions name."""
    main = task.step.main
    if main and main.agent:
        bench.log(WarningRaised(message=f"agent {main.agent} is not in this version: MAIN runs as a command"), task)


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
        outcome = _heeding_people(bench, task, phase(bench, task))
        if not outcome.passed:
            return outcome, name
    return outcome, ""


def _heeding_people(bench: Bench, task: Task, outcome: Outcome) -> Outcome:
    """Return what a person's Ctrl-C or `do-tasks stop` makes of a phase's outcome; reasons without secrets."""
    if bench.interrupts.count:
        return Outcome(Verdict.INTERRUPTED, bench.interrupts.reason)
    if jobs.stop_asked(bench.root, task.task_id):
        return Outcome(Verdict.CANCELLED, jobs.STOPPED)
    return outcome.replace(reason=bench.masker.mask(outcome.reason)) if outcome.reason else outcome


def note_ticks(bench: Bench, boxes: Mapping[int, Box]) -> None:
    """Log the ticks that SPEC.md shows and the log does not: those we died behind, and a person's."""
    for number in bench.plan.numbers:
        if number not in boxes:
            continue
        box, state = boxes[number], bench.state(number)
        whose = unlogged_tick(box, state)
        if whose == "ours":
            bench.journal.write(SpecTicked(line=box.line, text=box.title), task_id=state.task_id, step=number)
        elif whose == "hand":
            bench.journal.write(HandTickSeen(text=box.title), step=number)


def _mark_lost(bench: Bench, box: Box, decision: Decision) -> None:
    """Show in SPEC.md that MAIN is lost, once; a person decides what comes next."""
    if bench.state(box.number).verdict == Verdict.LOST:
        return
    step = bench.step(box.number)
    task = Task(step, decision.task_id, decision.digest, decision, title=box.title, began=bench.now())
    tick(bench, task, Outcome(Verdict.LOST, decision.why), failed_in="MAIN")


def _done(bench: Bench, box: Box, decision: Decision) -> Report:
    return Report(box.number, box.title, Outcome(Verdict.PASSED, decision.why), decision.task_id, done=True)


def _skip(bench: Bench, box: Box, outcome: Outcome) -> Report:
    bench.journal.write(StepSkipped(reason=outcome.reason), step=box.number)
    return Report(box.number, box.title, outcome)


def _warn_of_open_predecessor(bench: Bench, number: int) -> None:
    before = [one for one in bench.plan.numbers if one < number]
    boxes = bench.boxes() if before and bench.state(before[-1]).verdict != "passed" else {}
    if before and before[-1] in boxes and boxes[before[-1]].state != "x":
        message = f"step {before[-1]} is still open; step {number} runs all the same"
        bench.journal.write(WarningRaised(message=message), step=number)
