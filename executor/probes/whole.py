"""Tells a whole checkpoint from one that is being written, or was cut short."""

from __future__ import annotations

import os
import re
import stat

from executor.probes import found
from executor.probes.tail import FLAGS

MOST_SHARDS = 200
ZIP, ZIP_END, ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", (1 << 16) + 22
MOST_HEADER = 1 << 24
_TEMPORARY = re.compile(r"(?i)(^|[._-])(tmp|incomplete)([._-]|$)|\.(part|partial|temp|lock|writing)$|~$")
_ENDS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})')


def looks_temporary(path: str) -> bool:
    """Tell whether a name says that what it names is not done yet."""
    return _TEMPORARY.search(os.path.basename(path)) is not None


def is_whole(path: str) -> bool:
    """Tell whether nothing in the form of a file, or of the files in a folder, says that it was cut short."""
    if not os.path.isdir(path):
        return _is_whole_file(path)
    inside = [name for name, _ in found.inside(path, [MOST_SHARDS])]
    return bool(inside) and not any(map(looks_temporary, inside)) and all(map(_is_whole_file, inside))


def _is_whole_file(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        fd = os.open(path, FLAGS)
    except OSError:
        return False
    try:
        length = os.fstat(fd).st_size
        if path.endswith(".safetensors"):
            return _is_whole_safetensors(fd, length)
        return os.pread(fd, len(ZIP), 0) != ZIP or ZIP_END in os.pread(fd, ZIP_TAIL, max(0, length - ZIP_TAIL))
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_whole_safetensors(fd: int, length: int) -> bool:
    """Tell whether all the bytes are there that the header speaks of."""
    header = int.from_bytes(os.pread(fd, 8, 0), "little")
    if length < 8 + header or header > MOST_HEADER:
        return False
    ends = [int(end) for end in _ENDS.findall(os.pread(fd, header, 8))]
    return length == 8 + header + max(ends, default=0)
