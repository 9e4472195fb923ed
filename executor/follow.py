"""The only reader of .task_execution.log: lines, tasks, the fold with its cache."""

from __future__ import annotations

import json
import os

from executor import __version__, files
from executor.records import LOG_NAME
from executor.state import FOLDS, StepState, fold
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BLOCK = 1 << 20


class Recalled(Value):
    """The fold of the log up to `offset` bytes; `rebuilt` says that no cache fitted."""

    states: dict[int, StepState]
    inode: int = 0
    offset: int = 0
    rebuilt: bool = False


def rotated(root: str) -> list[str]:
    """Return the paths of rotated logs, oldest first."""
    found = [name for name in os.listdir(root) if name.startswith(f"{LOG_NAME}.") and name.rsplit(".", 1)[1].isdigit()]
    return [os.path.join(root, name) for name in sorted(found, key=lambda name: int(name.rsplit(".", 1)[1]))]


def lines(path: str, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (offset behind it, line) for each whole line from `offset`; a torn last line is left for later."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the with below; a missing log is an empty log
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        held = b""
        while block := file.read(BLOCK):
            *whole, held = (held + block).split(b"\n")
            for line in whole:
                offset += len(line) + 1
                yield offset, line


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the line's object, None for a repaired fragment."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def recall(root: str) -> Recalled:
    """Return the fold of the log: the cached part where it fits, the rest read."""
    path = os.path.join(root, LOG_NAME)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return Recalled(_fold_from({}, [*rotated(root)]), rebuilt=True)
    cached = _cached(root, inode=status.st_ino, size=status.st_size)
    if cached is None:
        states, offset = _fold_tail(_fold_from({}, rotated(root)), path, 0)
        return Recalled(states, status.st_ino, offset, rebuilt=True)
    states, offset = _fold_tail(cached.states, path, cached.offset)
    return Recalled(states, status.st_ino, offset)


def catch_up(root: str, recalled: Recalled) -> Recalled:
    """Return the fold with what was written since, by us and by others."""
    path = os.path.join(root, LOG_NAME)
    if not recalled.inode or os.stat(path).st_ino != recalled.inode:
        return recall(root)
    states, offset = _fold_tail(recalled.states, path, recalled.offset)
    return recalled.replace(states=states, offset=offset)


def save(root: str, recalled: Recalled) -> None:
    """Cache the fold; nothing is true because this file says so."""
    body = {
        "version": __version__,
        "inode": recalled.inode,
        "offset": recalled.offset,
        "tail": _tail_mark(os.path.join(root, LOG_NAME), recalled.offset),
        "rotated": len(rotated(root)),
        "steps": {str(number): list(state.asdict().values()) for number, state in recalled.states.items()},
    }
    files.private_folder(os.path.join(root, ".do-tasks"))
    files.replace(_cache_path(root), json.dumps(body).encode())


def task_lines(root: str, task_id: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of one task, oldest first, without parsing the others."""
    for path in [*rotated(root), os.path.join(root, LOG_NAME)]:
        for line in _lines_with(path, task_id.encode()):
            record = parse(line)
            if record is not None and record.get("task_id") == task_id:
                yield record


def _lines_with(path: str, needle: bytes) -> Iterator[bytes]:
    import mmap

    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        at = text.find(needle)
        while at >= 0:
            start = text.rfind(b"\n", 0, at) + 1
            end = text.find(b"\n", at)
            end = len(text) if end < 0 else end
            yield text[start:end]
            at = text.find(needle, end)


def _fold_from(states: dict[int, StepState], paths: list[str]) -> dict[int, StepState]:
    for path in paths:
        states, _ = _fold_tail(states, path, 0)
    return states


def _fold_tail(states: dict[int, StepState], path: str, offset: int) -> tuple[dict[int, StepState], int]:
    records = []
    for behind, line in lines(path, offset):
        offset = behind
        if _matters(line):
            record = parse(line)
            if record is not None:
                records.append(record)
    return fold(states, records), offset


def _matters(line: bytes) -> bool:
    """Tell by bytes alone whether the fold would look at the line: most lines are checks."""
    at = line.find(b'"event": "')
    if at < 0:
        return bool(line)
    return line[at + 10 : line.find(b'"', at + 10)].decode("ascii", "replace") in FOLDS


def _cache_path(root: str) -> str:
    return os.path.join(root, ".do-tasks", "state.json")


def _cached(root: str, *, inode: int, size: int) -> Recalled | None:
    try:
        body = json.loads(files.read(_cache_path(root)) or b"{}")
        fits = body.get("version") == __version__ and body["inode"] == inode and body["offset"] <= size
        fits = fits and body["rotated"] == len(rotated(root))
        if not fits or body["tail"] != _tail_mark(os.path.join(root, LOG_NAME), body["offset"]):
            return None
        states = {int(number): StepState(*values) for number, values in body["steps"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return None
    return Recalled(states, inode, body["offset"])


def _tail_mark(path: str, offset: int, size: int = 256) -> str:
    """Return the bytes before `offset`: a log cut and grown again under the same inode does not match."""
    start = max(0, offset - size)
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(offset - start).decode("latin-1")
    except FileNotFoundError:
        return ""
