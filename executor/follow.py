"""The only reader of .task_execution.log: lines, tasks, the fold with its cache."""

from __future__ import annotations

import json
import os

from executor import __version__, files
from executor.errors import MachineError
from executor.records import LOG_NAME
from executor.state import FOLDS, fold
from executor.step_state import StepState
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BLOCK = 1 << 20
LINE = 1 << 14  # bytes that hold about any line
WORTH_CACHING = 1 << 20  # bytes of log read anew, from which on a read verb saves the fold too
_FOLDED = frozenset(name.encode() for name in (*FOLDS, "StepsRenumbered"))
_FIELDS = list(StepState._fields)  # a cache with other fields is of another version


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
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}") from error
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
        return _kept(root, Recalled(states, status.st_ino, offset, rebuilt=True), offset)
    states, offset = _fold_tail(cached.states, path, cached.offset)
    return _kept(root, Recalled(states, status.st_ino, offset), offset - cached.offset)


def _kept(root: str, recalled: Recalled, read_bytes: int) -> Recalled:
    """Save a fold that took long, where we may write."""
    if read_bytes > WORTH_CACHING and os.access(root, os.W_OK):
        save(root, recalled)
    return recalled


def catch_up(root: str, recalled: Recalled) -> Recalled:
    """Return the fold with what was written since, by us and by others."""
    path = os.path.join(root, LOG_NAME)
    try:
        status = os.stat(path)
    except FileNotFoundError:  # moved aside this instant, or taken away: what the rest says counts
        return recall(root)
    if status.st_ino == recalled.inode and status.st_size == recalled.offset:
        return recalled
    if not recalled.inode or status.st_ino != recalled.inode:
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
        "fields": _FIELDS,
        "steps": {str(number): list(state.asdict().values()) for number, state in recalled.states.items()},
    }
    files.private_folder(os.path.join(root, ".do-tasks"))
    files.replace(_cache_path(root), json.dumps(body).encode())


def last_version(root: str) -> int:
    """Return the version of the log's last whole line, 0 without one: a newer do-tasks may have written here."""
    path = os.path.join(root, LOG_NAME)
    size = os.path.getsize(path) if os.path.exists(path) else 0
    last = 0
    for _, line in lines(path, max(0, size - 4 * LINE)):
        version = (parse(line) or {}).get("v")
        last = version if isinstance(version, int) else last
    return last


def lines_of(root: str, task_id: str, offset: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of one task that stand behind `offset` bytes of the log."""
    needle = task_id.encode()
    for _, line in lines(os.path.join(root, LOG_NAME), offset):
        record = parse(line) if needle in line else None
        if record is not None and record.get("task_id") == task_id:
            yield record


def task_lines(root: str, task_id: str, *, upto: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of one task, oldest first, of the log's first `upto` bytes.

    Read from the end back to the line that began the task: what is older is not looked at, others' are not parsed.
    """
    found: list[dict[str, Any]] = []
    for path in (os.path.join(root, LOG_NAME), *reversed(rotated(root))):
        for line in _lines_back(path, task_id.encode(), upto):
            record = parse(line)
            if record is None or record.get("task_id") != task_id:
                continue
            found.append(record)
            if record.get("event") == "TaskStarted":
                return found[::-1]
        upto = None
    return found[::-1]


def _lines_back(path: str, needle: bytes, upto: int | None) -> Iterator[bytes]:
    """Yield the lines that hold the needle, the last one first."""
    import mmap

    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = len(text) if upto is None else min(upto, len(text))
        while (at := text.rfind(needle, 0, end)) >= 0:
            start = text.rfind(b"\n", 0, at) + 1
            stop = text.find(b"\n", at)
            yield text[start : stop if stop >= 0 else len(text)]
            end = start


def _fold_from(states: dict[int, StepState], paths: list[str]) -> dict[int, StepState]:
    for path in paths:
        states, _ = _fold_tail(states, path, 0)
    return states


def _fold_tail(states: dict[int, StepState], path: str, offset: int) -> tuple[dict[int, StepState], int]:
    """Return the states and the offset after the whole lines from `offset`; a line at a time, whatever the size."""
    reached = offset

    def records() -> Iterator[dict[str, Any]]:
        nonlocal reached
        for reached, line in lines(path, offset):  # noqa: B007 - read after the loop
            record = parse(line) if _matters(line) else None
            if record is not None:
                yield record

    return fold(states, records()), reached


def _matters(line: bytes) -> bool:
    """Tell by bytes alone whether the fold would look at the line: most lines are checks."""
    at = line.find(b'"event": "')
    if at < 0:
        return bool(line)
    return line[at + 10 : line.find(b'"', at + 10)] in _FOLDED


def _cache_path(root: str) -> str:
    return os.path.join(root, ".do-tasks", "state.json")


def _cached(root: str, *, inode: int, size: int) -> Recalled | None:
    try:
        body = json.loads(files.read(_cache_path(root)) or b"{}")
        fits = body.get("version") == __version__ and body["inode"] == inode and body["offset"] <= size
        fits = fits and body["fields"] == _FIELDS
        fits = fits and body["rotated"] == len(rotated(root))
        if not fits or body["tail"] != _tail_mark(os.path.join(root, LOG_NAME), body["offset"]):
            return None
        states = {int(number): _state_of(values) for number, values in body["steps"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return None
    return Recalled(states, inode, body["offset"])


def _state_of(values: list[Any]) -> StepState:
    kept: list[Any] = [tuple(value) if isinstance(value, list) else value for value in values]
    return StepState(*kept)


def _tail_mark(path: str, offset: int, size: int = 256) -> str:
    """Return the bytes before `offset`: a log cut and grown again under the same inode does not match."""
    start = max(0, offset - size)
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(offset - start).decode("latin-1")
    except FileNotFoundError:
        return ""
