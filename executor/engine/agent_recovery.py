"""Recovery of agents whose executor died: their judges are restored before a box is read."""

from __future__ import annotations

import os
from shlex import quote

from executor.engine.verdict import write_verdict
from executor.errors import BusyError, UsageError
from executor.guard import protect
from executor.guard.agent_baseline import SNAPSHOT_GONE, is_agent_running, restore_and_report, snapshot_folder
from executor.plan.step_ids import plan_of
from executor.store import log_reader, runs
from executor.store.task import Decision, Task
from executor.system.outcome import Outcome, Verdict
from executor.system.process_loop import stop_strays
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.step_state import StepState


def settle_orphaned_agents(context: RunContext) -> StepId:
    """Restore the judges of agents whose executor died; return the step of an agent that still runs, 0 for none."""
    _refuse_unrecorded(context)
    living: StepId = 0
    for number, task_id in _unsettled(context):
        run, task = runs.newest_main(context.root, task_id), _task_of(context, number, task_id)
        if restore_and_report(context, task, run):
            context.read_again()
        if runs.status_of(context.root, task_id, run).status == "alive":
            protect.mark_pending(context.root, snapshot_folder(context, task, run))
            living = number
    return living


def _refuse_unrecorded(context: RunContext) -> None:
    """Fail the task of an agent whose records are gone; UsageError, so that a person looks first."""
    for number, state in context.states.items():
        lines = log_reader.task_lines(context.root, state.task_id) if _has_no_folder(context, state) else ()
        started = [str(line.get("run")) for line in lines if line.get("event") == "MainStarted" and line.get("agent")]
        if not started or state.run_closed == f"{state.task_id}/{started[-1]}":
            continue
        stop_strays(f"{state.task_id}/", context.interrupts, root=context.root)
        write_verdict(
            context, _task_of(context, number, state.task_id), Outcome(Verdict.FAILED, SNAPSHOT_GONE), failed_in="MAIN"
        )
        raise UsageError(
            f"step {number}: {SNAPSHOT_GONE};"
            f" look at SPEC.md, {context.project.definitions} and the tests yourself (git diff),"
            f" then: do-tasks --step {number}"
        )


def _task_of(context: RunContext, number: StepId, task_id: str) -> Task:
    digest, decision = context.state(number).digest, Decision("run", "its executor was gone")
    return Task(context.step(number), task_id, digest, decision, began=context.now(), runner="agent")


def _has_no_folder(context: RunContext, state: StepState) -> bool:
    return (
        bool(state.task_id) and not state.verdict and not os.path.isdir(context.project.path(runs.JOBS, state.task_id))
    )


def _unsettled(context: RunContext) -> list[tuple[StepId, str]]:
    """Return step and task of each agent whose judges were not compared yet."""
    folder = protect.unfinished_folder(context.root)
    pending = os.path.basename(os.path.dirname(os.path.dirname(folder))) if folder else ""
    open_tasks = [
        (number, state.task_id) for number, state in context.states.items() if is_agent_running(context.root, state)
    ]
    known = [(number, state.task_id) for number, state in context.states.items() if state.task_id == pending]
    others = [key for key, state in context.recalled.states.items() if state.task_id == pending and not known]
    if pending and others:
        plan = plan_of(others[0]) or "SPEC.md"
        raise BusyError(f"an agent works on {plan}; go on there first: do-tasks --plan {quote(plan)} --continue")
    return list(dict.fromkeys((*open_tasks, *(known if pending else ()))))
