"""The record of a background job, and the start of its supervisor."""

from __future__ import annotations

import os
import sys

from executor.store import log_reader, runs
from executor.system import files, installation, process
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGEST = 32  # hex digits
# Without `site` Python needs less memory and starts sooner; a supervisor needs no installed package.
START = "import sys; sys.path.append(sys.argv.pop(1)); from executor.supervisor.main import entry; entry()"


def start_supervisor(root: str, task_id: str, environ: Mapping[str, str], *, why: str) -> bool:
    """Start a supervisor for a job that has none; return True when one was started.

    It outlives this process and its terminal. When two start at once, one takes the lock of the job and the other ends.
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


def record_digest(root: str, task_id: str) -> str:
    """Return the digest of a job's record on disk, empty when it cannot be read."""
    try:
        data = files.read(os.path.join(root, runs.JOBS, task_id, "job.json"))
    except OSError:
        return ""
    return files.digest(data)[:DIGEST] if data else ""


def is_as_logged(root: str, task_id: str) -> bool:
    """Return True when the record on disk has the digest in the log; any record fits a log without a digest."""
    logged = [str(line["record"]) for line in log_reader.task_lines(root, task_id) if line.get("record")]
    return not logged or logged[-1] == record_digest(root, task_id)
