"""Steps that background jobs hold: waited for while the jobs get on."""

from __future__ import annotations

import os

from executor.engine.verdict import tick_again
from executor.store import runs, supervisor_start
from executor.store.events import WarningRaised
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.engine.order import Hold
    from executor.store.context import RunContext
    from executor.store.step_state import StepState

GONE = "its supervisor was gone"
LOOK_S = 0.5
AGAIN_S = 30.0  # a supervisor that ends as soon as it starts is not started over and over
SHOW_S = 3.0
SHOW_LOOK_S = 0.05


class Sight(Record):
    """What was known when it was found that nothing can run: SPEC.md's bytes and the log's states."""

    spec: bytes
    states: dict[int, StepState]


def await_news(context: RunContext, holds: Mapping[int, Hold], seen: Sight, *, until_s: float) -> Outcome:
    """Wait until SPEC.md or the log says something new: passed. Else why not: every job stalls, or the time is over.

    `holds` are the waiting steps, each with the job that it waits for; `until_s` is of the context's clock.
    """
    task_ids = {held.job: context.state(held.job).task_id for held in holds.values()}
    first = next(iter(holds.values())).job
    tried_s = dict.fromkeys(task_ids, -AGAIN_S)
    while context.now() < until_s:
        context.hear(*task_ids.values())
        if Sight(context.spec_bytes(), context.states) != seen:
            return PASSED
        stalls = [stall_of(context.state(job)) for job in task_ids]
        if all(stalls):
            why = f"step {first}, which it waits for, stalls ({stalls[0]}); see: do-tasks --monitor"
            return Outcome(Verdict.ALERT, why)
        _attend(context, task_ids, tried_s)
        if not context.interrupts.sleep(min(LOOK_S, max(0.0, until_s - context.now()))):
            return Outcome(Verdict.INTERRUPTED, context.interrupts.reason)
    return Outcome(Verdict.WAITING, f"step {first} did not get that far")


def _attend(context: RunContext, task_ids: Mapping[int, str], tried_s: dict[int, float]) -> None:
    """Start the supervisors that are gone, each at most every AGAIN_S seconds."""
    for job, task_id in task_ids.items():
        if context.now() - tried_s[job] > AGAIN_S and supervisor_start.attend(
            context.root, task_id, os.environ, why=GONE
        ):
            tried_s[job] = context.now()


def say_waiting(context: RunContext, number: int, held: Hold) -> None:
    """Say what is waited for, and that it can be left."""
    task_id = context.state(held.job).task_id
    message = f"waiting for {held.until} of step {held.job} ({task_id}); Ctrl-C ends the waiting, not the job"
    context.journal.write(WarningRaised(message=message), step=number)


def await_shown(context: RunContext, number: int, task_id: str) -> None:
    """Give the supervisor the moment it needs to show in SPEC.md the verdict it has logged; a dead one's is shown."""
    until = context.now() + SHOW_S
    while context.now() < until and _is_unshown(context, number) and runs.supervisor(context.root, task_id):
        if not context.interrupts.sleep(SHOW_LOOK_S):
            return
        context.hear(task_id)
    if context.state(number).verdict == "passed" and _is_unshown(context, number):
        tick_again(context, number=number, task_id=task_id, note=context.state(number).note)
        context.hear()  # it is on the screen already


def _is_unshown(context: RunContext, number: int) -> bool:
    box = context.boxes().get(number)  # a person may have taken the line out meanwhile
    state = context.state(number)
    if state.verdict == "passed":
        return not state.ticked and box is not None
    return box is not None and box.state == "~"


def stall_of(state: StepState) -> str:
    """Return the key of a stall that stands, empty when the job gets on."""
    return next((alert.key for alert in state.alerts if alert.key.endswith("/stall")), "")
