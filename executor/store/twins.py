"""No second run of a task begins beside one that lives."""

from __future__ import annotations

from executor.errors import MachineError
from executor.store import runs as jobs
from executor.system import run_lock, run_processes


def lives_on(root: str, task_id: str, *, before: str = "") -> str:
    """Return a run of the task whose lock is held by something that lives, empty when there is none.

    `before` is the run that is to begin: itself it does not count.
    """
    runs = [f"main.{number}" for number in jobs.mains(root, task_id)]
    held = [run for run in runs if run != before and run_lock.is_held(jobs.run_folder(root, task_id, run))]
    return held[-1] if held else ""


def refuse_a_twin(root: str, task_id: str, *, before: str = "") -> None:
    """Raise MachineError while something of a run of this task lives, but of the run that is to begin."""
    run = lives_on(root, task_id, before=before)
    if not run:
        return
    found = run_processes.find_living(run_processes.ProcessQuery(f"{task_id}/{run}", root))
    which = f"pid {', '.join(map(str, sorted(found)))}" if found else "of another user, host or container"
    told = f"{task_id}/{run} lives on ({which}), so no second one is begun"
    raise MachineError(f"{told}; end it: do-tasks stop {task_id}, then go on")
