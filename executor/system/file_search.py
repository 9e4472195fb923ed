"""Find the files that a path or glob names."""

from __future__ import annotations

import os
import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    Found = list[tuple[str, os.stat_result]]


def matching(pattern: str) -> Found:
    """Return the names that a path or glob matches, each with its status; an existing name is never read as a glob."""
    import glob

    path = expanded(pattern)
    names = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
    return [(name, status) for name in names for status in _statuses(name)]


def expanded(path: str) -> str:
    """Return a path with the home folder in place of a leading `~` or `$HOME`."""
    return os.path.expanduser(re.sub(r"^\$(?:HOME\b|\{HOME\})", "~", path))


def _statuses(name: str) -> list[os.stat_result]:
    """Return the status of a name in a list, [] for one that vanished or is a broken link."""
    try:
        return [os.stat(name)]
    except (OSError, ValueError):
        return []
