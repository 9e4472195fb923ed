"""MAIN by an agent that do-tasks starts: its turns are logged, its claims are checked."""

from __future__ import annotations

import os

from executor.errors import DoTasksError
from executor.guard import agent_baseline, surroundings
from executor.plan.limits import bounds_of
from executor.plan.model import Main
from executor.runners import agent_result, agent_setup, process_run
from executor.runners.agent.request import TRAJECTORY
from executor.runners.agent_launch import AgentLaunch
from executor.runners.agent_output import AgentOutput
from executor.runners.made_of import note_task
from executor.runners.main_run import log_finished
from executor.store import runs
from executor.system import procfs
from executor.system.outcome import Outcome, Verdict
from executor.system.process_loop import belongs_to_run, end_orphans
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.guard.agent_baseline import Baseline
    from executor.runners.main_run import Judged
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task


class AgentRunner(Record):
    """Does MAIN by an agent: in a first round, a further round, or a round that continues after a crash."""

    context: RunContext
    task: Task

    def start(self) -> Judged:
        """Begin a run, watch it to its end and judge it."""
        return _start(self.context, self.task, self.task.step.main or Main())

    def adopt(self, run: str) -> Judged:
        """Watch a run to its end that an earlier executor began; one that is lost is started again, as the step says.

        Turns that are in the log are not logged again.
        """
        spec = self.task.step.main or Main()
        bounds = bounds_of(spec, self.context.plan.settings) if self.task.runner == "claude-code" else None
        output = AgentOutput(self.context, self.task, run, bounds)
        done = process_run.adopt(self.context, self.task, run=run, limit_s=spec.limit_s, follow=output)
        outcome, classes = _judge(self.context, self.task, run, done, output)
        if outcome.verdict != Verdict.LOST or spec.on_lost == "ask" or self.context.interrupts.count:
            return outcome, classes
        return self.start()


def _start(context: RunContext, task: Task, spec: Main) -> Judged:
    offended = agent_baseline.describe_earlier_changes(context, task)
    if offended:
        return Outcome(Verdict.FAILED, offended), ("tampered",)
    setup = agent_setup.setup_of(context, task)
    if isinstance(setup, agent_setup.SetupError):
        return Outcome(Verdict.FAILED, f"expected {setup.expected}, got {setup.got}; {setup.fix}"), ("unfit",)
    run = runs.next_main(context.root, task.task_id)
    note_task(context, task, run)
    launch = AgentLaunch(context, task, run, setup)
    if launch.limit_reached:
        return Outcome(Verdict.FAILED, launch.limit_reached), ("spent",)
    output = AgentOutput(context, task, run, setup.bounds if setup.program else None)
    request = process_run.LaunchRequest(run, launch.argv(), launch.prepare, environ=launch.environ())
    children = procfs.children()

    def after() -> None:
        end_orphans(children, belongs_to_run)
        agent_baseline.repair_folders(context, task, run)

    try:
        done = process_run.launch(context, task, request, limit_s=spec.limit_s, follow=output, after=after)
    except (DoTasksError, OSError):
        agent_baseline.end_and_restore(context, task, run, launch.baseline)
        raise
    return _judge(context, task, run, done, output, launch.baseline)


def _judge(
    context: RunContext, task: Task, run: str, done: Run, output: AgentOutput, baseline: Baseline | None = None
) -> Judged:
    """Restore the judges of an agent's run, then log its end."""
    closed = output.end()
    outcome, failure = agent_result.judge(
        closed, done.end, verdict=done.verdict, reason=done.reason, stderr=done.stderr
    )
    # Killed by an unknown process (do-tasks records its own kills), perhaps just after it handed in.
    cut_off = not closed or closed.ok or closed.kind == "interrupted"
    if outcome.verdict == Verdict.FAILED and done.end.signal and cut_off:
        outcome = Outcome(Verdict.LOST, f"{outcome.reason}; its conversation goes on with: do-tasks --continue")
    tampered = agent_baseline.restore_and_report(context, task, run, baseline)
    surroundings.check_after(context, task, run)
    if tampered:
        outcome, failure = Outcome(Verdict.FAILED, tampered), "tampered"
    trajectory = os.path.join(context.folder(task, run), TRAJECTORY)
    return log_finished(
        context,
        task,
        run,
        done,
        (outcome, failure),
        output=closed.text if closed else done.stderr,
        output_file=context.relative(trajectory) if os.path.exists(trajectory) else done.output_file,
    )
