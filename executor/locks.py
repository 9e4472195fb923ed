"""Locks that die with their holder, also where the file system has no flock."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time

from executor import pids, reading, refused
from executor.errors import BusyError, MachineError, way_out
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 10.0
LOOK_S = 0.05
MAKING_S = 60.0  # a lock file without a name is one that is being made, for so long
RECORD = 512  # bytes
FREE = b"free\n"
FLOCK, RANGE, FILE = "flock", "fcntl", "file"


class Holder(Value):
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
        if self.machine != pids.machine_id():
            return True
        if self.boot != pids.boot_id():
            return False
        if self.namespace != _namespace():
            return True
        found = pids.identify(self.pid)
        return found is not None and found.start == self.start


class Lock:
    """A lock that this process holds until it is released, or dies."""

    def __init__(self, fd: int, turn: str = "") -> None:
        self.fd, self._turn = fd, turn

    def release(self) -> None:
        """Let others take it."""
        os.ftruncate(self.fd, 0)
        if self._turn:
            fd = os.open(self._turn, os.O_WRONLY | os.O_CLOEXEC)
            os.pwrite(fd, FREE, 0)
            os.ftruncate(fd, len(FREE))
            os.close(fd)
        os.close(self.fd)


def take(path: str) -> Lock:
    """Return the lock once this process holds it; BusyError names the holder when it stays taken.

    A look at the lock (`holder`) takes it for an instant, hence the second try.
    """
    until = time.monotonic() + LOOK_S
    while (lock := _taken(path)) is None:
        if time.monotonic() > until:
            raise BusyError(f"another executor (pid {_pid(path)}) runs this plan; wait for it, or stop it")
        time.sleep(0.005)
    return lock


class Brief:
    """Hold a lock that others hold for milliseconds; MachineError after `limit_s`."""

    def __init__(self, path: str, *, limit_s: float = WAIT_S) -> None:
        self._path = path
        self._limit_s = limit_s
        self._lock: Lock | None = None

    def __enter__(self) -> None:
        until = time.monotonic() + self._limit_s
        while (lock := _taken(self._path)) is None:
            if time.monotonic() > until:
                raise MachineError(
                    f"{self._path} has been locked for {self._limit_s:.0f} s (pid {_pid(self._path)});"
                    f" who: fuser {self._path}"
                )
            time.sleep(0.005)
        self._lock = lock

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.release()


def holder(path: str) -> str:
    """Return the pid that holds the lock, empty when it is free, or no file; MachineError when it cannot be asked."""
    try:
        fd = reading.opened(path)
    except PermissionError as error:
        raise MachineError(f"cannot look at the lock {path}: {error.strerror}; {way_out(error)}") from error
    except OSError:
        return ""
    try:
        way, is_free = _asked(fd, LOOKS)
        said = _said(fd)
        if not is_free:
            return str(said.pid) if said else "unknown"
        other = _other(said, way) or (_turns(path)[1] if way == FILE else None)
        return str(other.pid) if other else ""
    finally:
        os.close(fd)


def _pid(path: str) -> str:
    """Return the pid that a lock's text names, whether it holds the lock or not."""
    fd = _opened(path)
    try:
        words = os.pread(fd, RECORD, 0).decode("utf-8", "replace").split()
    finally:
        os.close(fd)
    return words[0] if words else "unknown"


def _taken(path: str) -> Lock | None:
    """Return the lock, None while another process holds it, in whatever way."""
    fd = _opened(path)
    try:
        way, is_free = _asked(fd, TAKES)
        turn = ""
        if is_free and not _other(_said(fd), way):
            turn = _turn_or_refuse(path) if way == FILE else path
        if turn:
            os.ftruncate(fd, 0)
            os.pwrite(fd, _record(way), 0)
            return Lock(fd, turn if way == FILE else "")
    except OSError as error:
        os.close(fd)
        raise MachineError(f"cannot take the lock {path}: {error.strerror}; {way_out(error)}") from error
    os.close(fd)
    return None


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
        reading.refuse_odd(path, os.fstat(fd).st_mode)
    except OSError as error:
        raise MachineError(f"cannot open the lock {path}: {error.strerror}; {way_out(error)}") from error
    return fd


