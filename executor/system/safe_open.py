"""Bounded reads of regular files: a pipe, a device or a huge file in the place of one is refused."""

from __future__ import annotations

import errno
import os
import stat
from json import loads

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOST_BYTES = 64 << 20  # of a file that is read whole
MOST_DEPTH = 100  # levels of a record
MARGIN = 4096  # bytes read beyond a file's size: it may grow, and files of /proc have size 0
FLAT = 8  # levels of most records
NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
TOO_DEEP = f"it is nested more than {MOST_DEPTH} deep"
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a pipe"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket"),
    (stat.S_ISCHR, errno.EINVAL, "it is a device"),
    (stat.S_ISBLK, errno.EINVAL, "it is a device"),
)


def refuse_irregular(path: str, mode: int) -> None:
    """Raise OSError with the kind of the file, unless it is regular."""
    if stat.S_ISREG(mode):
        return
    for is_kind, number, words in KINDS:
        if is_kind(mode):
            raise OSError(number, f"{words}, not a file", path)


def open_regular(path: str, flags: int = 0) -> int:
    """Return a descriptor of a regular file; OSError for any other kind: a pipe blocks, a device has no end.

    The kind is tested before the open too, since to open some devices is to act on them.
    """
    refuse_irregular(path, os.stat(path).st_mode)
    fd = os.open(path, FLAGS | flags)
    try:
        refuse_irregular(path, os.fstat(fd).st_mode)
    except OSError:
        os.close(fd)
        raise
    return fd


def read_whole(path: str, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a regular file; OSError for any other kind, and for more than `most` bytes."""
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        pieces: list[bytes] = []
        read = 0
        while size <= most and (piece := os.read(fd, max(0, size - read) + MARGIN)):
            pieces.append(piece)
            read += len(piece)
            size = max(size, read)
        if size > most:
            raise OSError(errno.EFBIG, f"it has more than {most >> 20} MiB", path)
        return b"".join(pieces)
    finally:
        os.close(fd)


def read_blocks(path: str) -> Iterator[bytes]:
    """Yield the bytes of a regular file, a MiB at a time; nothing when it cannot be read."""
    try:
        fd = open_regular(path)
    except OSError:
        return
    with open(fd, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            yield block


def read_start(path: str, size: int) -> bytes:
    """Return the first `size` bytes of a regular file; OSError for any other kind."""
    fd = open_regular(path)
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def read_start_text(path: str, size: int) -> str:
    """Return the first `size` bytes of a regular file as UTF-8 text, empty when it cannot be read."""
    try:
        return read_start(path, size).decode("utf-8", "replace")
    except OSError:
        return ""


def read_end(path: str, size: int) -> bytes:
    """Return the last `size` bytes of a regular file; OSError for any other kind."""
    fd = open_regular(path)
    try:
        return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
    finally:
        os.close(fd)


def read_record(path: str) -> dict[str, Any]:
    """Return the JSON object in a file, {} when it is missing, irregular, too large or no object."""
    try:
        body = parse_json(read_whole(path))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text; ValueError for invalid JSON, and for more than MOST_DEPTH levels."""
    try:
        value = loads(data)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if data.count(b"[") + data.count(b"{") > MOST_DEPTH and not _is_flat(data) and _is_too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def _is_flat(data: bytes) -> bool:
    """Return True when a few removals of inner pairs of brackets remove all of them."""
    left = data.translate(None, NO_BRACKETS)
    for _ in range(FLAT):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return not left


def _is_too_deep(value: object) -> bool:
    """Return True for a value with more than MOST_DEPTH levels."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, (dict, list))
        ]
    return bool(level)
