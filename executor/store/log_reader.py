"""The only reader of .task_execution.log: lines, tasks, the fold with its cache."""

from __future__ import annotations

import json
import os
import re

from executor import __version__
from executor.errors import MachineError, remedy
from executor.store.state import FOLDS, fold
from executor.store.step_state import packed, unpacked
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.plan.step_ids import StepId
    from executor.store.step_state import StepState

BLOCK = 1 << 20
MOST_LINE = 1 << 23  # bytes of a line, far more than any event has
NUMBER = re.compile("[0-9]{1,18}")
LINE = 1 << 14  # bytes that hold about any line
MOVES = 5  # attempts to read the log while it is rotated
CACHE = "state.json"
WORTH_CACHING = 1 << 20  # bytes; a read verb that had to read more saves the fold
_FOLDED = frozenset(name.encode() for name in (*FOLDS, "StepsRenumbered"))


class LogState(Record):
    """The fold of the log up to `offset` bytes; `rebuilt` says that no cache fitted."""

    states: dict[StepId, StepState]
    inode: int = 0
    offset: int = 0
    rebuilt: bool = False


def rotated(root: str) -> list[str]:
    """Return the paths of rotated logs, oldest first."""
    named = [name for name in os.listdir(root) if name.startswith(f"{LOG_NAME}.")]
    found = [name for name in named if NUMBER.fullmatch(name.removeprefix(f"{LOG_NAME}."))]
    return [os.path.join(root, name) for name in sorted(found, key=lambda name: int(name.rsplit(".", 1)[1]))]


