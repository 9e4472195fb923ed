"""The process that a lock's text names."""

from __future__ import annotations

import os
import time

from executor.system import procfs
from executor.system.records import Record

RECORD = 512  # bytes
CLOCKS_S = 2.0  # by so much the clock of a file system may differ
FLOCK, RANGE, FILE = "flock", "fcntl", "file"


class Holder(Record):
    """The process that a lock's text names, and the way in which it took the lock."""

    pid: int
    start: int = 0
    boot: str = ""
    machine: str = ""
    namespace: str = ""
    way: str = FLOCK

    @property
    def lives(self) -> bool:
        """True while the process lives, and when this process cannot know: it is of another machine or container."""
        if self.machine != procfs.machine_id():
            return True
        if self.boot != procfs.boot_id():
            return False
        if self.namespace != _namespace():
            return True
        found = procfs.identify(self.pid)
        return found is not None and found.start == self.start


def record(way: str) -> bytes:
    """Return what is written into a lock: the pid, and what tells its process from others where the kernel does not."""
    if way == FLOCK:
        return f"{os.getpid()}\n".encode()
    me = procfs.identify(os.getpid())
    start = me.start if me else 0
    return f"{os.getpid()}\n{start} {procfs.boot_id()} {procfs.machine_id()} {_namespace()} {way}\n".encode()


def said(fd: int) -> Holder | None:
    """Return the holder that a lock's text names, None for another text."""
    found = words(fd)
    try:
        if len(found) == 1:
            return _plain(int(found[0]), os.fstat(fd).st_mtime)
        pid, start, boot, machine, namespace, way = found
        return Holder(int(pid), int(start), boot, machine, namespace, way)
    except (ValueError, OverflowError):
        return None


def _plain(pid: int, written_s: float) -> Holder | None:
    """Return the process of a pid alone, None when it began after that was written."""
    found = procfs.identify(pid)
    if found is None or procfs.age_s(found) + CLOCKS_S < time.time() - written_s:
        return None
    return Holder(pid, found.start, found.boot, found.machine, _namespace())


def words(fd: int) -> list[str]:
    """Return the words of a lock's text, the pid first."""
    return os.pread(fd, RECORD, 0).decode("utf-8", "replace").split()


def _namespace() -> str:
    """Return the name of the pid namespace of this process."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "-"
