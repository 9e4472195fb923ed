"""A log that was deleted while a process has it open: its lines are written again."""

from __future__ import annotations

import os
from contextlib import suppress

BLOCK = 1 << 20


def write_again(fd: int, path: str) -> None:
    """Make the file of a deleted log anew (`git clean -fd` takes it); a log that was renamed stays where it is.

    Nothing is done when another process was faster, or when the disk refuses: the log begins anew then.
    """
    if os.fstat(fd).st_nlink:
        return
    beside = os.path.join(os.path.dirname(path), f".{os.getpid()}.log.tmp")
    with suppress(OSError):
        try:
            _copy(fd, beside)
            os.link(beside, path)
        finally:
            os.unlink(beside)


def _copy(fd: int, path: str) -> None:
    at = 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as copy:
        while block := os.pread(fd, BLOCK, at):
            at += copy.write(block)
