"""Agents that lost their executor: what judges them is put back before a box is read."""

from __future__ import annotations

import os

from executor.engine.verdict import tick
from executor.errors import UsageError
from executor.guard import protect
from executor.guard.agent import GONE, at_work, folder_of, settle
from executor.store import log_reader, runs
from executor.store.task import Decision, Task
from executor.system.outcome import Outcome, Verdict
from executor.system.process_loop import end_strays
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.step_state import StepState


def left_alone(context: RunContext) -> int:
    """See to agents whose executor died, before a box is read; return the step of one that still works, else 0."""
    _refuse_unrecorded(context)
    living = 0
    for number, task_id in _unsettled(context):
        run = runs.newest_main(context.root, task_id)
        decision = Decision("run", "its executor was gone")
        digest = context.state(number).digest
        task = Task(context.step(number), task_id, digest, decision, began=context.now(), runner="agent")
        if settle(context, task, run):
            context.read_again()
        if runs.look_at(context.root, task_id, run).status == "alive":
            protect.pend(context.root, folder_of(context, task, run))
            living = number
    return living


def _refuse_unrecorded(context: RunContext) -> None:
    """Fail the task of an agent whose record went while no executor watched, and have a person look first."""
    for number, state in context.states.items():
        lines = log_reader.task_lines(context.root, state.task_id) if _has_no_folder(context, state) else ()
        let_go = [str(line.get("run")) for line in lines if line.get("event") == "MainStarted" and line.get("agent")]
        if not let_go or state.run_closed == f"{state.task_id}/{let_go[-1]}":
            continue
        end_strays(f"{state.task_id}/", context.interrupts, root=context.root)
        decision = Decision("run", "its executor was gone")
        task = Task(context.step(number), state.task_id, state.digest, decision, began=context.now(), runner="agent")
        tick(context, task, Outcome(Verdict.FAILED, GONE), failed_in="MAIN")
        raise UsageError(
            f"step {number}: {GONE}; look at SPEC.md, {context.project.definitions} and the tests yourself (git diff),"
            f" then: do-tasks --step {number}"
        )


def _has_no_folder(context: RunContext, state: StepState) -> bool:
    return (
        bool(state.task_id) and not state.verdict and not os.path.isdir(context.project.path(runs.JOBS, state.task_id))
    )


def _unsettled(context: RunContext) -> list[tuple[int, str]]:
    """Return the steps with their tasks whose agent nobody has looked after yet."""
    folder = protect.unfinished(context.root)
    pending = os.path.basename(os.path.dirname(os.path.dirname(folder))) if folder else ""
    open_tasks = [(number, state.task_id) for number, state in context.states.items() if at_work(context.root, state)]
    known = [(number, state.task_id) for number, state in context.states.items() if state.task_id == pending]
    return list(dict.fromkeys((*open_tasks, *(known if pending else ()))))
