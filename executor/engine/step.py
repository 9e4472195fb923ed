"""Runs a step: decision, phases in order, verdict."""

from __future__ import annotations

from executor.engine.condition import is_skipped
from executor.engine.decide import decide
from executor.engine.order import hold
from executor.engine.phases import ROUND, phases_of, start_round
from executor.engine.step_facts import view_of
from executor.engine.verdict import write_verdict
from executor.guard import brief_gate
from executor.plan.runner_choice import STARTED_AGENTS
from executor.plan.step_ids import new_task_id
from executor.store import known_secrets, runs
from executor.store.changes import describe_changes
from executor.store.events import (
    HandUntickSeen,
    StepReopened,
    StepSkipped,
    StraysStopped,
    TaskResumed,
    TaskStarted,
    WarningRaised,
)
from executor.store.fingerprint import available_runner_for
from executor.store.project_view import box_of
from executor.store.step_state import NEW
from executor.store.step_values import given_to
from executor.store.task import Task
from executor.system import process_loop
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.engine.phases import Phase
    from executor.plan.model import Step
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.step_state import StepState
    from executor.store.task import Decision


class RunReport(Record):
    """The result of one requested step; `done` is True when no phase had to run.

    `held_by` is the step whose background job it waits for, 0 for none.
    """

    number: StepId
    title: str
    outcome: Outcome
    task_id: str = ""
    duration_s: float = 0.0
    done: bool = False
    held_by: StepId = 0


class RunOptions(Record):
    """Options of a run: `reopen_stale` also runs ticked steps that are stale.

    `wait_s` is the longest wait for a background job that holds a step, seconds. `jobs` steps run at a time.
    """

    rerun: bool = False
    force: bool = False
    reopen_stale: bool = False
    keep_going: bool = False
    wait_s: float = 0.0
    jobs: int = 1


def run_step(context: RunContext, number: StepId, how: RunOptions) -> RunReport:
    """Run one step as far as its decision says: not at all, its missing tick, or its phases."""
    box = box_of(context, number)
    facts = view_of(context, number, rerun=how.rerun, reopen_stale=how.reopen_stale, box=box, force=how.force)
    decision = decide(facts)
    context.trace(
        "decide", task_id=decision.task_id, step=number, action=decision.action, main=decision.main, why=decision.why
    )
    if decision.action == "done":
        return _done(context, box, decision)
    if decision.action == "tick":
        from executor.engine.waiting import await_tick

        await_tick(context, number, decision.task_id)
        return RunReport(number, box.title, Outcome(Verdict.PASSED, decision.why), decision.task_id, done=True)
    if decision.action == "ask":
        _mark_lost(context, box, decision)
    if decision.action in ("ask", "elsewhere", "back", "recheck"):
        return _skip(context, box, Outcome(Verdict.WAITING, decision.why))
    if decision.action == "wait":
        return RunReport(number, box.title, Outcome(Verdict.WAITING, decision.why), decision.task_id)
    if decision.action == "attend":
        return _attend(context, box, decision, how)
    held = None if how.force else _held(context, box)
    return held or _run_or_skip(context, box, decision)


def _run_or_skip(context: RunContext, box: Box, decision: Decision) -> RunReport:
    if decision.action == "skip":
        return _skip(context, box, Outcome(Verdict.SKIPPED, decision.why))
    return _run(context, context.step(box.number), box, decision)


def _attend(context: RunContext, box: Box, decision: Decision, how: RunOptions) -> RunReport:
    """Watch a job that has no verdict yet; run a lost one again, as the step says."""
    from executor.runners.background import await_start, mend_record

    mend_record(context, box, decision.task_id)
    outcome = await_start(context, box.number, decision.task_id, why="its supervisor was gone")
    if outcome.verdict == Verdict.LOST:
        return run_step(context, box.number, how)
    running = outcome.verdict == Verdict.STARTED
    outcome = outcome.replace(reason=decision.why) if running else outcome
    return RunReport(box.number, box.title, outcome, decision.task_id, done=running or outcome.passed)


def _held(context: RunContext, box: Box) -> RunReport | None:
    """Return the report of a step that must wait, None when it can run."""
    held = hold(context, box.number)
    if held is None:
        return None
    return _skip(context, box, Outcome(Verdict.WAITING, held.why)).replace(held_by=held.job)


def _run(context: RunContext, step: Step, box: Box, decision: Decision) -> RunReport:
    _warn_of_open_predecessor(context, step.number)
    task = _open(context, step, box, decision)
    outcome, failed_in = _run_phases(context, task, phases_of(task))
    while failed_in == "POST" and task.runner in STARTED_AGENTS and start_round(context, task, outcome):
        task = task.replace(decision=task.decision.replace(main="run", lost_run=""))
        outcome, failed_in = _run_phases(context, task, ROUND)
    if outcome.passed and failed_in != "BACKGROUND":
        brief_gate.refuse_changed(context)
    if failed_in != "BACKGROUND" and outcome.verdict != Verdict.WAITING:  # else a supervisor or host gives the verdict
        outcome = write_verdict(context, task, outcome, failed_in=failed_in)
    return RunReport(step.number, task.title, outcome, task.task_id, duration_s=context.now() - task.began)