def lines(path: str, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (offset behind it, line) for each whole line from `offset`; a torn last line is left for later.

    A line of more than MOST_LINE bytes was not written by do-tasks, and counts as empty.
    """
    fd = _opened(path)
    if fd < 0:
        return
    try:
        pieces: list[bytes] = []
        size = 0  # bytes of a line that goes on in the next block
        while block := os.pread(fd, BLOCK, offset + size):
            *whole, rest = block.split(b"\n")
            for line in whole:
                size += len(line) + 1
                offset += size
                yield offset, b"" if size > MOST_LINE else b"".join([*pieces, line]) if pieces else line
                pieces, size = [], 0
            size += len(rest)
            pieces = [*pieces, rest] if size <= MOST_LINE else [b""]
    finally:
        os.close(fd)


def _opened(path: str) -> int:
    """Return a descriptor of a log, -1 where there is none."""
    try:
        return safe_open.open_regular(path)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}; {remedy(error)}") from error


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line, None for a repaired fragment or other text."""
    try:
        value = safe_open.parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def recall(root: str) -> LogState:
    """Return the fold of the log: its cached part, then the lines after it; read again after a rotation."""
    for _ in range(MOVES):
        pieces, inode = rotated(root), _inode(root)
        recalled = _recalled(root, pieces)
        if (rotated(root), _inode(root)) == (pieces, inode):
            break
    return recalled


def _recalled(root: str, pieces: list[str]) -> LogState:
    status = _status(path := os.path.join(root, LOG_NAME))
    if status is None:
        return LogState(_fold_from({}, pieces), rebuilt=True)
    cached = _cached(root, inode=status.st_ino, size=status.st_size)
    known = cached or LogState(_fold_from({}, pieces), status.st_ino, rebuilt=True)
    states, offset = _fold_tail(known.states, path, known.offset)
    recalled = known.replace(states=states, offset=offset)
    if offset - known.offset > WORTH_CACHING and os.access(root, os.W_OK):
        save(root, recalled)
    return recalled


def _inode(root: str) -> int:
    return status.st_ino if (status := _status(os.path.join(root, LOG_NAME))) else 0


def catch_up(root: str, recalled: LogState) -> LogState:
    """Return the fold with the lines that any process wrote since."""
    status = _status(path := os.path.join(root, LOG_NAME))
    if status is None:  # rotated this instant, or deleted: the other files count
        return recall(root)
    if status.st_ino == recalled.inode and status.st_size == recalled.offset:
        return recalled
    if not recalled.inode or status.st_ino != recalled.inode:
        return recall(root)
    states, offset = _fold_tail(recalled.states, path, recalled.offset)
    if _inode(root) != recalled.inode:  # rotated meanwhile: the lines may be of the new log
        return recall(root)
    return recalled.replace(states=states, offset=offset)


def _status(path: str) -> os.stat_result | None:
    """Return the state of a log, None where there is none."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}; {remedy(error)}") from error


def save(root: str, recalled: LogState) -> None:
    """Write the fold to the cache, where possible; nothing depends on the cache."""
    try:
        body = {
            "version": __version__,
            "inode": recalled.inode,
            "offset": recalled.offset,
            "tail": _tail_mark(os.path.join(root, LOG_NAME), recalled.offset),
            "rotated": len(rotated(root)),
            **packed(recalled.states),
        }
        folder = files.private_folder(os.path.join(root, files.STATE_FOLDER))
        files.replace(os.path.join(folder, CACHE), json.dumps(body).encode())
    except (MachineError, OSError):
        return


def last_version(root: str) -> int:
    """Return the version of the last whole line of the log, 0 for none; a higher one is of a newer do-tasks."""
    path = os.path.join(root, LOG_NAME)
    size = os.path.getsize(path) if os.path.exists(path) else 0
    last = 0
    for _, line in lines(path, max(0, size - 4 * LINE)):
        version = (parse(line) or {}).get("v")
        last = version if isinstance(version, int) else last
    return last


def lines_of(root: str, task_id: str, offset: int, end: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of one task between these offsets of the log, in bytes."""
    needle = task_id.encode("utf-8", "replace")
    for behind, line in lines(os.path.join(root, LOG_NAME), offset):
        if behind > end:
            return
        record = parse(line) if needle in line else None
        if record is not None and record.get("task_id") == task_id:
            yield record


def task_lines(root: str, task_id: str, *, upto: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of one task, oldest first, of the log's first `upto` bytes.

    The log is read backwards, to the line that began the task. Lines of other tasks are not parsed.
    """
    found: list[dict[str, Any]] = []
    for path in (os.path.join(root, LOG_NAME), *reversed(rotated(root))):
        for line in _lines_back(path, task_id.encode("utf-8", "replace"), upto):
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
    fd = _opened(path)
    if fd < 0:
        return
    try:
        for text in _texts_back(fd, upto):
            end = len(text)
            while (at := text.rfind(needle, 0, end)) >= 0:
                start, stop = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
                yield text[start : stop if stop >= 0 else len(text)]
                end = start
    finally:
        os.close(fd)


def _texts_back(fd: int, upto: int | None) -> Iterator[bytes]:
    """Yield a file's whole lines, block by block, the last block first; no line that is too long."""
    size = os.fstat(fd).st_size
    at = size if upto is None else min(upto, size)
    behind = os.pread(fd, LINE, at).partition(b"\n")[0]  # the rest of a line that `upto` cuts
    while at:
        start = max(0, at - BLOCK)
        block = os.pread(fd, at - start, start)
        at = start
        head = block.find(b"\n") + 1 if start else 0
        if start and not head:
            behind = block + behind if len(behind) < MOST_LINE else b""
            continue
        yield block[head:] + behind
        behind = block[:head]


def _fold_from(states: dict[StepId, StepState], paths: list[str]) -> dict[StepId, StepState]:
    for path in paths:
        states, _ = _fold_tail(states, path, 0)
    return states


def _fold_tail(states: dict[StepId, StepState], path: str, offset: int) -> tuple[dict[StepId, StepState], int]:
    """Return the states and the offset after the whole lines from `offset`, read a line at a time."""
    reached = offset

    def records() -> Iterator[dict[str, Any]]:
        nonlocal reached
        for reached, line in lines(path, offset):  # noqa: B007 - read after the loop
            record = parse(line) if _matters(line) else None
            if record is not None:
                yield record

    return fold(states, records()), reached


def _matters(line: bytes) -> bool:
    """Return True for a line that the fold uses, by its bytes alone: most lines are checks."""
    at = line.find(b'"event": "')
    if at < 0:
        return bool(line)
    return line[at + 10 : line.find(b'"', at + 10)] in _FOLDED


def _cached(root: str, *, inode: int, size: int) -> LogState | None:
    body = safe_open.read_record(os.path.join(root, files.STATE_FOLDER, CACHE))
    try:
        fits = body.get("version") == __version__ and body["inode"] == inode and body["offset"] <= size
        fits = fits and body["rotated"] == len(rotated(root))
        if not fits or body["tail"] != _tail_mark(os.path.join(root, LOG_NAME), body["offset"]):
            return None
        states = unpacked(body)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MachineError):
        return None
    return LogState(states, inode, body["offset"])


def _tail_mark(path: str, offset: int, size: int = 256) -> str:
    """Return the digest of the bytes before `offset`; it differs when the log was cut and grew again."""
    start = max(0, offset - size)
    fd = _opened(path)
    if fd < 0:
        return ""
    try:
        return files.digest(os.pread(fd, offset - start, start))
    finally:
        os.close(fd)
