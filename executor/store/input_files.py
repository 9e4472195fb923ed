"""The files that the globs of `inputs` and `outputs` find, each with a record that shows its changes."""

from __future__ import annotations

import os

from executor.store.sources import look_at
from executor.system.folders import walk
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.store.sources import Sources

MOST = 10_000
SMALL = 1 << 20  # bytes; a file of this size or less is recorded by content
MOST_READ = 64 << 20  # bytes of small files in one list; later files are recorded by size and time
MAGIC = frozenset("*?[")
MISSING = "missing"


def recorded(root: str, globs: Iterable[str], sources: Sources, *, without: Iterable[str] = ()) -> dict[str, str]:
    """Return the records of the files that the globs find below the root, by path; files of `without` are left out.

    A glob that finds nothing has a record of its own: `missing`.
    """
    left_out = set(found(root, without))
    kept: dict[str, str] = {}
    read = 0
    for pattern in globs:
        names = [*_found(root, pattern)]
        for name in names or [pattern]:
            if name not in kept and name not in left_out and len(kept) < MOST:
                kept[name], size = _record(os.path.join(root, name), sources, room=MOST_READ - read)
                read += size
    return kept


def found(root: str, globs: Iterable[str]) -> list[str]:
    """Return the paths that globs find, from the root, at most MOST a glob."""
    return [name for pattern in globs for name in _found(root, pattern)]


def alike(root: str, name: str, before: str, sources: Sources) -> str:
    """Return the present record of a file, in the form of `before`: by content, or by size and time."""
    return _record(os.path.join(root, name), sources, room=SMALL if as_content(before) else -1)[0]


def as_content(record: str) -> bool:
    """Return True for a record of content, not of size and time."""
    return not record.startswith(("size ", MISSING))


def _record(path: str, sources: Sources, *, room: int) -> tuple[str, int]:
    """Return a file's record, and the number of bytes that were read for it."""
    look = look_at(path)
    if look is None:
        return MISSING, 0
    size = look[0]
    if size <= min(SMALL, room):
        return sources.digest(path)[:16] or MISSING, size
    return f"size {size} time {look[1]}", 0


def _found(root: str, pattern: str) -> Iterator[str]:
    """Yield the files that one glob finds, sorted; a folder means all files below it."""
    names = _named(root, pattern)
    for count, name in enumerate(name for one in names for name in _files(root, one)):
        if count >= MOST:
            return
        yield name


def _named(root: str, pattern: str) -> list[str]:
    if not MAGIC & {*pattern} or os.path.lexists(os.path.join(root, pattern)):
        return [os.path.normpath(pattern)] if os.path.exists(os.path.join(root, pattern)) else []
    import glob

    return sorted(map(os.path.normpath, glob.iglob(pattern, root_dir=root, recursive=True)))


def _files(root: str, name: str) -> Iterator[str]:
    path = os.path.join(root, name)
    if not os.path.isdir(path):
        yield name
        return
    for below, folders, names in walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for one in sorted(names):
            yield os.path.normpath(os.path.join(name, os.path.relpath(below, path), one))
