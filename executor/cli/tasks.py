"""Task ids, and the processes that give a task its verdict."""

from __future__ import annotations

import os

from executor.errors import MachineError
from executor.plan.step_ids import TASK
from executor.store import log_reader, runs
from executor.store.project import STATE_FOLDER
from executor.system import locks
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.step_ids import StepId


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


def step_of(root: str, task_id: str) -> StepId:
    """Return the step of a task: by its lines in the log, else by its id."""
    steps = (line.get("step") for line in log_reader.task_lines(root, task_id))
    logged = next((step for step in steps if isinstance(step, (int, str))), None)
    if logged is not None:
        return logged
    found = TASK.fullmatch(task_id)
    name = found[1] if found else ""
    return int(name) if name.isdecimal() else name


def logged_plan(root: str, task_id: str) -> str:
    """Return the file of the plan that the lines of a task name, empty for SPEC.md."""
    return next((str(line["plan"]) for line in log_reader.task_lines(root, task_id) if line.get("plan")), "")
