"""A job's supervisor, started when nobody watches it."""

from __future__ import annotations

import os
import sys

from executor.store import runs
from executor.system import files, installation, process
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Without `site` it is smaller and starts sooner; it needs nothing but us.
START = "import sys; sys.path.append(sys.argv.pop(1)); from executor.supervisor.main import entry; entry()"


def attend(root: str, task_id: str, environ: Mapping[str, str], *, why: str) -> bool:
    """Start a supervisor for a job that has none; tell whether one was started.

    It outlives us and our terminal. Two started at once are no harm: one takes the job's lock, the other ends.
    """
    if runs.supervisor(root, task_id):
        return False
    argv = (sys.executable, "-I", "-S", "-c", START, installation.IMPORT_FOLDER, root, task_id, why)
    env = {name: value for name, value in environ.items() if name != "DO_TASKS_RUN"}
    folder = files.private_folder(os.path.join(root, runs.JOBS, task_id))
    log = files.clear_place(os.path.join(folder, "supervisor.log"))
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    process.spawn(argv, env, actions)
    return True
