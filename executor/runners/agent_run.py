"""MAIN by an agent that we start: sent out with a brief, heard turn by turn, never believed."""

from __future__ import annotations

import os

from executor.errors import DoTasksError
from executor.guard import agent, confine
from executor.plan.limits import bounds_of
from executor.plan.model import Main
from executor.runners import agent_result, process_run
from executor.runners import agent_setup as kits
from executor.runners.agent import request as orders
from executor.runners.agent_launch import AgentLaunch
from executor.runners.agent_output import AgentOutput
from executor.runners.made_of import note_task
from executor.runners.main_run import log_finished
from executor.store import runs
from executor.system import procfs
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.guard.agent import Baseline
    from executor.runners.main_run import Judged
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task


class AgentRunner(Record):
    """An agent does MAIN: its first round, the next, or one that goes on after a crash."""

    context: RunContext
    task: Task

    def start(self) -> Judged:
        """Begin a run, watch it to its end and judge it."""
        return _start(self.context, self.task, self.task.step.main or Main())

    def adopt(self, run: str) -> Judged:
        """Watch a run to its end that an earlier executor began; one that is lost is started again, as the step says.

        Turns that are in the log are not shown again.
        """
        spec = self.task.step.main or Main()
        bounds = bounds_of(spec, self.context.plan.settings) if self.task.runner == "claude-code" else None
        heard = AgentOutput(self.context, self.task, run, bounds)
        done = process_run.adopt(self.context, self.task, run=run, limit_s=spec.limit_s, hear=heard)
        outcome, classes = _judge(self.context, self.task, run, done, heard)
        if outcome.verdict != Verdict.LOST or spec.on_lost == "ask" or self.context.interrupts.count:
            return outcome, classes
        return self.start()


def _start(context: RunContext, task: Task, spec: Main) -> Judged:
    offended = agent.offended_before(context, task)
    if offended:
        return Outcome(Verdict.FAILED, offended), ("tampered",)
    kit = kits.kit_of(context, task)
    if isinstance(kit, kits.SetupError):
        return Outcome(Verdict.FAILED, f"expected {kit.expected}, got {kit.got}; {kit.fix}"), ("unfit",)
    run = runs.next_main(context.root, task.task_id)
    note_task(context, task, run)
    sent = AgentLaunch(context, task, run, kit)
    if sent.spent_out:
        return Outcome(Verdict.FAILED, sent.spent_out), ("spent",)
    heard = AgentOutput(context, task, run, kit.bounds if kit.program else None)
    errand = process_run.LaunchRequest(run, sent.argv(), sent.note, environ=sent.environ())
    kin = procfs.children()

    def after() -> None:
        agent.end_orphans(kin)
        agent.stand_up(context, task, run)

    try:
        done = process_run.launch(context, task, errand, limit_s=spec.limit_s, hear=heard, after=after)
    except (DoTasksError, OSError):
        agent.rescue(context, task, run, sent.watched)
        raise
    return _judge(context, task, run, done, heard, sent.watched)


def _judge(
    context: RunContext, task: Task, run: str, done: Run, heard: AgentOutput, watched: Baseline | None = None
) -> Judged:
    """Log the end of an agent's run; what judges it is put back first, whatever it says."""
    closed = heard.end()
    outcome, failure = agent_result.judge(
        closed, done.end, verdict=done.verdict, reason=done.reason, stderr=done.stderr, output=done.stdout
    )
    # Killed by nobody whom we know (those have a verdict of their own), be it just after it handed in.
    cut_off = not closed or closed.ok or closed.kind == "interrupted"
    if outcome.verdict == Verdict.FAILED and done.end.signal and cut_off:
        outcome = Outcome(Verdict.LOST, f"{outcome.reason}; its conversation goes on with: do-tasks --continue")
    tampered = agent.settle(context, task, run, watched)
    confine.look_over(context, task, run)
    if tampered:
        outcome, failure = Outcome(Verdict.FAILED, tampered), "tampered"
    talk = os.path.join(context.folder(task, run), orders.TRAJECTORY)
    return log_finished(
        context,
        task,
        run,
        done,
        (outcome, failure),
        output=closed.text if closed else done.stderr,
        output_file=context.relative(talk) if os.path.exists(talk) else done.output_file,
    )
