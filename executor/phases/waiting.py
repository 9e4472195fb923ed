"""A step that a background job holds: waited for while the job gets on."""

from __future__ import annotations

import os

from executor import attend, jobs
from executor.desk import awaited, blocking, is_met
from executor.events import WarningRaised
from executor.outcome import PASSED, Outcome, Verdict
from executor.phases.tick import tick_again
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.bench import Bench
    from executor.steps import Edge

GONE = "its supervisor was gone"
LOOK_S = 0.5
AGAIN_S = 30.0  # a supervisor that ends as soon as it starts is not started over and over


def await_job(bench: Bench, number: int, *, job_step: int, wait_s: float) -> Outcome:
    """Wait until a job holds the step no more: passed. Else why not: the job ended or stalls, or the time is over."""
    until = bench.now() + wait_s
    task_id = bench.state(job_step).task_id
    edges = [edge for edge in bench.step(number).depends_on if edge.step == job_step]
    message = f"waiting for {_what(edges)} of step {job_step} ({task_id}); Ctrl-C ends the waiting, not the job"
    bench.journal.write(WarningRaised(message=message), step=number)
    attended_s = -AGAIN_S
    while bench.now() < until:
        bench.hear(task_id)
        settled = _settled(bench, number, job_step, edges)
        if settled:
            return settled
        if bench.now() - attended_s > AGAIN_S and attend.attend(bench.root, task_id, os.environ, why=GONE):
            attended_s = bench.now()
        if not bench.interrupts.sleep(min(LOOK_S, max(0.0, until - bench.now()))):
            return Outcome(Verdict.INTERRUPTED, bench.interrupts.reason)
    return Outcome(Verdict.WAITING, f"step {job_step} did not come that far in {wait_s:g} s")


def _what(edges: list[Edge]) -> str:
    return awaited(edges[0]) if edges else "the alert to clear"


def _settled(bench: Bench, number: int, job_step: int, edges: list[Edge]) -> Outcome | None:
    """Return how the waiting ends now, None while it goes on."""
    state = bench.state(job_step)
    if state.verdict == "passed" and not state.ticked:
        _tick_for_the_dead(bench, job_step)
        return None
    if state.verdict not in ("started", "passed"):
        return Outcome(Verdict.FAILED, f"step {job_step}, which it waits for, {state.verdict}: {state.reason}")
    if not blocking(bench, number) and all(is_met(bench, edge) for edge in edges):
        return PASSED
    stalls = [alert.partition(" ")[2] for alert in state.alerts if alert.endswith("/stall")]
    if stalls:
        why = f"step {job_step}, which it waits for, stalls ({stalls[0]}); see: do-tasks --monitor"
        return Outcome(Verdict.ALERT, why)
    return None


def _tick_for_the_dead(bench: Bench, job_step: int) -> None:
    """Write the tick that a supervisor did not live to write."""
    state = bench.state(job_step)
    if not jobs.supervisor(bench.root, state.task_id):
        bench.hear()
        if not bench.state(job_step).ticked:
            tick_again(bench, number=job_step, task_id=state.task_id, note=state.note)
