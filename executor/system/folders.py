"""Folders of a file system: their entries, a walk below them, the files that a glob matches."""

from __future__ import annotations

import os
import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Entries = list[os.DirEntry[str]]
    Found = list[tuple[str, os.stat_result]]


def entries_in(folder: str) -> Entries:
    """Return the entries of a folder, [] for one that is missing, closed, too deep for a path or no folder."""
    try:
        with os.scandir(folder) as found:
            return [*found]
    except OSError:
        return []


def names_in(folder: str) -> list[str]:
    """Return the sorted names in a folder, [] for one that is missing, closed or no folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def is_real_folder(path: str) -> bool:
    """Return True for a folder, False for a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder with the names of its folders and of its other entries, depth first.

    Unlike os.walk it has no limit of depth. A name that is removed from the first list is not entered.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        entries = [(one.name, one.is_dir(follow_symlinks=False)) for one in entries_in(folder)]
        below = [name for name, is_folder in entries if is_folder]
        yield folder, below, [name for name, is_folder in entries if not is_folder]
        waiting += [os.path.join(folder, name) for name in reversed(below)]


def walk_breadth_first(
    root: str, is_entered: Callable[[str, os.DirEntry[str]], bool] = lambda *_: True
) -> Iterator[tuple[str, Entries]]:
    """Yield each folder, relative to the root, with its entries, the nearest first; links are not followed.

    `is_entered` decides, by path and entry, on each folder below.
    """
    folders = [""]
    for folder in folders:
        found = entries_in(os.path.join(root, folder) if folder else root)
        yield folder, found
        below = [one for one in found if one.is_dir(follow_symlinks=False)]
        paths = ((f"{folder}/{one.name}" if folder else one.name, one) for one in below)
        folders += sorted(path for path, one in paths if is_entered(path, one))


def find_matching(pattern: str) -> Found:
    """Return the names that a path or glob matches, each with its status; an existing name is never read as a glob."""
    import glob

    path = expand_home(pattern)
    names = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
    return [(name, status) for name in names for status in _statuses(name)]


def expand_home(path: str) -> str:
    """Return a path with the home folder in place of a leading `~` or `$HOME`."""
    return os.path.expanduser(re.sub(r"^\$(?:HOME\b|\{HOME\})", "~", path))


def _statuses(name: str) -> list[os.stat_result]:
    """Return the status of a name in a list, [] for one that vanished or is a broken link."""
    try:
        return [os.stat(name)]
    except (OSError, ValueError):
        return []
