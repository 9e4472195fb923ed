"""What an agent changed is put back as it was; what it made is moved aside, never deleted."""

from __future__ import annotations

import errno
import os

from executor.errors import MachineError
from executor.guard import path_patterns, scan, snapshot
from executor.guard.scan import FILE, FOLDER, LINK, OTHER, RECORDS, ancestors
from executor.system import files, locks
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from executor.guard.scan import FileStat
    from executor.guard.snapshot import Entry, Snapshot

CHANGED, REMOVED, ADDED, MODE, REPLACED, LOST = "changed", "removed", "added", "mode", "replaced", "lost"
TAKEN = "taken"
NEW = "new"
OWNER_ALL = 0o700
MOST_TAKEN = 1000  # times that one path is moved aside


class Change(Record):
    """One thing that is not as it was: `kind` is changed, removed, added, mode, replaced or lost.

    `restored` says that it is as it was again; `why` that it could not be.
    """

    path: str
    kind: str
    restored: bool = False
    why: str = ""


class Restorer:
    """Puts back what a snapshot in `folder` remembers; what stood in the way goes to `folder`/taken."""

    def __init__(self, root: str, folder: str, kept: Snapshot, explained: Mapping[int, str]) -> None:
        self._root = root
        self._folder = folder
        self._kept = kept
        self._explained = explained
        self._opened: dict[str, int] = {}

    def mend(self, found: Collection[Change]) -> tuple[Change, ...]:
        """Put back each of these changes, and say of each whether it could be."""
        order = sorted(found, key=lambda one: (one.kind != ADDED, one.path))
        done = tuple(map(self._mended, order))
        self._close()
        return done

    def sweep(self, caches: Collection[str]) -> tuple[Change, ...]:
        """Delete these caches; return those that could not be."""
        left = []
        for path in sorted(caches, reverse=True):
            here = os.path.join(self._root, path)
            try:
                self._open_way(path)
                (os.rmdir if _is_folder(here) else os.unlink)(here)
            except OSError as error:
                if os.path.lexists(here) and not _is_folder(here):
                    left.append(Change(path, ADDED, why=str(error.strerror)))
        self._close()
        return tuple(left)

    def _mended(self, change: Change) -> Change:
        try:
            self._open_way(change.path)
            if change.kind == ADDED:
                self._take(change.path)
            else:
                self._put(change, self._kept.entries[change.path])
        except (OSError, MachineError) as error:
            return change.replace(why=str(error))
        return change.replace(restored=True)

    def _open_way(self, path: str) -> None:
        """Make each folder above a real one that we may write to, through no link that an agent made."""
        for folder in ancestors(path) if not os.path.isabs(path) else ():
            here = os.path.join(self._root, folder)
            now = scan.look(here)
            if folder and (now is None or now.kind != FOLDER):
                self._take(folder)
                os.mkdir(here, OWNER_ALL)
                self._opened[folder] = self._mode_of(folder, 0o755)
            elif now and now.mode & OWNER_ALL != OWNER_ALL:
                os.chmod(here, now.mode | OWNER_ALL)
                self._opened.setdefault(folder, self._mode_of(folder, now.mode))

    def _mode_of(self, folder: str, usual: int) -> int:
        entry = self._kept.entries.get(folder)
        return entry.look.mode if entry else self._kept.survey.above.get(folder, usual)

    def _close(self) -> None:
        """Give the folders on the way their rights back, the deepest first."""
        for folder in sorted(self._opened, reverse=True):
            os.chmod(os.path.join(self._root, folder), self._opened[folder])
        self._opened = {}

    def _put(self, change: Change, entry: Entry) -> None:
        path, here = change.path, os.path.join(self._root, change.path)
        if path == self._kept.spec:
            with locks.Brief(os.path.join(files.private_folder(os.path.join(self._root, RECORDS)), "spec.lock")):
                self._file(path, here, entry)
        elif entry.look.kind == FOLDER:
            self._make_folder(path, here, entry.look)
        elif change.kind == MODE:
            os.chmod(here, entry.look.mode)
        elif entry.look.kind == FILE:
            self._file(path, here, entry)
        elif entry.look.kind == LINK:
            self._take(path)
            os.symlink(entry.look.target, here)
        else:
            raise MachineError("it was no file, link or folder, and is not made again")

    def _file(self, path: str, here: str, entry: Entry) -> None:
        data = self._wanted(path, here, entry)
        if data is None:
            raise MachineError(
                "its content was too large to keep, could not be read, or was destroyed; get it from your repository"
            )
        now = scan.look(here)
        if now and now.kind == FILE and _read(here) == data:
            os.chmod(here, entry.look.mode)
            return
        self._aside(path, here, now)
        self._replace(path, data, entry.look)
        if files.digest(data) == entry.digest:
            os.utime(here, ns=(entry.look.mtime_ns, entry.look.mtime_ns))

    def _wanted(self, path: str, here: str, entry: Entry) -> bytes | None:
        before = snapshot.content(self._folder, entry)
        if before is None or path != self._kept.spec:
            return before
        return path_patterns.allowed_spec(before, _read(here), self._explained)

    def _replace(self, path: str, data: bytes, was: FileStat) -> None:
        """Write it in our own folder first, where a death leaves nothing in the way; beside it on another disk."""
        here, beside = os.path.join(self._root, path), os.path.join(self._folder, NEW)
        owner, durable = (was.uid, was.gid), path == self._kept.spec
        try:
            files.replace(here, data, mode=was.mode, owner=owner, durable=durable, beside=beside)
        except MachineError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EXDEV:
                raise
            files.replace(here, data, mode=was.mode, owner=owner, durable=durable)

    def _make_folder(self, path: str, here: str, was: FileStat) -> None:
        now = scan.look(here)
        if now is None or now.kind != FOLDER:
            self._take(path)
            os.mkdir(here, OWNER_ALL)
        os.chmod(here, was.mode | OWNER_ALL)
        self._opened[path] = was.mode

    def _aside(self, path: str, here: str, now: FileStat | None) -> None:
        """Keep what is to be overwritten; a file stays in its place meanwhile, so that there is always one."""
        if now and now.kind == FILE:
            try:
                os.link(here, self._room(path), follow_symlinks=False)
            except OSError:
                self._take(path)
        else:
            self._take(path)

    def _take(self, path: str) -> None:
        """Move what is there aside, whatever it is."""
        here = os.path.join(self._root, path)
        now = scan.look(here)
        if now is None:
            return
        if now.kind == FOLDER and now.mode & OWNER_ALL != OWNER_ALL:
            os.chmod(here, now.mode | OWNER_ALL)
        room = self._room(path)
        try:
            os.rename(here, room)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _across(here, room, now)

    def _room(self, path: str) -> str:
        """Return a path in our folder where nothing is yet."""
        for number in range(MOST_TAKEN):
            base = os.path.join(self._folder, TAKEN, f"again.{number}" if number else "")
            room = os.path.join(base, path.lstrip("/"))
            try:
                files.private_folder(os.path.dirname(room))
            except MachineError:  # what was taken before is a file where this needs a folder
                continue
            if not os.path.lexists(room):
                return room
        raise MachineError(f"there is no room for it in {self._folder}/{TAKEN}; free some space")


def _across(here: str, room: str, now: FileStat) -> None:
    """Move to another disk; a pipe or socket holds nothing worth keeping."""
    if now.kind == OTHER:
        os.unlink(here)
        return
    import shutil

    shutil.move(here, room)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _read(path: str) -> bytes:
    """Return what a regular file holds, empty for all else: a pipe would have us wait."""
    now = scan.look(path)
    return files.read(path) if now and now.kind == FILE else b""
