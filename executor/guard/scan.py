"""What lies on disk under the globs that an agent must leave alone."""

from __future__ import annotations

import errno
import os
import stat

from executor.guard import path_patterns
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

FILE, LINK, FOLDER, OTHER = "file", "link", "folder", "other"
KINDS = {stat.S_IFREG: FILE, stat.S_IFLNK: LINK, stat.S_IFDIR: FOLDER}
RECORDS = ".do-tasks"
ASIDE = frozenset((".git", "node_modules", ".venv"))
A_VENV = "pyvenv.cfg"


class FileStat(Record):
    """What one look at a path showed, no link followed; times are nanoseconds, `target` is a link's own text."""

    kind: str
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    uid: int
    gid: int
    target: str = ""

    # A third of the time of Record's own, felt over thousands of files.
    def __init__(  # noqa: PLR0913, PLR0917 - its fields
        self,
        kind: str,
        mode: int,
        size: int,
        mtime_ns: int,
        ctime_ns: int,
        inode: int,
        uid: int,
        gid: int,
        target: str = "",
    ) -> None:
        given = self.__dict__
        given["kind"], given["mode"], given["size"] = kind, mode, size
        given["mtime_ns"], given["ctime_ns"], given["inode"] = mtime_ns, ctime_ns, inode
        given["uid"], given["gid"], given["target"] = uid, gid, target

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Self:
        """Return the look that a stat of the path itself gives."""
        kind = KINDS.get(stat.S_IFMT(status.st_mode), OTHER)
        look = object.__new__(cls)  # its own way in checks each name, which thousands of files would feel
        look.__dict__.update(
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
            uid=status.st_uid,
            gid=status.st_gid,
            target=os.readlink(path) if kind == LINK else "",
        )
        return look


class TreeScan(Record):
    """What a walk found, by path from the root.

    `above` are the modes of folders that lead to it; `mounts` says where a link on the way led, by the link's path;
    `skipped` are folders that were not looked into.
    """

    looks: Mapping[str, FileStat]
    caches: Mapping[str, FileStat]
    above: Mapping[str, int]
    mounts: Mapping[str, str]
    skipped: tuple[str, ...]


def look(path: str) -> FileStat | None:
    """Return what is there, None when nothing is."""
    try:
        return FileStat.of(path, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a path that is too long leads nowhere: the folders above it are seen
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None


def survey(root: str, globs: Iterable[str], before: TreeScan | None = None) -> TreeScan:
    """Walk what the globs guard. With a survey from before, links lead where they led then, and no new one leads on."""
    walk = _Walk(root, before)
    for glob in globs:
        walk.along(glob)
    return TreeScan(walk.looks, walk.caches, walk.above, walk.mounts, tuple(sorted(walk.skipped)))


def ancestors(path: str) -> Iterator[str]:
    """Yield the folders above a path of the project, the root, which is empty, first."""
    at = -1
    yield ""
    while (at := path.find("/", at + 1)) >= 0:
        yield path[:at]


class _Walk:
    """One walk over a project."""

    def __init__(self, root: str, before: TreeScan | None) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._before = before
        self._wants_caches = False
        self.looks: dict[str, FileStat] = {}
        self.caches: dict[str, FileStat] = {}
        self.above: dict[str, int] = {}
        self.mounts: dict[str, str] = {}
        self.skipped: set[str] = set()

    def along(self, glob: str) -> None:
        """Go down to where the glob becomes wild, then through all below that it may match."""
        real, here, states = "", "", path_patterns.reached(glob, ())
        self._wants_caches = path_patterns.is_cache("/".join(path_patterns.base(glob)))
        for name in path_patterns.base(glob):
            here, real = os.path.join(here, name), os.path.join(real, name)
            states = path_patterns.reached(glob, (name,), states)
            seen = None if _is_ours(real) else self._seen(real)
            if seen and (seen.kind == LINK or path_patterns.accepts(glob, states)):
                self._keep(real, seen)
            if seen and seen.kind == LINK:
                real = self._led(here, real)
                seen = self._seen(real) if real else None
            if not seen or seen.kind != FOLDER:
                return
        self._lead_to(os.path.join(real, "*"))
        self._below(glob, real, states)

    def _seen(self, path: str) -> FileStat | None:
        try:
            return look(f"{self._root}/{path}")
        except PermissionError:  # a folder above was closed: who opens it looks again
            return None

    def _led(self, here: str, link: str) -> str:
        """Return where in the project a link on the way leads, as it did before; empty when it leads nowhere."""
        real = self._before.mounts.get(here, "") if self._before else self._inside(link)
        if real:
            self.mounts[here] = real
        return real

    def _inside(self, path: str) -> str:
        """Return where in the project a link leads, empty when that is outside, or ours."""
        real = os.path.relpath(os.path.realpath(os.path.join(self._root, path)), self._real_root)
        return "" if real.split("/")[0] in ("..", ".", ".git") or _is_ours(real) else real

    def _keep(self, path: str, seen: FileStat) -> None:
        self.looks[path] = seen
        self._lead_to(path)
        real = self._inside(path) if seen.kind == LINK and not self._before else ""
        target = self._seen(real) if real else None
        if target and target.kind == FILE:
            self.looks[real] = target
            self._lead_to(real)

    def _lead_to(self, path: str) -> None:
        if path.rpartition("/")[0] in self.above:  # and so are those above it
            return
        for folder in ancestors(path):
            if folder not in self.above and (seen := self._seen(folder)):
                self.above[folder] = seen.mode

    def _below(self, glob: str, folder: str, states: frozenset[int]) -> None:
        waiting = [(folder, states)]
        while waiting:
            waiting += self._in_folder(glob, *waiting.pop())

    def _in_folder(self, glob: str, folder: str, states: frozenset[int]) -> Iterator[tuple[str, frozenset[int]]]:
        """Keep what counts in a folder; yield the folders in it to go on with."""
        for path, is_folder in self._entries(folder):
            name = path.rpartition("/")[2]
            now = path_patterns.reached(glob, (name,), states)
            taken = path_patterns.accepts(glob, now)
            seen = self._seen(path) if taken else None
            if not now or (not folder and _is_ours(path)):
                continue
            if not self._wants_caches and path_patterns.is_cache(name):
                self._cache(path, seen)
                continue
            if seen:
                self._keep(path, seen)
            if is_folder and not self._is_skipped(path, taken=taken):
                yield path, now

    def _cache(self, path: str, seen: FileStat | None) -> None:
        waiting = {path: seen}
        while waiting:
            here, now = waiting.popitem()
            if now:
                self.caches[here] = now
                inside = self._entries(here) if now.kind == FOLDER else []
                waiting |= {below: self._seen(below) for below, _ in inside}

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """Return the paths in a folder, each with whether it is a folder."""
        try:
            with os.scandir(os.path.join(self._root, folder)) as found:
                before = f"{folder}/" if folder else ""
                return [(before + one.name, one.is_dir(follow_symlinks=False)) for one in found]
        except OSError:  # closed, or gone this instant: what is known of it is looked at by name
            return []

    def _is_skipped(self, path: str, *, taken: bool) -> bool:
        """Tell what is not looked into; in a guarded folder, only what was not before: a name hides nothing new."""
        if self._before and taken:
            return path in self._before.skipped
        aside = os.path.basename(path) in ASIDE or os.path.lexists(os.path.join(self._root, path, A_VENV))
        if aside:
            self.skipped.add(path)
        return aside


def _is_ours(path: str) -> bool:
    """Tell our own records: only we know what they must be."""
    return path.partition("/")[0] in (RECORDS, LOG_NAME, ".SPEC.md.tmp")
