"""What a run leaves on disk, as values: who the process is, how it ended."""

from __future__ import annotations

from executor.system.records import Record

LOG_NAME = ".task_execution.log"
PROGRESS_PREFIX = '{"progress"'  # how a line that only makes the bar begins


class Identity(Record):
    """A process that no pid reuse, reboot, other host or container can fake. `start` is kernel ticks since boot.

    `namespace` is the pid namespace that the pid counts in, `home` device and inode of the project's `.do-tasks/`,
    `locked` says that the run's lock was had at its start. An older record has none of these: empty is "not known".
    """

    pid: int
    start: int
    boot: str
    machine: str
    namespace: str = ""
    home: str = ""
    locked: bool = False


class Exit(Record):
    """How a run ended: `ran` is False when its launcher was never let go; `ended_ns` is wall clock, nanoseconds."""

    exit_code: int | None
    signal: int = 0
    ran: bool = True
    by_us: bool = False
    ended_ns: int = 0


class RunStatus(Record):
    """What a task's newest run folder says.

    `status`: none, never_ran, alive, exited, lost, elsewhere (of another host or container, neither lost nor
    restarted), foreign (it lives and belongs to another folder, of which this one is a copy), orphan (it lives in a
    folder that was deleted, as one that was moved to another file system is).
    `where` says where it is, for people. `digest` is of what this run does, empty in a record that does not say.
    """

    run: str = ""
    status: str = "none"
    exit_code: int | None = None
    pid: int = 0
    digest: str = ""
    where: str = ""
