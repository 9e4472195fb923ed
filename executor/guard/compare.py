"""What judges an agent as it is now beside what was remembered of it."""

from __future__ import annotations

import os

from executor.guard import ignore_files, path_patterns, scan, snapshot, startup_files
from executor.guard.judge_parts import has_parts, part_of
from executor.guard.restore import ADDED, CHANGED, MODE, REMOVED, REPLACED, Change
from executor.guard.scan import FILE, FOLDER, LINK, ancestors
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.guard.scan import FileStat
    from executor.guard.snapshot import Entry, Snapshot


class Compared:
    """What is there now beside what was remembered."""

    def __init__(self, root: str, folder: str, kept: Snapshot, explained: Mapping[int, str]) -> None:
        self._root = root
        self._folder = folder
        self._kept = kept
        self._explained = explained
        self._real = {"": True}

    def entries(self) -> list[Change]:
        """Return what became of each remembered path."""
        every = ((path, self._became(path, entry)) for path, entry in self._kept.entries.items())
        return [Change(path, kind) for path, kind in every if kind]

    def added(self) -> list[Change]:
        """Return what is there that was not; of a folder with all in it, the folder alone."""
        known = self._kept.entries
        now = scan.survey(self._root, self._kept.globs, self._kept.survey)
        there = startup_files.find(self._root, self._kept.startup)
        steering = {path for path in there.files if not _has_parts(path) or self._part(path)}
        new = {path for path in (*now.looks, *steering, *there.hiding) if path not in known}
        gone = {path for path, entry in known.items() if entry.look.kind != FOLDER}
        return [Change(path, ADDED) for path in sorted(new) if not (new | gone).intersection(ancestors(path))]

    def _became(self, path: str, entry: Entry) -> str:
        try:
            now = scan.look(os.path.join(self._root, path)) if self._leads(path) else None
        except PermissionError:  # a folder above is closed, which is a change itself; the next pass sees this one
            return ""
        if self._is_shared(path) and (now is None or now.kind == entry.look.kind == FILE):
            return "" if self._reads_the_same(path, now, entry) else CHANGED if now else REMOVED
        if now is None:
            return REMOVED
        return REPLACED if now.kind != entry.look.kind else self._differs(path, now, entry)

    def _differs(self, path: str, now: FileStat, entry: Entry) -> str:
        was = entry.look
        if was.kind == LINK:
            return CHANGED if now.target != was.target else ""
        if was.kind == FILE and not is_same(now, was) and not self._holds_the_same(path, now, entry):
            return CHANGED
        return MODE if now.mode != was.mode else ""

    def _is_shared(self, path: str) -> bool:
        """Return True for a file of which only parts judge, unless a glob guards it as a whole."""
        return _has_parts(path) and not path_patterns.matches(path, self._kept.globs)

    def _reads_the_same(self, path: str, now: FileStat | None, entry: Entry) -> bool:
        if now and is_same(now, entry.look):
            return True
        before = snapshot.content(self._folder, entry)
        return before is not None and self._part_in(path, before) == (self._part(path) if now else "")

    def _part(self, path: str) -> str:
        """Return what of a file judges, empty when nothing does."""
        try:
            data = safe_open.start_of(os.path.join(self._root, path), snapshot.MOST_OF_ONE)
        except OSError:
            return ""
        return self._part_in(path, data)

    def _part_in(self, path: str, data: bytes) -> str:
        if ignore_files.is_one(path):
            return ignore_files.part_of(self._root, path, data)
        return part_of(path, data, self._kept.startup.sections)

    def _leads(self, path: str) -> bool:
        """Tell whether every folder above is still one, and no link."""
        if os.path.isabs(path):
            return True
        for folder in ancestors(path):
            if folder not in self._real:
                self._real[folder] = self._is_folder(folder)
            if not self._real[folder]:
                return False
        return True

    def _is_folder(self, folder: str) -> bool:
        try:
            now = scan.look(os.path.join(self._root, folder))
        except PermissionError:
            return True
        return now is not None and now.kind == FOLDER

    def _holds_the_same(self, path: str, now: FileStat, entry: Entry) -> bool:
        here = os.path.join(self._root, path)
        if path == self._kept.spec:
            before = snapshot.content(self._folder, entry)
            return _holds(here, before, self._explained) if before is not None else False
        if now.size != entry.look.size or not entry.digest:
            return False
        return snapshot.digest_of(here) in (entry.digest, "")  # what cannot be read has another mode


def _has_parts(path: str) -> bool:
    return has_parts(path) or ignore_files.is_one(path)


def _holds(spec: str, before: bytes, explained: Mapping[int, str]) -> bool:
    try:
        now = files.read(spec)
    except PermissionError:
        return True
    return path_patterns.allowed_spec(before, now, explained) == now


def is_same(now: FileStat, was: FileStat | None) -> bool:
    """Tell by the looks alone that nobody wrote to it: a change time cannot be set back."""
    if was is None or now.kind != was.kind:
        return False
    times = (now.size, now.mtime_ns, now.ctime_ns, now.inode) == (was.size, was.mtime_ns, was.ctime_ns, was.inode)
    return now.kind == FOLDER or times
