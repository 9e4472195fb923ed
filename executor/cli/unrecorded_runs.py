"""Runs that live and that the records of this folder do not know: no second one is begun beside them."""

from __future__ import annotations

import os
import time

from executor.errors import UsageError
from executor.store import runs
from executor.system import run_lock, run_processes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.log_reader import LogState

SETTLE_S = 0.1  # a supervisor that restarts its job puts the run on record within that


def refuse_unknown_living(root: str, recalled: LogState) -> None:
    """Raise UsageError for a run whose log or whose `.do-tasks/` was taken away under it."""
    if recalled.rebuilt:
        _refuse_unlogged(root, recalled)
    if run_lock.root_is_held(root) or not os.path.isdir(os.path.join(root, runs.JOBS)):
        _refuse_unrecorded(root)


def _refuse_unlogged(root: str, recalled: LogState) -> None:
    known = {state.task_id for state in recalled.states.values()}
    living = [task_id for task_id in runs.living_tasks(root) if task_id not in known]
    if living:
        raise UsageError(
            f"{living[0]} is running, but the log knows nothing of it: put .task_execution.log back"
            f" (git stash pop, a backup), or end the run: do-tasks stop {living[0]}"
        )


def _refuse_unrecorded(root: str) -> None:
    """The locks of runs are asked first: they say in two calls that nothing lives; only then is /proc read."""
    if not run_processes.strangers(root):
        return
    time.sleep(SETTLE_S)
    for run, pid in run_processes.strangers(root).items():
        task_id = run.partition("/")[0]
        raise UsageError(
            f"{run} is running (pid {pid}), but .do-tasks/ has no record of it: the folder was taken away or replaced."
            f" Move the new one away and put the old one back (git stash pop, a backup),"
            f" or end the run: do-tasks stop {task_id}"
        )
