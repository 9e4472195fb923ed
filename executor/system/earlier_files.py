"""The files from before MAIN: only a file that is new or changed since then is evidence."""

from __future__ import annotations

import json
import os
import stat

from executor.system.birth_time import born_ns
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.system.folders import Found

    # inode, size, mtime_ns, ctime_ns, checksum, 1 when of samples, 1 when an earlier MAIN of the step made it
    Entry = list[int]

BLOCK = 1 << 20
WHOLE = 16 * 1024  # bytes; a longer file may be compared by samples
SAMPLES = 3
SAMPLE = 2048  # bytes
MOST_INSIDE = 2000  # files of a folder that is evidence
UNREAD = -1
ENTRY = 7  # numbers of an Entry


class EarlierFiles:
    """The names that a glob matched when MAIN began; evidence is a new file, or one with other content.

    `has_rows` is False for a record without the rows of its files: no criterion asked for them then.
    """

    def __init__(
        self,
        names: dict[str, Entry],
        began_ns: int,
        *,
        is_cut: bool,
        pieces: Mapping[str, list[int]] | None = None,
        has_rows: bool = True,
    ) -> None:
        self._names = names
        self._has_rows = has_rows
        self._pieces = pieces or {}
        self._inodes = {entry[0]: entry for entry in names.values()}
        self._began_ns = began_ns
        self._is_cut = is_cut
        self._answers: dict[tuple[object, ...], bool] = {}

    def holds(self, name: str, status: os.stat_result) -> bool:
        """Return True for a file or folder that existed with its present content."""
        now, path = stamp(name, status), os.path.normpath(name)
        if (path, *now) not in self._answers:
            self._answers[path, *now] = self._holds(path, now, status)
        return self._answers[path, *now]

    def _holds(self, name: str, now: Entry, status: os.stat_result) -> bool:
        entry = self._names.get(name)
        if entry is not None and _unchanged(name, status, entry, now):
            return True
        if entry is None and now[3] < self._began_ns and _leads_elsewhere(name, self._began_ns):
            return True
        moved = self._inodes.get(now[0])  # renamed or linked: the same file under another name
        then = entry or moved
        is_same_folder = then is not None and then[0] == now[0] and stat.S_ISDIR(status.st_mode)
        if then and is_same_folder and _nothing_written(name, then[3] or self._began_ns - 1):
            return True
        is_that_file = moved and stat.S_ISREG(status.st_mode) and self._is_that_file(name, now, moved)
        if moved and is_that_file and _unchanged(name, status, moved, now):
            return True
        return entry is None and self._is_cut and now[3] < self._began_ns

    def _is_that_file(self, name: str, now: Entry, then: Entry) -> bool:
        """Return True unless the file is a new one to which the system gave the inode of a deleted one."""
        return then[2] == now[2] or 0 < born_ns(name) < self._began_ns

    def grown_from(self, name: str) -> int:
        """Return the earlier size of a file that has only grown since, else 0."""
        entry, status = self._names.get(os.path.normpath(name)), os.stat(name)
        if entry is None or entry[4] == UNREAD or not 0 < entry[1] < status.st_size:
            return 0
        return entry[1] if content(name, status, entry[1], samples=bool(entry[5])) == entry[4] else 0

    def pieces(self, name: str) -> dict[int, int] | None:
        """Return checksum -> count of the earlier lines of a rewritten file.

        {} when every line is evidence, None when the earlier lines are not known, so that none is.
        """
        entry = self._names.get(os.path.normpath(name))
        if entry is None or entry[6] or self.grown_from(name):
            return {}
        if not self._has_rows:
            return None
        found: dict[int, int] = {}
        for mark in self._pieces.get(os.path.normpath(name), ()):
            found[mark] = found.get(mark, 0) + 1
        return found


def _leads_elsewhere(name: str, since_ns: int) -> bool:
    """Return True when a link on the path is younger: its target may be older."""
    parts = name.split(os.sep)
    for at in range(1, len(parts) + 1):
        try:
            status = os.lstat(os.sep.join(parts[:at]) or os.sep)
        except OSError:
            return False
        if stat.S_ISLNK(status.st_mode) and status.st_ctime_ns >= since_ns:
            return True
    return False


def _nothing_written(folder: str, since_ns: int) -> bool:
    """Return True when no file of a folder was written or added since; some may have been removed."""
    files = [status for _, status in _inside(folder)]
    return bool(files) and all(status.st_ctime_ns <= since_ns for status in files)


