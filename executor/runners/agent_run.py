"""MAIN by an agent that we start: sent out with a brief, heard turn by turn, never believed."""

from __future__ import annotations

import os

from executor.engine.main import main
from executor.engine.post import post
from executor.engine.preflight import preflight
from executor.engine.test_phase import try_first
from executor.errors import DoTasksError
from executor.guard import agent, confine
from executor.plan.limits import bounds_of, rounds_of
from executor.runners import agent_result, process_run
from executor.runners import agent_setup as kits
from executor.runners.agent import request as orders
from executor.runners.agent_launch import SENT_BACK, AgentLaunch
from executor.runners.agent_output import AgentOutput
from executor.runners.made_of import note_task
from executor.store import log_reader, runs
from executor.store.events import CheckFinished, MainFinished, MainRetried
from executor.system import procfs
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.guard.agent import Baseline
    from executor.plan.model import Main
    from executor.runners.process_run import Run
    from executor.store.context import RunContext, Task


def equip(context: RunContext, task: Task) -> Outcome:
    """See, before anything runs, that an agent can be sent out."""
    wrong = kits.misfit(context, task)
    name = "agent"
    if wrong is None:
        context.log(
            CheckFinished(phase="PRE-FLIGHT", status="passed", name=name, command=f"runner {task.runner}"), task
        )
        return PASSED
    failed = CheckFinished(
        phase="PRE-FLIGHT",
        status="failed",
        name=name,
        command=f"runner {task.runner}",
        expected=wrong.expected,
        got=wrong.got,
        fix=wrong.fix,
    )
    context.log(failed, task)
    return Outcome(Verdict.FAILED, f"{name}: expected {wrong.expected}, got {wrong.got}")


FIRST_OF_AGENTS = (("PRE-FLIGHT", preflight), ("PRE-FLIGHT", equip), ("TEST", try_first))
ROUND = (("MAIN", main), ("POST", post))


def sent_back(context: RunContext, task: Task, outcome: Outcome) -> bool:
    """Tell whether what POST found goes back to the agent: as often as the plan says, else the step has failed."""
    if outcome.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return False
    lines = log_reader.task_lines(context.root, task.task_id)
    handed_in = {
        line.get("run") for line in lines if line.get("event") == "MainFinished" and line["status"] == "passed"
    }
    if len(handed_in) >= rounds_of(task.step.main, context.plan.settings):
        return False
    run = runs.next_main(context.root, task.task_id)
    context.log(MainRetried(run=run, failure=SENT_BACK, reason=outcome.reason), task)
    return True


def attempt(context: RunContext, task: Task, spec: Main) -> tuple[Outcome, tuple[str, ...]]:
    """Send the agent out once: its first round, the next, or one that goes on after a crash."""
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


def adopted(context: RunContext, task: Task, run: str, spec: Main) -> tuple[Outcome, tuple[str, ...]]:
    """See an agent through that an executor before us sent out; its turns that are in the log are not told twice."""
    bounds = bounds_of(spec, context.plan.settings) if task.runner == "claude-code" else None
    heard = AgentOutput(context, task, run, bounds)
    done = process_run.adopt(context, task, run=run, limit_s=spec.limit_s, hear=heard)
    outcome, classes = _judge(context, task, run, done, heard)
    if outcome.verdict != Verdict.LOST or spec.on_lost == "ask" or context.interrupts.count:
        return outcome, classes
    return attempt(context, task, spec)


def _judge(
    context: RunContext, task: Task, run: str, done: Run, heard: AgentOutput, watched: Baseline | None = None
) -> tuple[Outcome, tuple[str, ...]]:
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
    context.log(
        MainFinished(
            status=outcome.verdict,
            run=run,
            exit_code=done.end.exit_code,
            signal=done.end.signal,
            duration_s=done.duration_s,
            output=closed.text if closed else done.stderr,
            output_file=context.relative(talk) if os.path.exists(talk) else done.output_file,
            failure=failure,
            reason=outcome.reason,
        ),
        task,
    )
    context.journal.sync()
    return outcome, (failure, f"exit:{done.end.exit_code}")
