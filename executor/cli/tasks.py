"""Task ids, and the processes that give a task its verdict."""

from __future__ import annotations

import os
import re

from executor.errors import MachineError
from executor.store import runs
from executor.store.project import STATE_FOLDER
from executor.system import locks

TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")


def run_lock(root: str) -> str:
    """Return the path of the lock that an executor holds while it runs the plan."""
    return os.path.join(root, STATE_FOLDER, "run.lock")


def supervisor(root: str, task_id: str) -> str:
    """Return the pid of the supervisor of a job, empty when there is none or its lock cannot be read."""
    try:
        return runs.supervisor(root, task_id)
    except MachineError:
        return ""


def executor(root: str) -> str:
    """Return the pid of the executor that runs this plan, empty when there is none or its lock cannot be read."""
    try:
        return locks.holder_pid(run_lock(root))
    except MachineError:
        return ""
