"""The repair of files that an agent changed; files that it added are moved aside, never deleted."""

from __future__ import annotations

import errno
import os

from executor.errors import MachineError
from executor.guard import mount_points, path_patterns, snapshot
from executor.guard.file_state import ADDED, FILE, FOLDER, LINK, MODE, OTHER, Change, ancestors, is_within, state_of
from executor.system import files, locks
from executor.system.folders import is_real_folder
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from executor.guard.file_state import FileState
    from executor.guard.snapshot import Snapshot
    from executor.plan.step_ids import StepId

TAKEN = "taken"
NEW = "new"
OWNER_ALL = 0o700
MOST_TAKEN = 1000  # copies of one path that are moved aside


class Restorer:
    """Restores files from the snapshot in `folder`; files in the way are moved to `folder`/taken."""

    def __init__(self, root: str, folder: str, kept: Snapshot, explained: Mapping[StepId, str]) -> None:
        self._root = root
        self._folder = folder
        self._kept = kept
        self._explained = explained
        self._opened: dict[str, int] = {}
        was = kept.mounted
        self._mounted = () if was is None else tuple(one for one in mount_points.below(root) if one not in was)

    def restore(self, changes: Collection[Change]) -> tuple[Change, ...]:
        """Undo each of these changes; return each with `restored` or `why` not."""
        order = sorted(changes, key=lambda one: (one.kind != ADDED, one.path))
        done = tuple(map(self._restored, order))
        self._reset_modes()
        return done

    def delete(self, caches: Collection[str]) -> tuple[Change, ...]:
        """Delete these caches; return those that could not be deleted."""
        left = []
        for path in sorted(caches, reverse=True):
            here = os.path.join(self._root, path)
            try:
                self._refuse_mounted(path)
                self._open_folders(path)
                (os.rmdir if is_real_folder(here) else os.unlink)(here)
            except (OSError, MachineError) as error:
                if os.path.lexists(here) and not is_real_folder(here):
                    left.append(Change(path, ADDED, why=getattr(error, "strerror", "") or str(error)))
        self._reset_modes()
        return tuple(left)

    def _restored(self, change: Change) -> Change:
        try:
            self._refuse_mounted(change.path)
            self._open_folders(change.path)
            if change.kind == ADDED:
                self._move_aside(change.path)
            else:
                self._put_back(change, self._kept.files[change.path])
        except (OSError, MachineError) as error:
            return change.replace(why=str(error))
        return change.replace(restored=True)

    def _refuse_mounted(self, path: str) -> None:
        """Raise MachineError for a path in or around a folder that was mounted since the snapshot."""
        for point in self._mounted:
            if is_within(path, point) or is_within(point, path):
                raise MachineError(f"{point} was mounted meanwhile, and what is in it is left alone: umount {point}")

    def _open_folders(self, path: str) -> None:
        """Make each folder above a real folder with rights to write, never through a link."""
        for folder in ancestors(path) if not os.path.isabs(path) else ():
            here = os.path.join(self._root, folder)
            now = state_of(here)
            if folder and (now is None or now.kind != FOLDER):
                self._move_aside(folder)
                os.mkdir(here, OWNER_ALL)
                self._opened[folder] = self._mode_of(folder, 0o755)
            elif now and now.mode & OWNER_ALL != OWNER_ALL:
                os.chmod(here, now.mode | OWNER_ALL)
                self._opened.setdefault(folder, self._mode_of(folder, now.mode))

    def _mode_of(self, folder: str, usual: int) -> int:
        was = self._kept.files.get(folder)
        return was.mode if was else self._kept.above.get(folder, usual)

    def _reset_modes(self) -> None:
        """Give the opened folders their rights back, the deepest first."""
        for folder in sorted(self._opened, reverse=True):
            os.chmod(os.path.join(self._root, folder), self._opened[folder])
        self._opened = {}

    def _put_back(self, change: Change, was: FileState) -> None:
        path, here = change.path, os.path.join(self._root, change.path)
        if path == self._kept.spec:
            with locks.ShortLock(
                os.path.join(files.private_folder(os.path.join(self._root, files.STATE_FOLDER)), "spec.lock")
            ):
                self._write(path, here, was)
        elif was.kind == FOLDER:
            self._make_folder(path, here, was)
        elif change.kind == MODE:
            os.chmod(here, was.mode)
        elif was.kind == FILE:
            self._write(path, here, was)
        elif was.kind == LINK:
            self._move_aside(path)
            os.symlink(was.target, here)
        else:
            raise MachineError("it was no file, link or folder, and is not made again")

    def _write(self, path: str, here: str, was: FileState) -> None:
        data = self._wanted(path, here, was)
        if data is None:
            raise MachineError(
                "its content was too large to keep, could not be read, or was destroyed; get it from your repository"
            )
        now = state_of(here)
        if now and now.kind == FILE and _read(here) == data:
            os.chmod(here, was.mode)
            return
        self._keep_copy(path, here, now)
        self._replace(path, data, was)
        if files.digest(data) == was.digest:
            os.utime(here, ns=(was.mtime_ns, was.mtime_ns))

    def _wanted(self, path: str, here: str, was: FileState) -> bytes | None:
        before = snapshot.content(self._folder, was)
        if before is None or path != self._kept.spec:
            return before
        return path_patterns.allowed_plan(here, before, _read(here), self._explained)

    def _replace(self, path: str, data: bytes, was: FileState) -> None:
        """Write to a new file in the folder of the snapshot, or beside it on another disk, then rename it."""
        here, beside = os.path.join(self._root, path), os.path.join(self._folder, NEW)
        owner, durable = (was.uid, was.gid), path == self._kept.spec
        try:
            files.replace(here, data, mode=was.mode, owner=owner, durable=durable, beside=beside)
        except MachineError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EXDEV:
                raise
            files.replace(here, data, mode=was.mode, owner=owner, durable=durable)

    def _make_folder(self, path: str, here: str, was: FileState) -> None:
        now = state_of(here)
        if now is None or now.kind != FOLDER:
            self._move_aside(path)
            os.mkdir(here, OWNER_ALL)
        os.chmod(here, was.mode | OWNER_ALL)
        self._opened[path] = was.mode

    def _keep_copy(self, path: str, here: str, now: FileState | None) -> None:
        """Keep a copy of a path before it is replaced; a file stays in its place until then."""
        if now and now.kind == FILE:
            try:
                os.link(here, self._free_place(path), follow_symlinks=False)
            except OSError:
                self._move_aside(path)
        else:
            self._move_aside(path)

    def _move_aside(self, path: str) -> None:
        """Move anything at a path aside."""
        here = os.path.join(self._root, path)
        now = state_of(here)
        if now is None:
            return
        if now.kind == FOLDER and now.mode & OWNER_ALL != OWNER_ALL:
            os.chmod(here, now.mode | OWNER_ALL)
        place = self._free_place(path)
        try:
            os.rename(here, place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_to_other_disk(here, place, now)

    def _free_place(self, path: str) -> str:
        """Return a free path in the folder of the snapshot."""
        for number in range(MOST_TAKEN):
            base = os.path.join(self._folder, TAKEN, f"again.{number}" if number else "")
            place = os.path.join(base, path.lstrip("/"))
            try:
                files.private_folder(os.path.dirname(place))
            except MachineError:  # a file that was moved there before is in the way of a folder
                continue
            if not os.path.lexists(place):
                return place
        raise MachineError(f"there is no room for it in {self._folder}/{TAKEN}; free some space")


def _move_to_other_disk(here: str, place: str, now: FileState) -> None:
    """Move a path to another disk; a pipe or socket has no content to keep."""
    if now.kind == OTHER:
        os.unlink(here)
        return
    import shutil

    shutil.move(here, place)


def _read(path: str) -> bytes:
    """Return the content of a regular file, empty for all else: a pipe would block."""
    now = state_of(path)
    return files.read(path) if now and now.kind == FILE else b""
