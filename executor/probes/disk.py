"""Looks whether a disk has room, and still takes what is written."""

from __future__ import annotations

import errno
import os
from binascii import crc32

from executor.asks import fields
from executor.probes.spoken import size
from executor.readings import Reading
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.readings import Memory, Place

WRITE_EVERY_S = 60.0
BLOCK = b"do-tasks looks whether this disk takes what is written to it.\n\n\n" * 64


def disk(asks: Any, memory: Memory, place: Place) -> Reading:
    """Asks: a path, or {path, write: false}.

    values: free_bytes, total_bytes, free_percent, free_files where they are counted; writable 1 or 0, by a small file
    that is written, synced and removed at most once a minute.
    """
    wants = fields(asks, "path")
    path = os.path.join(place.root, wants["path"])
    try:
        room = os.statvfs(path)
    except OSError as error:
        return Reading(at_s=place.now_s, there=False, text=f"{wants['path']}: {error.strerror}")
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    values = {"free_bytes": float(free), "total_bytes": float(total), "free_percent": 100 * free / max(1, total)}
    if room.f_files:
        values["free_files"] = float(room.f_favail)
    refused = _refusal(path, memory, place) if wants.get("write", True) else ""
    if wants.get("write", True):
        values["writable"] = float(not refused)
    text = f"{size(free)} free of {size(total)} ({values['free_percent']:.0f} %)"
    return Reading(at_s=place.now_s, values=values, text=f"{text}; cannot write: {refused}" if refused else text)


def _refusal(path: str, memory: Memory, place: Place) -> str:
    """Return why the disk takes nothing, empty when it does; asked once a minute, remembered in between."""
    if place.now_s >= memory.get("write_s", place.now_s):
        memory["write_s"] = place.now_s + WRITE_EVERY_S
        memory["refused"] = _write(path if os.path.isdir(path) else os.path.dirname(path), place.token)
    refused: str = memory["refused"]
    return refused


def _write(folder: str, token: str) -> str:
    """Write, sync and remove a small file; return what hinders."""
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
