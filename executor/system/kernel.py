"""Small files of /proc and /sys."""

from __future__ import annotations

import os

MOST_BYTES = 1 << 16


def raw(path: str) -> bytes:
    """Return the content of a file of /proc or /sys, empty when it is missing or cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


def figure(path: str) -> int | None:
    """Return the whole number in a file, None for any other content."""
    text = raw(path).strip()
    return int(text) if text.isdigit() else None


def table(path: str) -> dict[str, int]:
    """Return the numbers of lines such as `oom_kill 3` or `MemFree:  12 kB` by their names, without units."""
    rows = (line.split() for line in raw(path).decode("ascii", "replace").splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
