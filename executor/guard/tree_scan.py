"""The files of a project under the globs that an agent must not change."""

from __future__ import annotations

import os

from executor.guard import path_patterns
from executor.guard.file_state import FILE, FOLDER, LINK, ancestors, join, state_of
from executor.system import files
from executor.system.folders import entries_in
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.guard.file_state import FileState

SKIPPED = frozenset((".git", "node_modules", ".venv"))
VENV_MARKER = "pyvenv.cfg"


class TreeScan(Record):
    """The result of a scan, by path from the root.

    `above` are the modes of the folders above, `links` the targets of links on the way by the path of the link;
    `skipped` are folders that were not scanned.
    """

    files: Mapping[str, FileState]
    caches: Mapping[str, FileState]
    above: Mapping[str, int]
    links: Mapping[str, str]
    skipped: tuple[str, ...]


def scan(root: str, globs: Iterable[str], before: TreeScan | None = None) -> TreeScan:
    """Return the files that the globs cover.

    Links lead where they led in the scan `before`; links that are new since are not followed.
    """
    walk = _Walk(root, before)
    for glob in globs:
        walk.along(glob)
    return TreeScan(walk.files, walk.caches, walk.above, walk.links, tuple(sorted(walk.skipped)))


class _Walk:
    """A scan in progress."""

    def __init__(self, root: str, before: TreeScan | None) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._before = before
        self._wants_caches = False
        self.files: dict[str, FileState] = {}
        self.caches: dict[str, FileState] = {}
        self.above: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.skipped: set[str] = set()

    def along(self, glob: str) -> None:
        """Follow the fixed start of a glob, then scan all below that it may match."""
        real, here, states = "", "", path_patterns.advance(glob, ())
        self._wants_caches = path_patterns.is_cache("/".join(path_patterns.fixed_start(glob)))
        for name in path_patterns.fixed_start(glob):
            here, real = os.path.join(here, name), os.path.join(real, name)
            states = path_patterns.advance(glob, (name,), states)
            seen = None if _is_own_record(real) else self._state(real)
            if seen and (seen.kind == LINK or path_patterns.accepts(glob, states)):
                self._keep(real, seen)
            if seen and seen.kind == LINK:
                real = self._target(here, real)
                seen = self._state(real) if real else None
            if not seen or seen.kind != FOLDER:
                return
        self._note_above(os.path.join(real, "*"))
        self._scan_below(glob, real, states)

    def _state(self, path: str) -> FileState | None:
        try:
            return state_of(f"{self._root}/{path}")
        except PermissionError:  # a folder above is closed: the next scan sees more
            return None

    def _target(self, here: str, link: str) -> str:
        """Return the path in the project that a link on the way leads to, that of the scan before; empty for none."""
        real = self._before.links.get(here, "") if self._before else self._inside(link)
        if real:
            self.links[here] = real
        return real

    def _inside(self, path: str) -> str:
        """Return the path in the project that a link leads to, empty when it is outside or an own record."""
        real = os.path.relpath(os.path.realpath(os.path.join(self._root, path)), self._real_root)
        return "" if real.split("/")[0] in ("..", ".", ".git") or _is_own_record(real) else real

    def _keep(self, path: str, seen: FileState) -> None:
        self.files[path] = seen
        self._note_above(path)
        real = self._inside(path) if seen.kind == LINK and not self._before else ""
        target = self._state(real) if real else None
        if target and target.kind == FILE:
            self.files[real] = target
            self._note_above(real)

    def _note_above(self, path: str) -> None:
        if path.rpartition("/")[0] in self.above:  # as are those above it
            return
        for folder in ancestors(path):
            if folder not in self.above and (seen := self._state(folder)):
                self.above[folder] = seen.mode

    def _scan_below(self, glob: str, folder: str, states: frozenset[int]) -> None:
        waiting = [(folder, states)]
        while waiting:
            waiting += self._in_folder(glob, *waiting.pop())

    def _in_folder(self, glob: str, folder: str, states: frozenset[int]) -> Iterator[tuple[str, frozenset[int]]]:
        """Keep the files of a folder that count; yield its folders that are scanned next."""
        for path, is_folder in self._entries(folder):
            name = path.rpartition("/")[2]
            now = path_patterns.advance(glob, (name,), states)
            taken = path_patterns.accepts(glob, now)
            seen = self._state(path) if taken else None
            if not now or (not folder and _is_own_record(path)):
                continue
            if not self._wants_caches and path_patterns.is_cache(name):
                self._cache(path, seen)
                continue
            if seen:
                self._keep(path, seen)
            if is_folder and not self._is_skipped(path, taken=taken):
                yield path, now

    def _cache(self, path: str, seen: FileState | None) -> None:
        waiting = {path: seen}
        while waiting:
            here, now = waiting.popitem()
            if now:
                self.caches[here] = now
                inside = self._entries(here) if now.kind == FOLDER else []
                waiting |= {below: self._state(below) for below, _ in inside}

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """Return the paths in a folder, True for those that are folders."""
        found = entries_in(os.path.join(self._root, folder))
        return [(join(folder, one.name), one.is_dir(follow_symlinks=False)) for one in found]

    def _is_skipped(self, path: str, *, taken: bool) -> bool:
        """Return True for a folder that is not scanned; in a guarded folder only one that was not scanned before."""
        if self._before and taken:
            return path in self._before.skipped
        is_skipped = os.path.basename(path) in SKIPPED or os.path.lexists(os.path.join(self._root, path, VENV_MARKER))
        if is_skipped:
            self.skipped.add(path)
        return is_skipped


def _is_own_record(path: str) -> bool:
    """Return True for a record that do-tasks writes itself."""
    return path.partition("/")[0] in (files.STATE_FOLDER, LOG_NAME, ".SPEC.md.tmp")
