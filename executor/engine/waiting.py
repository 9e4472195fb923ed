"""Waits for background jobs that hold steps."""

from __future__ import annotations

import os

from executor.engine.verdict import write_tick
from executor.store import jobs, runs
from executor.store.events import WarningRaised
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.engine.order import Hold
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.step_state import StepState

GONE = "its supervisor was gone"
LOOK_S = 0.5
AGAIN_S = 30.0  # between two starts of a supervisor that ends at once
SHOW_S = 3.0
SHOW_LOOK_S = 0.05


class LastRead(Record):
    """SPEC.md and the log as they were last read, when no step could run."""

    spec: bytes
    states: dict[StepId, StepState]


def await_change(context: RunContext, holds: Mapping[StepId, Hold], seen: LastRead, *, until_s: float) -> Outcome:
    """Wait until SPEC.md or the log changes, and return PASSED; another outcome when every job stalls or time is up.

    `holds` are the waiting steps, each with the job that it waits for; `until_s` is of the context's clock.
    """
    task_ids = {held.job: context.state(held.job).task_id for held in holds.values()}
    first = next(iter(holds.values())).job
    tried_s = dict.fromkeys(task_ids, -AGAIN_S)
    while context.now() < until_s:
        context.catch_up(*task_ids.values())
        if LastRead(context.spec_bytes(), context.states) != seen:
            return PASSED
        stalls = [stall_of(context.state(job)) for job in task_ids]
        if all(stalls):
            why = f"step {first}, which it waits for, stalls ({stalls[0]}); see: do-tasks --monitor"
            return Outcome(Verdict.ALERT, why)
        _attend(context, task_ids, tried_s)
        if not context.interrupts.sleep(min(LOOK_S, max(0.0, until_s - context.now()))):
            return Outcome(Verdict.INTERRUPTED, context.interrupts.reason)
    return Outcome(Verdict.WAITING, f"step {first} did not get that far")


def _attend(context: RunContext, task_ids: Mapping[StepId, str], tried_s: dict[StepId, float]) -> None:
    """Start the supervisors that are gone, each at most every AGAIN_S seconds."""
    for job, task_id in task_ids.items():
        if context.now() - tried_s[job] > AGAIN_S and jobs.start_supervisor(
            context.root, task_id, os.environ, why=GONE
        ):
            tried_s[job] = context.now()


def announce_wait(context: RunContext, number: StepId, held: Hold) -> None:
    """Log a warning that names the job that is waited for."""
    task_id = context.state(held.job).task_id
    message = f"waiting for {held.until} of step {held.job} ({task_id}); Ctrl-C ends the waiting, not the job"
    context.journal.write(WarningRaised(message=message), step=number)


def await_tick(context: RunContext, number: StepId, task_id: str) -> None:
    """Wait until the supervisor has written its verdict to SPEC.md; write the tick when it died before."""
    until = context.now() + SHOW_S
    while context.now() < until and _is_unshown(context, number) and runs.supervisor(context.root, task_id):
        if not context.interrupts.sleep(SHOW_LOOK_S):
            return
        context.catch_up(task_id)
    if context.state(number).verdict == "passed" and _is_unshown(context, number):
        write_tick(context, number=number, task_id=task_id, note=context.state(number).note)
        context.catch_up()  # the tick is on the screen already


def _is_unshown(context: RunContext, number: StepId) -> bool:
    box = context.boxes().get(number)  # a person may have removed the line
    state = context.state(number)
    if state.verdict == "passed":
        return not state.ticked and box is not None
    return box is not None and box.state == "~"


def stall_of(state: StepState) -> str:
    """Return the key of a stall alert that stands, empty when the job makes progress."""
    return next((alert.key for alert in state.alerts if alert.key.endswith("/stall")), "")
