"""The verdict on the work of another process: a job that ended, or a host agent that called `resume`."""

from __future__ import annotations

from executor.engine.decide import decide
from executor.engine.post import post
from executor.engine.step import RunReport, apply_stop
from executor.engine.step_facts import view_of
from executor.engine.verdict import write_tick, write_verdict
from executor.guard import brief_gate
from executor.runners.host import ask, rounds_left
from executor.store import runs
from executor.store.project_view import box_of
from executor.store.task import Decision, Task
from executor.store.ticks import went_back
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext


def resume(context: RunContext, number: StepId) -> RunReport:
    """Judge the work of a host agent: run POST and criteria, then write the verdict or give the brief again."""
    state, box = context.state(number), box_of(context, number)
    decision = Decision("run", "its host says that it is done", task_id=state.task_id)
    step = context.step(number)
    task = Task(step, state.task_id, state.digest, decision, title=box.title, began=context.now(), runner="host")
    outcome = apply_stop(context, task, post(context, task))
    if outcome.passed:
        brief_gate.refuse_changed(context)  # a process that the agent left may have waited for the first comparison
    again = not outcome.passed and outcome.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)
    if again and rounds_left(context, task) > 0:
        outcome = ask(context, task, runs.newest_main(context.root, task.task_id), outcome.reason)
    elif outcome.verdict != Verdict.INTERRUPTED:
        outcome = write_verdict(context, task, outcome, failed_in="POST")
    return RunReport(number, box.title, outcome, task.task_id, duration_s=context.now() - task.began)


def report_passed(context: RunContext, number: StepId) -> RunReport:
    """Return the report of a task that passed; write its tick when it is missing."""
    state, box = context.state(number), box_of(context, number)
    is_opened = box.state != "x" and state.ticked and not went_back(box, state)
    decision = None if is_opened else decide(view_of(context, number, box=box).replace(is_enough=True))
    if decision and decision.action == "tick":
        write_tick(context, number=number, task_id=state.task_id, note=state.note)
    why = decision.why if decision else f"its box was opened since, see: do-tasks why {number}"
    why = why if state.task_id in why else f"passed as {state.task_id}; {why}"
    return RunReport(number, box.title, Outcome(Verdict.PASSED, why), state.task_id, done=True)


def finish(context: RunContext, task: Task, outcome: Outcome, *, failed_in: str = "BACKGROUND") -> Outcome:
    """Judge a job that has ended: run POST and criteria after exit 0, then write the verdict, unless interrupted."""
    if outcome.passed:
        judged, failed_in = apply_stop(context, task, post(context, task)), "POST"
        changes = brief_gate.changed_meanwhile(context) if judged.passed else ""
        judged = Outcome(Verdict.FAILED, changes) if changes else judged
        outcome = judged.replace(evidence=(*judged.evidence, *outcome.evidence))
    if not context.interrupts.count:
        outcome = write_verdict(context, task, outcome, failed_in=failed_in)
    return outcome
