"""The log with its rotated pieces as one stream of bytes, the oldest first."""

from __future__ import annotations

import os

from executor.store import log_reader
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 8 << 20  # bytes before a place that are digested


def pieces(root: str) -> list[str]:
    """Return the paths of what there is, oldest first."""
    return [path for path in (*log_reader.rotated(root), os.path.join(root, LOG_NAME)) if os.path.exists(path)]


def size_of(root: str) -> int:
    """Return how many bytes the stream has."""
    return sum(map(os.path.getsize, pieces(root)))


def digest_before(root: str, size: int) -> str:
    """Return the digest of the bytes before a place, at most so many as MOST says; empty when there are too few."""
    from hashlib import sha256

    told, at, start = sha256(), 0, max(0, size - MOST)
    for path in pieces(root):
        for block in safe_open.read_blocks(path):
            told.update(block[max(0, start - at) : max(0, size - at)])
            at += len(block)
        if at >= size:
            break
    return told.hexdigest()[:32] if at >= size else ""


def lines_behind(root: str, size: int) -> Iterator[bytes]:
    """Yield the lines behind a place."""
    left = size
    for path in pieces(root):
        length = os.path.getsize(path)
        if left < length:
            yield from (line for _, line in log_reader.lines(path, max(0, left)) if line)
        left -= length
