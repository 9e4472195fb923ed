"""What must wait while an agent works: nobody could tell a person's line in the log from the agent's."""

from __future__ import annotations

import os

from executor.errors import BusyError
from executor.store.project import STATE_FOLDER


def refuse(root: str, what: str) -> None:
    """Raise BusyError when an agent works here, with an executor or without."""
    if not os.path.exists(os.path.join(root, STATE_FOLDER, "guarding")):
        return
    from executor.guard.protect import unfinished

    folder = unfinished(root)
    if folder:
        task_id = os.path.basename(os.path.dirname(os.path.dirname(folder)))
        told = f"the agent of {task_id} works here, or was cut off: {what} waits until its work is judged"
        raise BusyError(f"{told} (do-tasks --continue), or is ended: do-tasks stop {task_id}")
