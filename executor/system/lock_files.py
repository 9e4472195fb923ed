"""Lock files: whose turn it is, where the file system has no locks."""

from __future__ import annotations

import os
import time

from executor.system import degraded, lock_holder, safe_open
from executor.system.lock_holder import FILE, Holder

MAKING_S = 60.0  # a lock file without a name is one that is being made, for so long
FREE = b"free\n"


def turn(path: str) -> str:
    """Return the lock file that this process has made, empty while another process has its turn.

    Each holder makes the file with the next number, which only one can. A number is not taken back: the file with
    the highest one says whose turn it is, `free` once it is over.
    """
    number, other = newest(path)
    mine = f"{path}.{number + 1}"
    if other or not _made(mine):
        return ""
    if _numbers(path)[-1:] != [number + 1]:  # so slow that others had their turns, and removed what was seen
        _forget(mine)
        return ""
    for before in _numbers(path)[:-1]:
        _forget(f"{path}.{before}")
    told = f"the file system of {os.path.dirname(path)} has no locks: files such as {mine} stand in for them"
    degraded.note("locks", told)
    return mine


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def free(turn: str) -> None:
    """Say in a lock file that its turn is over."""
    fd = os.open(turn, os.O_WRONLY | os.O_CLOEXEC)
    os.pwrite(fd, FREE, 0)
    os.ftruncate(fd, len(FREE))
    os.close(fd)


def newest(path: str) -> tuple[int, Holder | None]:
    """Return the highest number of a lock file, 0 without one, and its holder if that lives."""
    numbers = _numbers(path)
    if not numbers:
        return 0, None
    try:
        fd = safe_open.opened(f"{path}.{numbers[-1]}")
    except OSError:
        return numbers[-1], None
    try:
        said = lock_holder.said(fd)
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
    os.write(fd, lock_holder.record(FILE))
    os.close(fd)
    return True