def _open(context: RunContext, step: Step, box: Box, decision: Decision) -> Task:
    """Start a task, or continue the interrupted one after its leftover processes were stopped."""
    state = context.states.get(step.number, NEW)
    if state.task_id and runs.is_job(context.root, state.task_id) and _lives(context, state.task_id):
        from executor.runners.background import end_job

        end_job(context, step.number, state.task_id)
        state = context.states.get(step.number, NEW)
    if decision.by_hand == "opened":
        context.journal.write(HandUntickSeen(text=box.title), task_id=state.task_id, step=step.number)
    if decision.by_hand == "rerun" and state.task_id:
        context.journal.write(StepReopened(by="--rerun", reason=decision.why), task_id=state.task_id, step=step.number)
    _stop_leftovers(context, step.number, state, decision)
    if decision.task_id and decision.main != "adopt":
        runs.forget_stop(context.root, decision.task_id)
    asked_runner = context.asked_runner or (state.asked_runner if decision.task_id else "")
    return _logged_task(context, step, box.title or step.title, decision, asked_runner=asked_runner)


def _logged_task(context: RunContext, step: Step, title: str, decision: Decision, *, asked_runner: str) -> Task:
    """Write the start of a task to the log; return the task."""
    choice = available_runner_for(context, step)
    task_id = decision.task_id or new_task_id(step.number)
    task = Task(step, task_id, decision.digest, decision, title=title, began=context.now(), runner=choice.runner)
    kind = TaskResumed if decision.task_id else TaskStarted
    started = kind(
        phase="PRE-FLIGHT",
        status="started",
        title=title,
        digest=decision.digest,
        why=decision.why,
        runner=choice.runner,
        runner_why=choice.why if step.main and step.main.agent else "",
        asked_runner=asked_runner,
        params=given_to(context, step.number) or None,
    )
    context.log(started, task)
    if context.devices:
        runs.write_devices(context.root, task_id, context.devices)
    return task


def _lives(context: RunContext, task_id: str) -> bool:
    return bool(runs.supervisor(context.root, task_id)) or runs.newest_status(context.root, task_id).status == "alive"


def _stop_leftovers(context: RunContext, number: StepId, state: StepState, decision: Decision) -> None:
    """Stop the processes that the step's task left, and mask its files; MachineError when one of them lives on."""
    task_id, may_live = state.task_id, state.verdict in ("", "lost") or decision.task_id or decision.stop_run
    if not task_id or not (may_live or runs.living_run(context.root, task_id)):
        return
    spared = f"{decision.main_task}/{decision.main_run}" if decision.main == "adopt" else ""
    ended = process_loop.stop_strays(f"{task_id}/", context.interrupts, root=context.root, excluding=spared)
    if ended:
        context.journal.write(StraysStopped(pids=ended), task_id=task_id, step=number)
        process_loop.wait_until_reaped(ended, context.interrupts)
    runs.refuse_second_run(context.root, task_id, before=decision.main_run)
    names = known_secrets.public_names(context.step(number)) if context.plan.defines(number) else ()
    known_secrets.mask_task(context.root, task_id, context.masker, spare=names, sparing=decision.main_run)


def _run_phases(context: RunContext, task: Task, phases: tuple[Phase, ...]) -> tuple[Outcome, str]:
    """Run the phases in order; return the outcome and name of the first that did not pass."""
    outcome = Outcome(Verdict.PASSED)
    for name, phase in phases:
        context.trace("begin phase", task_id=task.task_id, step=task.step.number, phase=name)
        outcome = phase(context, task)
        context.trace("end phase", phase=name, verdict=str(outcome.verdict), reason=outcome.reason)
        if name == "BACKGROUND" or outcome.verdict == Verdict.WAITING:
            return outcome, name
        outcome = apply_stop(context, task, outcome)
        if not outcome.passed:
            return outcome, name
    return outcome, ""


def apply_stop(context: RunContext, task: Task, outcome: Outcome) -> Outcome:
    """Return a phase's outcome, replaced after Ctrl-C or `do-tasks stop`; its reason without secrets."""
    if context.interrupts.count:
        return Outcome(Verdict.INTERRUPTED, context.interrupts.reason)
    if runs.stop_asked(context.root, task.task_id):
        return Outcome(Verdict.CANCELLED, runs.STOPPED)
    return outcome.replace(reason=context.masked_reason(outcome.reason)) if outcome.reason else outcome


def _mark_lost(context: RunContext, box: Box, decision: Decision) -> None:
    """Mark MAIN as lost in SPEC.md, once; a person decides what comes next."""
    if context.state(box.number).verdict == Verdict.LOST:
        return
    step = context.step(box.number)
    task = Task(step, decision.task_id, decision.digest, decision, title=box.title, began=context.now())
    write_verdict(context, task, Outcome(Verdict.LOST, decision.why), failed_in="MAIN")


def _done(context: RunContext, box: Box, decision: Decision) -> RunReport:
    """Return the report of a step that is done already, with the changes since it passed."""
    why = "; ".join(filter(None, (decision.why, describe_changes(context.changed(box.number, box)))))
    return RunReport(box.number, box.title, Outcome(Verdict.PASSED, why), decision.task_id, done=True)


def _skip(context: RunContext, box: Box, outcome: Outcome) -> RunReport:
    context.journal.write(StepSkipped(reason=outcome.reason), step=box.number)
    return RunReport(box.number, box.title, outcome)


def _warn_of_open_predecessor(context: RunContext, number: StepId) -> None:
    before = context.plan.before(number)
    if before and (before in context.beside or is_skipped(context, before)):
        return
    boxes = context.boxes() if before and context.state(before).verdict not in ("passed", "started") else {}
    if before and before in boxes and boxes[before].state != "x":
        message = f"step {before} is still open; step {number} runs all the same"
        context.journal.write(WarningRaised(message=message), step=number)
