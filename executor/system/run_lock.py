"""Locks that a run's processes inherit: the kernel's word that something of the run lives.

They prove life, never death: a program may close what it inherited. Where a file system has no flock there is no word.
"""

from __future__ import annotations

import fcntl
import os
import time

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "lock"
LOCK_FD = 29  # of MAIN and what it starts; of the launcher too
LOWEST_OWN_FD = 40  # descriptors of our own, out of the way of those that a launcher is given
TRIES = 3
TRY_S = 0.002


def path_of(folder: str) -> str:
    """Return the path of a run's lock."""
    return os.path.join(folder, NAME)


def acquire(folder: str) -> int:
    """Take the lock of a new run and return its descriptor, -1 where there is no flock.

    It gets its name when it is locked, so that no look at it comes in between.
    """
    beside = f"{path_of(folder)}.new"
    fd = _locked(lambda: os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), fcntl.LOCK_EX)
    if fd >= 0:
        os.rename(beside, path_of(folder))
    return fd


def share_root(root: str) -> int:
    """Share the lock on the project's folder itself, which outlives its `.do-tasks/`; -1 where there is no flock."""
    return _locked(lambda: os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)


def is_held(folder: str) -> bool:
    """Return True when something of this run lives and holds its lock."""
    return _is_taken(path_of(folder), fcntl.LOCK_SH)


def root_is_held(root: str) -> bool:
    """Return True when a launcher of any run of this folder lives, known or not."""
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
    """Ask by taking it for an instant; another look may be in the way for as long."""
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
