"""What `stop` tells of the processes of a task: ended from here, by another process, or not at all."""

from __future__ import annotations

import os
import time

from executor.errors import MachineError
from executor.store import runs, twins
from executor.system import files, locks, run_lock, run_processes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.system.run_records import Seen

HEARD_S = 12.0  # a supervisor looks every 5 s at least
LOOK_S = 0.05


def end_told(root: str, task_id: str, ended: tuple[int, ...], seen: Seen, *, grace_s: float) -> tuple[str, bool]:
    """Return what became of the task's processes, and whether none is left.

    What is out of reach is ended by its supervisor or executor, when one lives. MachineError for another user's.
    """
    left = run_processes.living(run_processes.Wanted(f"{task_id}/", root))
    told = f"ended {len(ended)} process{'es' * (len(ended) > 1)}" if ended else ""
    if left and not _watcher(root, task_id):
        named = ", ".join(map(str, sorted(left)))
        raise MachineError(f"{task_id}: {told or 'ended nothing'}; this user cannot end pid {named}; ask its owner")
    if left:
        return _by_another(
            root, task_id, seen.run, "as another user", is_held=bool(twins.lives_on(root, task_id)), grace_s=grace_s
        )
    if seen.status == "foreign":
        return f"it runs {seen.where}, and was left alone: this folder is a copy of that one", True
    run = twins.lives_on(root, task_id)
    if not run and seen.status != "elsewhere":
        return told or "nothing of it was running", True
    return _by_another(root, task_id, run or seen.run, seen.where or "out of sight", is_held=bool(run), grace_s=grace_s)


def _by_another(root: str, task_id: str, run: str, where: str, *, is_held: bool, grace_s: float) -> tuple[str, bool]:
    whose = _watcher(root, task_id)
    if not whose:
        told = f"{run} runs {where}, where nobody watches it"
        return (f"{told}; stop it there", False) if is_held else (f"{told}; it was not ended from here", True)
    runs.ask_end(root, task_id, grace_s=grace_s)
    folder = runs.run_folder(root, task_id, run)
    until = time.monotonic() + grace_s + HEARD_S
    while time.monotonic() < until and _lives(folder, is_held=is_held):
        time.sleep(LOOK_S)
    if _lives(folder, is_held=is_held):
        return f"{run} runs {where}; {whose} was asked to end it and has not yet", False
    return f"{run}, which runs {where}, was ended by {whose}", True


def _watcher(root: str, task_id: str) -> str:
    """Return who watches the task and can end it, empty when nothing does."""
    supervisor = runs.supervisor(root, task_id)
    if supervisor:
        return f"its supervisor (pid {supervisor})"
    executor = locks.holder(os.path.join(root, files.STATE_FOLDER, "run.lock"))
    return f"its executor (pid {executor})" if executor else ""


def _lives(folder: str, *, is_held: bool) -> bool:
    return run_lock.is_held(folder) if is_held else runs.exit_of(folder) is None
