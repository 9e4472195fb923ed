"""The changes between a snapshot and the files now."""

from __future__ import annotations

import os

from executor.guard import ignore_files, path_patterns, snapshot, startup_files, tree_scan
from executor.guard.config_parts import has_parts, judging_part
from executor.guard.file_state import (
    ADDED,
    CHANGED,
    FILE,
    FOLDER,
    LINK,
    MODE,
    REMOVED,
    REPLACED,
    Change,
    ancestors,
    is_unchanged,
    state_of,
)
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.guard.file_state import FileState
    from executor.guard.snapshot import Snapshot
    from executor.plan.step_ids import StepId


class Comparison:
    """The files of a project now, compared with a snapshot.

    `explained` are the states that boxes of SPEC.md may have, as `path_patterns.allowed_spec` takes them.
    """

    def __init__(self, root: str, folder: str, kept: Snapshot, explained: Mapping[StepId, str]) -> None:
        self._root = root
        self._folder = folder
        self._kept = kept
        self._explained = explained
        self._is_real = {"": True}

    def changes(self) -> tuple[Change, ...]:
        """Return the changes of the files in the snapshot, then the files that were added."""
        every = ((path, self._change_of(path, was)) for path, was in self._kept.files.items())
        return (*(Change(path, kind) for path, kind in every if kind), *self._added())

    def _added(self) -> list[Change]:
        """Return the files that were added; of a folder that was added the folder alone."""
        known = self._kept.files
        scan = tree_scan.scan(self._root, self._kept.globs, self._kept)
        found = startup_files.find(self._root, self._kept.startup)
        steering = {path for path in found.files if not has_parts(path) or self._part(path)}
        new = {path for path in (*scan.files, *steering, *found.hiding) if path not in known}
        gone = {path for path, was in known.items() if was.kind != FOLDER}
        return [Change(path, ADDED) for path in sorted(new) if not (new | gone).intersection(ancestors(path))]

    def _change_of(self, path: str, was: FileState) -> str:
        """Return the kind of a change, empty for none."""
        try:
            now = state_of(os.path.join(self._root, path)) if self._is_reached(path) else None
        except PermissionError:  # a folder above is closed, a change itself; the next pass sees this path
            return ""
        return self._kind_of(path, now, was)

    def _kind_of(self, path: str, now: FileState | None, was: FileState) -> str:
        if self._is_shared(path) and (now is None or now.kind == was.kind == FILE):
            return "" if self._has_the_same_part(path, now, was) else CHANGED if now else REMOVED
        if now is None:
            return REMOVED
        if now.kind != was.kind:
            return REPLACED
        if was.kind == LINK:
            return CHANGED if now.target != was.target else ""
        if was.kind == FILE and not is_unchanged(now, was) and not self._has_the_same_content(path, now, was):
            return CHANGED
        return MODE if now.mode != was.mode else ""

    def _is_shared(self, path: str) -> bool:
        """Return True for a file of which only parts judge, unless a glob guards all of it."""
        return has_parts(path) and not path_patterns.matching_glob(path, self._kept.globs)

    def _has_the_same_part(self, path: str, now: FileState | None, was: FileState) -> bool:
        if now and is_unchanged(now, was):
            return True
        before = snapshot.content(self._folder, was)
        return before is not None and self._part_in(path, before) == (self._part(path) if now else "")

    def _part(self, path: str) -> str:
        """Return the part of a file that judges, empty for none."""
        try:
            data = safe_open.read_start(os.path.join(self._root, path), snapshot.MOST_OF_ONE)
        except OSError:
            return ""
        return self._part_in(path, data)

    def _part_in(self, path: str, data: bytes) -> str:
        if ignore_files.is_ignore_file(path):
            return ignore_files.excluding_lines(self._root, path, data)
        return judging_part(path, data, self._kept.startup.sections)

    def _is_reached(self, path: str) -> bool:
        """Return True when every folder above is a folder, and no link."""
        if os.path.isabs(path):
            return True
        for folder in ancestors(path):
            if folder not in self._is_real:
                self._is_real[folder] = self._is_folder(folder)
            if not self._is_real[folder]:
                return False
        return True

    def _is_folder(self, folder: str) -> bool:
        try:
            now = state_of(os.path.join(self._root, folder))
        except PermissionError:
            return True
        return now is not None and now.kind == FOLDER

    def _has_the_same_content(self, path: str, now: FileState, was: FileState) -> bool:
        here = os.path.join(self._root, path)
        if path == self._kept.spec:
            before = snapshot.content(self._folder, was)
            return before is not None and _is_allowed_spec(here, before, self._explained)
        if now.size != was.size or not was.digest:
            return False
        return snapshot.digest_of(here) in (was.digest, "")  # a file that cannot be read has another mode


def _is_allowed_spec(spec: str, before: bytes, explained: Mapping[StepId, str]) -> bool:
    try:
        now = files.read(spec)
    except PermissionError:
        return True
    return path_patterns.allowed_plan(spec, before, now, explained) == now
