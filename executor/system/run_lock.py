"""Locks that the processes of a run inherit: a locked file proves that one of them lives.

They never prove death: a program may close the descriptors that it inherited. A file system without flock has no such
proof.
"""

from __future__ import annotations

import fcntl
import os
import time

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "lock"
LOCK_FD = 29  # in the launcher, MAIN and all that it starts
LOWEST_OWN_FD = 40  # lowest descriptor of a lock in this process, above those of a launcher
TRIES = 3
TRY_S = 0.002


def path_of(folder: str) -> str:
    """Return the path of a run's lock."""
    return os.path.join(folder, NAME)


def acquire(folder: str) -> int:
    """Lock the file of a new run and return its descriptor, -1 on a file system without flock.

    The file gets its name when it is locked, so that no test of it comes between.
    """
    beside = f"{path_of(folder)}.new"
    fd = _locked(lambda: os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), fcntl.LOCK_EX)
    if fd >= 0:
        os.rename(beside, path_of(folder))
    return fd


def share_root(root: str) -> int:
    """Share the lock on the project's folder, which outlives its `.do-tasks/`; -1 on a file system without flock."""
    return _locked(lambda: os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)


def is_held(folder: str) -> bool:
    """Return True when a living process of this run holds its lock."""
    return _is_taken(path_of(folder), fcntl.LOCK_SH)


def root_is_held(root: str) -> bool:
    """Return True when the launcher of any run of this folder lives, recorded or not."""
    return _is_taken(root, fcntl.LOCK_EX)


def _locked(opened: Callable[[], int], how: int) -> int:
    try:
        fd = opened()
    except OSError:
        return -1
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LOWEST_OWN_FD)
    except OSError:
        return -1
    finally:
        os.close(fd)


def _is_taken(path: str, how: int) -> bool:
    """Return True when the lock cannot be taken for an instant; another test may hold it for as long."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return all(_is_refused(fd, how, number) for number in range(TRIES))
    finally:
        os.close(fd)


def _is_refused(fd: int, how: int, number: int) -> bool:
    if number:
        time.sleep(TRY_S)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
