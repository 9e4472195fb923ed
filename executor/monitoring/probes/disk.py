"""The probe of a disk: free space, and whether it can be written."""

from __future__ import annotations

import errno
import os
from binascii import crc32

from executor.monitoring.model import Sample, options_of
from executor.monitoring.probes import paths
from executor.system.records import TYPE_CHECKING
from executor.system.text import size

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext

WRITE_EVERY_S = 60.0
BLOCK = b"do-tasks looks whether this disk takes what is written to it.\n\n\n" * 64


def disk(asks: Any, memory: Memory, job: ProbeContext) -> Sample:
    """Measure the space of a disk; `asks` is a path, or {path, write: false}.

    values: free_bytes, total_bytes, free_percent, free_files where inodes are counted; writable is 1 or 0, by a small
    file that is written, synced and removed at most once a minute. For a missing path the space is that of the nearest
    folder above it.
    """
    options = options_of(asks, "path")
    path = paths.placed(job.root, options["path"])
    try:
        missing = _missing(path)
        room = os.statvfs(_above(path) if missing else path)
    except OSError as error:
        return Sample(at_s=job.now_s, there=False, text=f"{options['path']}: {error.strerror}")
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    values = {"free_bytes": float(free), "total_bytes": float(total), "free_percent": 100 * free / max(1, total)}
    if room.f_files:
        values["free_files"] = float(room.f_favail)
    if missing:
        return Sample(at_s=job.now_s, there=False, values=values, text=f"{options['path']}: {missing}")
    is_tried = options.get("write", True)
    refused = _refusal(path, memory, job) if is_tried else ""
    if is_tried:
        values["writable"] = float(not refused)
    text = f"{size(free)} free of {size(total)} ({values['free_percent']:.0f} %)"
    return Sample(at_s=job.now_s, values=values, text=f"{text}; cannot write: {refused}" if refused else text)


def _missing(path: str) -> str:
    """Return the error of a missing path, empty when it exists."""
    try:
        os.stat(path)
    except FileNotFoundError as error:
        return str(error.strerror)
    return ""


def _above(path: str) -> str:
    """Return the nearest existing folder above a path."""
    while not os.path.lexists(path) and path not in ("", "/"):
        path = os.path.dirname(path.rstrip("/"))
    return path or "/"


def _refusal(path: str, memory: Memory, job: ProbeContext) -> str:
    """Return the error of a write to the disk, empty when it succeeds; tried once a minute."""
    if job.now_s >= memory.get("write_s", job.now_s):
        memory["write_s"] = job.now_s + WRITE_EVERY_S
        memory["refused"] = _write(path if os.path.isdir(path) else os.path.dirname(path), job.token)
    refused: str = memory["refused"]
    return refused


def _write(folder: str, token: str) -> str:
    """Write, sync and remove a small file; return the error, empty for none."""
    path = os.path.join(folder, f".do-tasks-{crc32(token.encode()):08x}.tmp")
    try:
        return _written(path)
    except OSError as error:
        return str(error.strerror)
    finally:
        _remove(path)


def _written(path: str) -> str:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        count = os.write(fd, BLOCK)
        os.fsync(fd)
    finally:
        os.close(fd)
    return "" if count == len(BLOCK) else os.strerror(errno.ENOSPC)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
