"""Text of a lock that names its holder, and lock files for a file system without locks."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from executor.system import procfs, safe_open, unsupported
from executor.system.records import Record

MOST_BYTES = 512  # bytes
CLOCKS_S = 2.0  # the most by which the clock of a file system differs
FLOCK, RANGE, FILE = "flock", "fcntl", "file"
MAKING_S = 60.0  # an empty lock file counts as one that is being written for this time
TURN_OVER = b"free\n"


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
        """True while the process lives, and for a process of another machine or container, which is not visible."""
        if self.machine != procfs.machine_id():
            return True
        if self.boot != procfs.boot_id():
            return False
        if self.namespace != _namespace():
            return True
        found = procfs.identify(self.pid)
        return found is not None and found.start == self.start


def holder_text(way: str) -> bytes:
    """Return the text to write into a lock: the pid, and the full identity where the kernel keeps no lock."""
    if way == FLOCK:
        return f"{os.getpid()}\n".encode()
    me = procfs.identify(os.getpid())
    start = me.start if me else 0
    return f"{os.getpid()}\n{start} {procfs.boot_id()} {procfs.machine_id()} {_namespace()} {way}\n".encode()


def read_holder(fd: int) -> Holder | None:
    """Return the holder that a lock's text names, None for another text."""
    found = read_words(fd)
    try:
        if len(found) == 1:
            return _holder_of_pid(int(found[0]), os.fstat(fd).st_mtime)
        pid, start, boot, machine, namespace, way = found
        return Holder(int(pid), int(start), boot, machine, namespace, way)
    except (ValueError, OverflowError):
        return None


def _holder_of_pid(pid: int, written_s: float) -> Holder | None:
    """Return the process of a pid alone, None when it is younger than the text."""
    found = procfs.identify(pid)
    if found is None or procfs.age_s(found) + CLOCKS_S < time.time() - written_s:
        return None
    return Holder(pid, found.start, found.boot, found.machine, _namespace())


def read_words(fd: int) -> list[str]:
    """Return the words of a lock's text, the pid first."""
    return os.pread(fd, MOST_BYTES, 0).decode("utf-8", "replace").split()


def _namespace() -> str:
    """Return the name of the pid namespace of this process."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "-"


# Lock files


def claim_turn(path: str) -> str:
    """Return the path of the lock file that this process created, empty while another process has its turn.

    Each holder creates the file with the next number, which only one process can. A number is never used again: the
    file with the highest number names the holder, or is `free` when the turn is over.
    """
    number, other = newest_turn(path)
    mine = f"{path}.{number + 1}"
    if other or not _make_file(mine):
        return ""
    if _numbers(path)[-1:] != [
        number + 1
    ]:  # other processes had their turns meanwhile, and removed the files listed before
        _forget(mine)
        return ""
    for before in _numbers(path)[:-1]:
        _forget(f"{path}.{before}")
    message = f"the file system of {os.path.dirname(path)} has no locks: files such as {mine} stand in for them"
    unsupported.note_once("locks", message)
    return mine


def _forget(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def end_turn(turn: str) -> None:
    """Write into a lock file that its turn is over."""
    fd = os.open(turn, os.O_WRONLY | os.O_CLOEXEC)
    os.pwrite(fd, TURN_OVER, 0)
    os.ftruncate(fd, len(TURN_OVER))
    os.close(fd)


def newest_turn(path: str) -> tuple[int, Holder | None]:
    """Return the highest number of a lock file, 0 without one, and its holder if that lives."""
    numbers = _numbers(path)
    if not numbers:
        return 0, None
    try:
        fd = safe_open.open_regular(f"{path}.{numbers[-1]}")
    except OSError:
        return numbers[-1], None
    try:
        holder = read_holder(fd)
        is_being_made = not os.fstat(fd).st_size and time.time() - os.fstat(fd).st_mtime < MAKING_S
    finally:
        os.close(fd)
    return numbers[-1], Holder(0, way=FILE) if is_being_made else holder if holder and holder.lives else None


def _numbers(path: str) -> list[int]:
    folder, name = os.path.split(path)
    found = [one.removeprefix(f"{name}.") for one in os.listdir(folder) if one.startswith(f"{name}.")]
    return sorted(int(one) for one in found if one.isdecimal())


def _make_file(path: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    os.write(fd, holder_text(FILE))
    os.close(fd)
    return True