def _unchanged(name: str, status: os.stat_result, entry: Entry, now: Entry) -> bool:
    """Return True when a file has its earlier content; of an unreadable file the size decides."""
    if now == entry[:4]:
        return True
    if now[1] != entry[1]:
        return False
    is_written_anew = now[0] != entry[0] or now[2] != entry[2]
    if entry[6] and is_written_anew:  # an earlier MAIN of the step made it, and this one makes the same again
        return False
    checksum = content(name, status, entry[1], samples=bool(entry[5]))
    return UNREAD in (checksum, entry[4]) or checksum == entry[4]


def stamp(name: str, status: os.stat_result) -> Entry:
    """Return inode, size, mtime_ns, ctime_ns; of a folder the sum of sizes and the newest times of it and its files."""
    if not stat.S_ISDIR(status.st_mode):
        return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    files = [inner for _, inner in _inside(name)]
    changed_ns = max([status.st_mtime_ns, *(one.st_mtime_ns for one in files)])
    moved_ns = max([status.st_ctime_ns, *(one.st_ctime_ns for one in files)])
    return [status.st_ino, sum(one.st_size for one in files), changed_ns, moved_ns]


def _inside(folder: str) -> Found:
    """Return the files below a folder with their status, links not followed, sorted by name; MOST_INSIDE at most."""
    found: Found = []
    for below, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(below, name)
            try:
                found.append((path, os.lstat(path)))
            except OSError:  # it was deleted meanwhile
                continue
            if len(found) >= MOST_INSIDE:
                return found
    return found


def content(name: str, status: os.stat_result, size: int, *, samples: bool) -> int:
    """Return the checksum of the first `size` bytes of a file, or of samples of them; of a folder that of its files.

    UNREAD for a path that cannot be read, and for one that is neither file nor folder.
    """
    if stat.S_ISREG(status.st_mode):
        return _file_checksum(name, size, samples=samples)
    return _folder_checksum(name) if stat.S_ISDIR(status.st_mode) else UNREAD


def read_whole(name: str, status: os.stat_result) -> bytes | None:
    """Return the bytes of a regular file of at most WHOLE bytes; None for any other, and for one not readable."""
    if not stat.S_ISREG(status.st_mode) or status.st_size > WHOLE:
        return None
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.pread(handle, status.st_size, 0)
    except OSError:
        return None
    finally:
        os.close(handle)


def _folder_checksum(folder: str) -> int:
    from zlib import crc32

    total = 0
    for path, status in _inside(folder):
        own = content(path, status, status.st_size, samples=True)
        line_of_it = f"{os.path.relpath(path, folder)}\0{status.st_size}\0{own}\0"
        total = crc32(line_of_it.encode("utf-8", "surrogateescape"), total)
    return total


def _file_checksum(path: str, size: int, *, samples: bool) -> int:
    from zlib import crc32

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return UNREAD
    checksum = 0
    try:
        for place, length in _compared_parts(size, samples=samples):
            checksum = crc32(os.pread(handle, length, place), checksum)
    except OSError:
        return UNREAD
    finally:
        os.close(handle)
    return checksum


def _compared_parts(size: int, *, samples: bool) -> list[tuple[int, int]]:
    """Return the offsets and lengths of the bytes to compare: all, or samples at the start, middle and end."""
    if size <= WHOLE:
        return [(0, size)]
    if not samples:
        return [(place, min(BLOCK, size - place)) for place in range(0, size, BLOCK)]
    return [(number * (size - SAMPLE) // (SAMPLES - 1), SAMPLE) for number in range(SAMPLES)]


def read_earlier(path: str, pattern: str) -> EarlierFiles | None:
    """Return the entries of a glob in a record; None without a whole record, or when the glob is not in it."""
    body = read_record(path)
    found = body["globs"].get(pattern) if body else None
    if not body or not found:
        return None
    return EarlierFiles(
        found["names"],
        body["began_ns"],
        is_cut=found["cut"],
        pieces=found.get("pieces"),
        has_rows=found.get("rows") is not False,
    )


def read_record(path: str) -> dict[str, Any] | None:
    """Return the record of earlier files; None for a missing or damaged one."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            return None
        with open(path, encoding="utf-8", errors="surrogateescape") as record:
            body = json.load(record)
        whole_record = isinstance(body["began_ns"], int) and all(map(_well_formed, body["globs"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return body if whole_record else None


def _well_formed(found: Any) -> bool:
    entries = found["names"].values()
    marks = [mark for one in found.get("pieces", {}).values() for mark in one]
    return (
        isinstance(found["cut"], bool)
        and all(len(entry) == ENTRY and all(isinstance(number, int) for number in entry) for entry in entries)
        and all(isinstance(mark, int) for mark in marks)
    )
