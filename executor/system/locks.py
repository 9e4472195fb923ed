"""Locks that end with the process that holds them, also on a file system without flock."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time

from executor.errors import BusyError, MachineError, remedy
from executor.system import files, lock_files, safe_open
from executor.system.lock_files import FILE, FLOCK, RANGE
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.system.lock_files import Holder

WAIT_S = 10.0
RETRY_S = 0.05


class Lock:
    """A lock that this process holds until it is released, or dies."""

    def __init__(self, path: str, fd: int, turn: str = "") -> None:
        self.path, self.fd, self.turn = path, fd, turn

    def release(self) -> None:
        """Release the lock."""
        _HELD.discard(self)
        os.ftruncate(self.fd, 0)
        if self.turn:
            lock_files.end_turn(self.turn)
        os.close(self.fd)

    def take_again(self) -> None:
        """Take the lock at its path when the file that is locked was deleted; BusyError when another process has it."""
        try:
            is_there = os.path.samestat(os.fstat(self.fd), os.stat(self.path))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            new = acquire(self.path)
            _HELD.discard(new)
            os.close(self.fd)
            self.fd, self.turn = new.fd, new.turn


_HELD: set[Lock] = set()  # the locks of this process that last


def take_again() -> None:
    """Take the locks of this process again whose files were deleted; BusyError when another process has one."""
    for lock in (*_HELD,):
        lock.take_again()


def acquire(path: str) -> Lock:
    """Return the lock once this process holds it; BusyError names the holder when it stays locked.

    `holder_pid` takes the lock for an instant, hence the second try.
    """
    until = time.monotonic() + RETRY_S
    while (lock := _try_acquire(path)) is None:
        if time.monotonic() > until:
            raise BusyError(f"another executor (pid {_recorded_pid(path)}) runs this plan; wait for it, or stop it")
        time.sleep(0.005)
    _HELD.add(lock)
    return lock


class ShortLock:
    """A lock that is held for milliseconds; MachineError when it is not free within `limit_s`."""

    def __init__(self, path: str, *, limit_s: float = WAIT_S) -> None:
        self._path = path
        self._limit_s = limit_s
        self._lock: Lock | None = None

    def __enter__(self) -> None:
        until = time.monotonic() + self._limit_s
        while (lock := _try_acquire(self._path)) is None:
            if time.monotonic() > until:
                raise MachineError(
                    f"{self._path} has been locked for {self._limit_s:.0f} s (pid {_recorded_pid(self._path)});"
                    f" who: fuser {self._path}"
                )
            time.sleep(0.005)
        self._lock = lock

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.release()


def holder_pid(path: str) -> str:
    """Return the pid that holds the lock, empty when it is free or has no file; MachineError when it cannot be read."""
    try:
        fd = safe_open.open_regular(path)
    except PermissionError as error:
        raise MachineError(f"cannot look at the lock {path}: {error.strerror}; {remedy(error)}") from error
    except OSError:
        return ""
    try:
        way, is_free = _try_ways(fd, TESTS)
        if not is_free:
            return (lock_files.read_words(fd) or ["unknown"])[0]
        other = _other_holder(lock_files.read_holder(fd), way) or (
            lock_files.newest_turn(path)[1] if way == FILE else None
        )
        return str(other.pid) if other else ""
    finally:
        os.close(fd)


def _recorded_pid(path: str) -> str:
    """Return the pid in a lock's text, whether that process holds the lock or not."""
    fd = _open_lock(path)
    try:
        return (lock_files.read_words(fd) or ["unknown"])[0]
    finally:
        os.close(fd)


def _try_acquire(path: str) -> Lock | None:
    """Return the lock, None while another process holds it by any of the ways."""
    fd = _open_lock(path)
    try:
        way, is_free = _try_ways(fd, ACQUIRES)
        turn = ""
        if is_free and not _other_holder(lock_files.read_holder(fd), way):
            turn = _claim_turn(path) if way == FILE else path
        if turn:
            os.ftruncate(fd, 0)
            os.pwrite(fd, lock_files.holder_text(way), 0)
            return Lock(path, fd, turn if way == FILE else "")
    except OSError as error:
        os.close(fd)
        raise MachineError(f"cannot take the lock {path}: {error.strerror}; {remedy(error)}") from error
    os.close(fd)
    return None


def _open_lock(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if not os.path.isdir(os.path.dirname(path)):
        files.private_folder(os.path.dirname(path))
    try:
        fd = os.open(path, flags, 0o600)
        safe_open.refuse_irregular(path, os.fstat(fd).st_mode)
    except OSError as error:
        raise MachineError(f"cannot open the lock {path}: {error.strerror}; {remedy(error)}") from error
    return fd


def _try_ways(fd: int, ways: dict[str, Callable[[int], None]]) -> tuple[str, bool]:
    """Return the first way that the file system supports, True when the lock was free; (FILE, True) for no way."""
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


def _range_test(fd: int) -> None:
    """Raise BlockingIOError when another process holds the lock."""
    kind = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK))[:2]
    if int.from_bytes(kind, sys.byteorder) != fcntl.F_UNLCK:
        raise BlockingIOError(errno.EAGAIN, "locked")


def _range(kind: int) -> bytes:
    """Return the kernel's struct flock for a whole file."""
    import struct

    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)


def _flock(how: int) -> Callable[[int], None]:
    return lambda fd: fcntl.flock(fd, how | fcntl.LOCK_NB)


# Locks of an open file end with its last close; locks of a process end with any close of the file.
HAS_RANGES = hasattr(fcntl, "F_OFD_SETLK")
ACQUIRES = {FLOCK: _flock(fcntl.LOCK_EX), **({RANGE: _range_lock} if HAS_RANGES else {})}
TESTS = {FLOCK: _flock(fcntl.LOCK_SH), **({RANGE: _range_test} if HAS_RANGES else {})}


def _other_holder(holder: Holder | None, way: str) -> Holder | None:
    """Return the living holder that took the lock in another way: the kernel does not see a conflict with it."""
    return holder if holder and holder.way != way and holder.lives else None


def _claim_turn(path: str) -> str:
    """Return the lock file of this process, empty while another process has its turn; MachineError without any."""
    try:
        return lock_files.claim_turn(path)
    except OSError as error:
        folder = os.path.dirname(path)
        raise MachineError(
            f"cannot lock {folder}: its file system has no locks, and no lock file can be made there"
            f" ({error.strerror}); move the project to another one: what only reads works here"
        ) from error
