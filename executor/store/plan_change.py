"""A change of several files of a plan: written in order, then completed after a crash, or undone as a whole."""

from __future__ import annotations

import json
import os

from executor.store import spec_file
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

NEW_FILE_MODE = 0o644
GONE = -1  # the time of a missing file


class FileChange(Record):
    """A file of a change: its bytes before and after; None stands for no file."""

    path: str
    before: bytes | None
    after: bytes | None


class Remembered(Record):
    """A file of a recorded change: `digest` and `time_ns` of the file before, `after` its new bytes."""

    path: str
    digest: str
    time_ns: int
    after: bytes | None


def record_path(lock: str) -> str:
    """Return the path of the record of a change that is being written under this lock."""
    return f"{lock}.pending"


def write(record: str, changes: Sequence[FileChange]) -> bool:
    """Replace the files in order; change none and return False when one differs from what was read.

    For several files a record is written first. The caller removes it with `forget` after it verified the change.
    """
    for one in changes:
        if one.before is not None:
            spec_file.refuse_read_only(one.path)
    if any(_content(one.path) != one.before for one in changes):
        return False
    remember(record, changes)
    for at, one in enumerate(changes):
        if not _replace(one):
            take_back(record, changes[:at])
            return False
    return True


def take_back(record: str, changes: Sequence[FileChange]) -> None:
    """Restore the bytes of the files, the last file first, and remove files that were created.

    A file that another program has changed meanwhile stays.
    """
    back = [FileChange(one.path, one.after, one.before) for one in reversed(changes)]
    remember(record, back)
    for one in back:
        _replace(one)
    forget(record)


def forget(record: str) -> None:
    """Remove the record of a change that is complete."""
    files.remove(record)


def finish(record: str) -> None:
    """Complete the change that a killed process began; called under the lock.

    Nothing is written unless the files are as the crash left them: the first ones changed, the others untouched. A
    person or another program may have changed or restored one since.
    """
    left = _remaining(_remembered(record))
    for one in left:
        _put(one.path, one.after)
    forget(record)


def _remaining(found: list[Remembered]) -> list[Remembered]:
    """Return the files that remain to be written; none when another program has changed a file."""
    is_written = [_is_written(one) for one in found]
    count = is_written.index(False) if False in is_written else len(found)
    left = found[count:]
    return left if all(_is_untouched(one) for one in left) else []


def _is_written(one: Remembered) -> bool:
    """Return True when a file has the bytes that the change gives it."""
    return _content(one.path) == one.after


def _is_untouched(one: Remembered) -> bool:
    """Return True for the same file as before the change; one that was restored has another time."""
    return (_digest(_content(one.path)), _time_ns(one.path)) == (one.digest, one.time_ns)


def _replace(one: FileChange) -> bool:
    """Write one file unless its content has changed since it was read."""
    if _content(one.path) != one.before:
        return False
    _put(one.path, one.after)
    return True


def _put(path: str, data: bytes | None) -> None:
    """Write a file with the mode and the owner that it has, or remove it."""
    folder, name = os.path.split(path)
    if data is None:
        files.remove(path)
        files.sync_folder(folder)
        return
    os.makedirs(folder, exist_ok=True)
    # A fixed name is enough under the lock: the next write replaces a file that a killed process left.
    beside = os.path.join(folder, f".{name}.tmp")
    try:
        now = os.stat(path)
    except FileNotFoundError:
        files.replace(path, data, mode=NEW_FILE_MODE, durable=True, beside=beside)
        return
    owner = (now.st_uid, now.st_gid)
    files.replace(path, data, mode=now.st_mode & 0o7777, owner=owner, durable=True, beside=beside)


def _content(path: str) -> bytes | None:
    try:
        return safe_open.read_whole(path)
    except FileNotFoundError:
        return None


def _time_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return GONE


def _digest(data: bytes | None) -> str:
    return "" if data is None else files.digest(data)


# The record


def remember(record: str, changes: Sequence[FileChange]) -> None:
    """Write the record; a change of one file needs none, as it happens at once."""
    if len(changes) < 2:
        return
    folder = os.path.dirname(record)
    rows = [
        {
            "path": os.path.relpath(one.path, folder),
            "digest": _digest(one.before),
            "time_ns": _time_ns(one.path),
            "after": None if one.after is None else one.after.decode("utf-8", "surrogateescape"),
        }
        for one in changes
    ]
    files.replace(record, json.dumps({"v": 1, "files": rows}).encode(), durable=True, beside=f"{record}.tmp")


def _remembered(record: str) -> list[Remembered]:
    """Return the files of a record, none for one that cannot be read."""
    data = files.read(record)
    folder = os.path.dirname(record)
    try:
        rows = json.loads(data)["files"] if data else []
        return [
            Remembered(
                os.path.normpath(os.path.join(folder, one["path"])),
                one["digest"],
                one["time_ns"],
                None if one["after"] is None else one["after"].encode("utf-8", "surrogateescape"),
            )
            for one in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
