"""Records of other tasks that an agent could forge: starts, ends and results."""

from __future__ import annotations

import os
import time

from executor.guard.file_state import ADDED, Change
from executor.guard.restore import TAKEN
from executor.store import runs as jobs
from executor.system import files, procfs
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from executor.store.step_state import StepState

OF_A_TASK = ("job.json", "task.json")
OF_A_RUN = ("started.json", "exit.json", "result.json", "brief.json")
RUNS = ("main.*", "test")
GONE_S = 1.0  # a launcher ends within this time after it wrote the end of its run


def record_places(
    root: str, states: Iterable[StepState], *, without: str, running: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield folders with the names of records of steps that have not passed.

    The task `without` belongs to the agent itself; of `running` jobs supervisors write runs and ends meanwhile.
    """
    open_ones = [state for state in states if state.verdict != "passed"]
    for task_id in dict.fromkeys(one for state in open_ones for one in (state.task_id, state.main_task)):
        if task_id and task_id != without:
            yield from _of_task(root, task_id, runs=task_id not in running)


def _of_task(root: str, task_id: str, *, runs: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    folder = os.path.join(jobs.JOBS, task_id)
    yield folder, (*OF_A_TASK, *(RUNS if runs else ()))
    for number in jobs.mains(root, task_id):
        yield os.path.join(folder, f"main.{number}"), OF_A_RUN if runs else OF_A_RUN[:1]


def forged_ends(root: str, task_ids: Collection[str], folder: str) -> tuple[Change, ...]:
    """Move the records of ends aside whose launcher is alive: it writes its own as it ends."""
    doubtful = [path for task_id in task_ids if (path := _early_end(root, task_id))]
    until = time.monotonic() + GONE_S
    while doubtful and time.monotonic() < until:
        time.sleep(0.02)
        doubtful = [path for task_id in task_ids if (path := _early_end(root, task_id))]
    return tuple(_taken(root, path, folder) for path in doubtful)


def _early_end(root: str, task_id: str) -> str:
    run = jobs.newest_main(root, task_id)
    path = os.path.join(jobs.run_folder(root, task_id, run), "exit.json")
    if not os.path.exists(path) or jobs.exit_of(os.path.dirname(path)) is None:
        return ""
    launcher = jobs.started(os.path.dirname(path))
    return path if launcher and procfs.is_on_this_host(launcher) and procfs.is_alive(launcher) else ""


def _taken(root: str, path: str, folder: str) -> Change:
    place = os.path.join(folder, TAKEN, os.path.relpath(path, root))
    files.private_folder(os.path.dirname(place))
    os.replace(path, place)
    return Change(os.path.relpath(path, root), ADDED, restored=True)