def _asked(fd: int, ways: dict[str, Callable[[int], None]]) -> tuple[str, bool]:
    """Return the first way that the file system has with whether the lock was free, (FILE, True) when it has none."""
    for name, way in ways.items():
        try:
            way(fd)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return name, False
            continue
        return name, True
    return FILE, True


def _range_lock(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK))


def _range_look(fd: int) -> None:
    """Raise BlockingIOError when another holds the lock."""
    kind = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK))[:2]
    if int.from_bytes(kind, sys.byteorder) != fcntl.F_UNLCK:
        raise BlockingIOError(errno.EAGAIN, "locked")


def _range(kind: int) -> bytes:
    """Return the kernel's struct flock for a whole file."""
    import struct

    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)


def _flock(how: int) -> Callable[[int], None]:
    return lambda fd: fcntl.flock(fd, how | fcntl.LOCK_NB)


# Locks of an open file, which only its last close drops: those of a process are dropped by any close of the file.
HAS_RANGES = hasattr(fcntl, "F_OFD_SETLK")
TAKES = {FLOCK: _flock(fcntl.LOCK_EX), **({RANGE: _range_lock} if HAS_RANGES else {})}
LOOKS = {FLOCK: _flock(fcntl.LOCK_SH), **({RANGE: _range_look} if HAS_RANGES else {})}


def _other(said: Holder | None, way: str) -> Holder | None:
    """Return the living holder that took the lock in another way, which the kernel does not hold against this one."""
    return said if said and said.way != way and said.lives else None


def _record(way: str) -> bytes:
    """Return what is written into a lock: the pid alone on its first line."""
    me = pids.identify(os.getpid())
    start = me.start if me else 0
    return f"{os.getpid()}\n{start} {pids.boot_id()} {pids.machine_id()} {_namespace()} {way}\n".encode()


def _said(fd: int) -> Holder | None:
    """Return the holder that a lock's text names, None for another text."""
    words = os.pread(fd, RECORD, 0).decode("utf-8", "replace").split()
    try:
        pid, start, boot, machine, namespace, way = words
        return Holder(int(pid), int(start), boot, machine, namespace, way)
    except ValueError:
        return None


def _namespace() -> str:
    """Return the name of the pid namespace of this process."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "-"


def _turn(path: str) -> str:
    """Return the lock file that this process has made, empty while another process has its turn.

    Each holder makes the file with the next number, which only one can. A number is not taken back: the file with
    the highest one says whose turn it is, `free` once it is over.
    """
    number, other = _turns(path)
    mine = f"{path}.{number + 1}"
    if other or not _made(mine):
        return ""
    if _numbers(path)[-1:] != [number + 1]:  # so slow that others had their turns, and removed what was seen
        os.unlink(mine)
        return ""
    for before in _numbers(path)[:-1]:
        os.unlink(f"{path}.{before}")
    refused.note(f"the file system of {os.path.dirname(path)} has no locks: files such as {mine} stand in for them")
    return mine


def _turn_or_refuse(path: str) -> str:
    try:
        return _turn(path)
    except OSError as error:
        folder = os.path.dirname(path)
        raise MachineError(
            f"cannot lock {folder}: its file system has no locks, and no lock file can be made there"
            f" ({error.strerror}); move the project to another one: what only reads works here"
        ) from error


def _turns(path: str) -> tuple[int, Holder | None]:
    """Return the highest number of a lock file, 0 without one, and its holder if that lives."""
    numbers = _numbers(path)
    if not numbers:
        return 0, None
    try:
        fd = reading.opened(f"{path}.{numbers[-1]}")
    except OSError:
        return numbers[-1], None
    try:
        said = _said(fd)
        is_being_made = not os.fstat(fd).st_size and time.time() - os.fstat(fd).st_mtime < MAKING_S
    finally:
        os.close(fd)
    return numbers[-1], Holder(0, way=FILE) if is_being_made else said if said and said.lives else None


def _numbers(path: str) -> list[int]:
    folder, name = os.path.split(path)
    found = [one.removeprefix(f"{name}.") for one in os.listdir(folder) if one.startswith(f"{name}.")]
    return sorted(int(one) for one in found if one.isdecimal())


def _made(path: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    os.write(fd, _record(FILE))
    os.close(fd)
    return True
