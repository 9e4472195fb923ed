"""Digests of the log, kept outside of the project while a brief is out: of each new line, and of the log before."""

from __future__ import annotations

import os

from executor.store import log_reader
from executor.system import files, safe_open, user_state
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "outside"  # in the folder of a brief: the path of the copy outside
LINES = "lines"
DIGEST = 32  # hex digits
MOST_DIGESTED = 8 << 20  # bytes; a digest covers at most so many before a place


def note(root: str, data: bytes) -> None:
    """Record the lines that are about to be written to the log, while a brief is out."""
    for ident in idents(root):
        text = "".join(f"{digest_of(line)} {_event(line)}\n" for line in _lines(data))
        _append(place_of(root, ident), text.encode())


def retract(root: str, data: bytes) -> None:
    """Record that these lines were not written: the disk refused."""
    for ident in idents(root):
        _append(place_of(root, ident), "".join(f"-{digest_of(line)}\n" for line in _lines(data)).encode())


def begin(root: str, ident: str) -> None:
    """Create the file of digests; its absence then means that it was deleted."""
    _append(place_of(root, ident), b"")


def idents(root: str) -> list[str]:
    """Return the identifiers of the snapshots of briefs in a project."""
    return names_in(os.path.join(root, user_state.BRIEFS))


def place_of(root: str, ident: str) -> str:
    """Return the path of the file of digests: beside the copy outside, or in the project when there is no copy."""
    folder = os.path.join(root, user_state.BRIEFS, ident)
    try:
        with open(os.path.join(folder, PLACE), "rb") as file:
            outside = os.fsdecode(file.read(4096))
    except OSError:
        outside = ""
    return f"{outside}.{LINES}" if os.path.isabs(outside) else os.path.join(folder, LINES)


def noted(path: str) -> dict[str, str]:
    """Return the kind of event of each recorded line, by its digest."""
    try:
        rows = files.read(path).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    taken_back = {row[1:] for row in rows if row.startswith("-")}
    pairs = (row.partition(" ") for row in rows if not row.startswith("-"))
    return {digest: event for digest, _, event in pairs if digest not in taken_back}


def digest_of(line: bytes) -> str:
    """Return the digest of a line."""
    return files.digest(line)[:DIGEST]


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line]


def _event(line: bytes) -> str:
    at = line.find(b'"event": "')
    return line[at + 10 : line.find(b'"', at + 10)].decode("ascii", "replace") if at >= 0 else "?"


def _append(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # the line is then reported as one that was not recorded
        return
    try:
        os.write(fd, data)
    except OSError:
        return
    finally:
        os.close(fd)


def pieces(root: str) -> list[str]:
    """Return the paths of the log and its rotated files, oldest first."""
    return [path for path in (*log_reader.rotated(root), os.path.join(root, LOG_NAME)) if os.path.exists(path)]


def size_of(root: str) -> int:
    """Return the size of the log with its rotated files, bytes."""
    return sum(map(os.path.getsize, pieces(root)))


def digest_before(root: str, size: int) -> str:
    """Return the digest of the last MOST_DIGESTED bytes before a place; empty when there are too few."""
    from hashlib import sha256

    sha, at, start = sha256(), 0, max(0, size - MOST_DIGESTED)
    for path in pieces(root):
        for block in safe_open.read_blocks(path):
            sha.update(block[max(0, start - at) : max(0, size - at)])
            at += len(block)
        if at >= size:
            break
    return sha.hexdigest()[:32] if at >= size else ""


def lines_behind(root: str, size: int) -> Iterator[bytes]:
    """Yield the lines after a place."""
    left = size
    for path in pieces(root):
        length = os.path.getsize(path)
        if left < length:
            yield from (line for _, line in log_reader.lines(path, max(0, left)) if line)
        left -= length
