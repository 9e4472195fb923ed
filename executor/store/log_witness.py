"""Which lines of the log do-tasks wrote while a brief is out: a digest of each is kept outside of the project."""

from __future__ import annotations

import os

from executor.system import files, user_state
from executor.system.folders import names_in

PLACE = "outside"  # of what is remembered of a brief: where the copy outside is
LINES = "lines"
DIGEST = 32  # hex digits


def note(root: str, data: bytes) -> None:
    """Note the lines that are about to be written to the log, when something is remembered of a brief."""
    for ident in idents(root):
        text = "".join(f"{digest_of(line)} {_event(line)}\n" for line in _lines(data))
        _append(place_of(root, ident), text.encode())


def retract(root: str, data: bytes) -> None:
    """Note that these lines were not written after all: the disk refused."""
    for ident in idents(root):
        _append(place_of(root, ident), "".join(f"-{digest_of(line)}\n" for line in _lines(data)).encode())


def begin(root: str, ident: str) -> None:
    """Make the file of digests: a name without one had it taken away."""
    _append(place_of(root, ident), b"")


def idents(root: str) -> list[str]:
    """Return the names under which something is remembered in a project."""
    return names_in(os.path.join(root, user_state.BRIEFS))


def place_of(root: str, ident: str) -> str:
    """Return the file of digests: beside the copy outside, in the project where there is none."""
    folder = os.path.join(root, user_state.BRIEFS, ident)
    try:
        with open(os.path.join(folder, PLACE), "rb") as file:
            outside = os.fsdecode(file.read(4096))
    except OSError:
        outside = ""
    return f"{outside}.{LINES}" if os.path.isabs(outside) else os.path.join(folder, LINES)


def noted(path: str) -> dict[str, str]:
    """Return the kind of event of each line that was noted, by its digest."""
    try:
        rows = files.read(path).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    taken_back = {row[1:] for row in rows if row.startswith("-")}
    pairs = (row.partition(" ") for row in rows if not row.startswith("-"))
    return {digest: event for digest, _, event in pairs if digest not in taken_back}


def digest_of(line: bytes) -> str:
    """Return what stands for a line."""
    return files.digest(line)[:DIGEST]


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line]


def _event(line: bytes) -> str:
    at = line.find(b'"event": "')
    return line[at + 10 : line.find(b'"', at + 10)].decode("ascii", "replace") if at >= 0 else "?"


def _append(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # the line will be one that nobody noted, and is told as such
        return
    try:
        os.write(fd, data)
    except OSError:
        return
    finally:
        os.close(fd)
