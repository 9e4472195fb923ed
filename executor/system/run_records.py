"""The records of a run on disk, as values: the identity of its process, its end."""

from __future__ import annotations

import json

from executor.system.quantities import parse_number
from executor.system.records import Record

LOG_NAME = ".task_execution.log"
PROGRESS_PREFIX = '{"progress"'  # start of a line that only moves the progress bar


class Identity(Record):
    """A process, recognised after pid reuse, reboots, and on other hosts. `start` is kernel ticks since boot.

    `namespace` is the pid namespace of the pid, `home` device and inode of the project's `.do-tasks/`, `locked` is
    True when the run's lock was held at its start. Older records lack these: empty means "not known".
    """

    pid: int
    start: int
    boot: str
    machine: str
    namespace: str = ""
    home: str = ""
    locked: bool = False


class Exit(Record):
    """The end of a run: `ran` is False when its launcher never started the command; `ended_ns` is wall clock."""

    exit_code: int | None
    signal: int = 0
    ran: bool = True
    by_us: bool = False
    ended_ns: int = 0


class RunStatus(Record):
    """The status of a task's newest run.

    `status`: none, never_ran, alive, exited, lost, elsewhere (of another host or container, neither lost nor
    restarted), foreign (it lives and belongs to another folder, of which this one is a copy), orphan (it lives in a
    folder that was deleted, as after a move to another file system).

    `where` is the place in words. `digest` is that of the work of this run, empty in a record without one.
    """

    run: str = ""
    status: str = "none"
    exit_code: int | None = None
    pid: int = 0
    digest: str = ""
    where: str = ""


def parse_progress(line: bytes | str) -> tuple[float, float | None] | None:
    """Return done and total of a line of progress, total None when it has none; None for an invalid line."""
    try:
        values = json.loads(line)["progress"]
        done, total = values["done"], values.get("total")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    number, end = parse_number(done), parse_number(total)
    if number is None or (total is not None and end is None):
        return None
    return float(number), None if end is None else float(end)
