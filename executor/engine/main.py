"""MAIN: reused, adopted or run; and the folder of the run that counts."""

from __future__ import annotations

import os

from executor.runners.main_run import log_lost, log_reused, run_main
from executor.store import runs
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.main_run import MainRunner
    from executor.store.context import RunContext
    from executor.store.task import Task


def main(context: RunContext, task: Task) -> Outcome:
    """Reuse, adopt or run MAIN; tried again for the classes that `retry` names."""
    decision = task.decision
    if decision.main == "reuse":
        changed = _changed_by_agent(context, task)
        if changed:
            return Outcome(Verdict.FAILED, changed)
        log_reused(context, task)
        return PASSED
    log_lost(context, task)
    adopting = decision.main_run if decision.main == "adopt" else ""
    return run_main(context, task, _runner(context, task), adopting=adopting)


def _runner(context: RunContext, task: Task) -> MainRunner:
    """Return the runner of a task; an agent's is imported for agents alone."""
    if task.runner == "command":
        from executor.runners.command_run import CommandRunner

        return CommandRunner(context, task)
    from executor.runners.agent_run import AgentRunner

    return AgentRunner(context, task)


def _changed_by_agent(context: RunContext, task: Task) -> str:
    """Return what an agent that did this task changed of what judges it; empty for a command."""
    if task.runner == "command":
        return ""
    from executor.guard.agent_baseline import describe_earlier_changes

    return describe_earlier_changes(context, task)


def result_path(context: RunContext, task: Task) -> str:
    """Return the path of the result file of the MAIN that counts."""
    return os.path.join(main_folder(context, task), "result.json")


def main_folder(context: RunContext, task: Task) -> str:
    """Return the folder of the MAIN that counts: this task's newest, or the one it reuses."""
    decision = task.decision
    if decision.main == "reuse":
        return runs.run_folder(context.root, decision.main_task, decision.main_run)
    return context.folder(task, runs.newest_main(context.root, task.task_id))
