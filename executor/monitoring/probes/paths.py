"""Paths and globs of monitors, expanded within a bounded number of entries."""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase

from executor.system.folders import expand_home
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_ENTRIES = 20_000
MOST_INSIDE = 2_000
MOST_NEAR = 500
MAGIC = frozenset("*?[")
DEEPEST = 12


class Found(Record):
    """A file or folder: its path by the pattern, and its status."""

    path: str
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def placed(root: str, pattern: str) -> str:
    """Return a path or glob below the root, with `~` and `$HOME` expanded unless the literal path exists."""
    plain = os.path.join(root, pattern)
    return plain if os.path.lexists(plain) else os.path.join(root, expand_home(pattern))


def matching(root: str, pattern: str) -> list[Found]:
    """Return the matches of a path or glob below the root, each file once.

    A leading `~` or `$HOME` is the home folder; a wildcard matches no leading dot.
    """
    plain = placed(root, pattern)
    paths: Iterable[str] = [plain]
    if MAGIC & {*pattern} and not os.path.lexists(plain):
        paths = _globbed(root, expand_home(pattern))
    once: dict[tuple[int, int], Found] = {}
    for path in paths:
        status = _status(path)
        if status is not None:
            key = (status.st_dev, status.st_ino)
            if key not in once or os.path.islink(once[key].path):
                once[key] = Found(path, status)
    return [*once.values()]


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _globbed(root: str, pattern: str) -> Iterable[str]:
    start = "/" if pattern.startswith("/") else root
    paths: Iterable[str] = [start]
    left = [MOST_ENTRIES]
    for part in filter(None, pattern.split("/")):
        paths = _step(paths, part, left)
    return paths


def _step(paths: Iterable[str], part: str, left: list[int]) -> Iterator[str]:
    """Yield the matches of one part of a pattern in each folder."""
    for path in paths:
        if part == "**":
            yield from _below(path, left, DEEPEST)
        elif MAGIC & {*part}:
            names = (entry.name for entry in entries(path, left))
            yield from (os.path.join(path, name) for name in names if _named(name, part))
        elif os.path.lexists(os.path.join(path, part)):
            yield os.path.join(path, part)


def _named(name: str, part: str) -> bool:
    return (not name.startswith(".") or part.startswith(".")) and fnmatchcase(name, part)


def _below(path: str, left: list[int], depth: int) -> Iterator[str]:
    """Yield a folder and all folders below it, without hidden ones and links."""
    yield path
    if not depth:
        return
    for entry in entries(path, left):
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, left, depth - 1)


def entries(path: str, left: list[int]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, none when it cannot be read; `left[0]` bounds them and is counted down."""
    found: list[os.DirEntry[str]] = []
    try:
        with os.scandir(path) as folder:
            for entry in folder:
                if left[0] <= 0:
                    break
                left[0] -= 1
                found.append(entry)
    except OSError:
        return found
    return found


def inside(path: str, left: list[int]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the plain files below a folder, links not followed."""
    for entry in entries(path, left):
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from inside(entry.path, left)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path, entry.stat(follow_symlinks=False)
        except (OSError, RecursionError):
            continue


def nearest(root: str, pattern: str) -> str:
    """Return `; did you mean X` for the first missing part of a path or glob, empty without a similar name."""
    parts = [*filter(None, expand_home(pattern).split("/"))]
    at = "/" if expand_home(pattern).startswith("/") else root
    for place, part in enumerate(parts):
        path = os.path.join(at, part)
        if os.path.lexists(path):
            at = path
            continue
        names = [entry.name for entry in entries(at, [MOST_NEAR])]
        if MAGIC & {*part} and any(_named(name, part) for name in names):
            return ""
        near = did_you_mean(part, [name for name in names if not name.startswith(".") or part.startswith(".")])
        return near and f"{near}{'/' if place + 1 < len(parts) else ''} in {shown(at, root)}"
    return ""


def shown(path: str, root: str) -> str:
    """Return a path relative to the root, absolute when it is outside."""
    inner = os.path.relpath(path, root)
    return path if inner.startswith("..") else inner


def absence(root: str, pattern: str) -> str:
    """Return the reason why a path or glob has no match."""
    path = placed(root, pattern)
    if not os.path.islink(path):
        return "is not there yet"
    try:
        os.stat(path)
    except OSError as error:
        return f"is a link that leads nowhere: {error.strerror}"
    return "is not there yet"
