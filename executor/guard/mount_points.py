"""The mount points below a folder, from /proc/self/mountinfo; none where there is no such file."""

from __future__ import annotations

import os
import re

from executor.guard.file_state import is_below

TABLE = "/proc/self/mountinfo"
POINT = 4  # the field with the mount point
_ESCAPED = re.compile(r"\\([0-7]{3})")


def below(root: str) -> tuple[str, ...]:
    """Return the mount points below a folder, as paths in it."""
    real = os.path.realpath(root)
    try:
        with open(TABLE, encoding="utf-8", errors="surrogateescape") as table:
            points = [_plain(line.split(" ")[POINT]) for line in table]
    except (OSError, IndexError):
        return ()
    return tuple(sorted({os.path.relpath(one, real) for one in points if is_below(one, real)}))


def _plain(field: str) -> str:
    r"""Return a path without its escapes: \040 is a blank."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
