"""The time at which a file was made, which no program can set."""

from __future__ import annotations

import sys

AT_FDCWD, WANTED = -100, 0x800  # STATX_BTIME
SIZE, MASK, SECONDS = 256, slice(0, 4), slice(80, 88)  # places in the kernel's struct statx
NANOSECONDS = slice(88, 92)


def born_ns(path: str) -> int:
    """Return when the file of a path was made (nanoseconds), 0 where the system does not know."""
    try:
        import ctypes

        found = ctypes.create_string_buffer(SIZE)
        failed = ctypes.CDLL(None).statx(AT_FDCWD, path.encode("utf-8", "surrogateescape"), 0, WANTED, found)
    except (ImportError, OSError, AttributeError, ValueError):
        return 0
    if failed or not int.from_bytes(found.raw[MASK], sys.byteorder) & WANTED:
        return 0
    seconds = int.from_bytes(found.raw[SECONDS], sys.byteorder, signed=True)
    return seconds * 10**9 + int.from_bytes(found.raw[NANOSECONDS], sys.byteorder)
