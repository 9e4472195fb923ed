"""The setuid and setgid bits, which run a program with the rights of its owner or group."""

from __future__ import annotations

import os
import stat

from executor.system.folders import walk_breadth_first

MOST = 1_000_000  # entries of the tree
BITS = stat.S_ISUID | stat.S_ISGID


def clear_bits(root: str, since_ns: int) -> tuple[str, ...]:
    """Clear the bits of this user's files that changed since then; return their paths from the root.

    The bits of folders stay: there they only set the group of new files.
    """
    found, left = [], MOST
    for folder, entries in walk_breadth_first(root):
        changed = [one for one in entries if _has_bits(one, since_ns) and _clear(one.path)]
        found += [os.path.join(folder, one.name) for one in changed]
        left -= len(entries)
        if left <= 0:
            break
    return tuple(sorted(found))


def _has_bits(entry: os.DirEntry[str], since_ns: int) -> bool:
    try:
        now = entry.stat(follow_symlinks=False)
    except OSError:  # it is gone by now
        return False
    is_own = stat.S_ISREG(now.st_mode) and now.st_uid == os.geteuid()
    return is_own and bool(now.st_mode & BITS) and now.st_ctime_ns >= since_ns


def _clear(path: str) -> bool:
    try:
        os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & ~BITS)
    except OSError:
        return False
    return True
