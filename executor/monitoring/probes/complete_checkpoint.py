"""Completeness of checkpoints: temporary names, missing shards, truncated files."""

from __future__ import annotations

import os
import re

from executor.monitoring.probes import paths
from executor.system import safe_open

MOST_SHARDS = 200
ZIP, ZIP_END, ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", (1 << 16) + 22
MOST_HEADER = 1 << 24
_TEMPORARY = re.compile(
    r"(?i)(^|[._-])(tmp|incomplete|in-?progress|partial|unfinished)([._-]|$)"
    r"|\.(part|temp|lock|writing|saving|download|crdownload|new)$|~$|^tmp[a-z0-9_]{8}$"
)
_SHARD = re.compile(r"^(?P<name>.+)-(?P<number>\d{2,6})-of-(?P<count>\d{2,6})(?P<ending>\.\w+)$")
_NAMED = re.compile(r'"([\w.-]+\.(?:safetensors|bin))"')
INDEX = ".index.json"
MOST_INDEX = 1 << 23
PIECES, PIECES_END = ".distcp", ".metadata"
_ENDS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})')


def looks_temporary(path: str) -> bool:
    """Return True for the name of a temporary or unfinished file."""
    return _TEMPORARY.search(os.path.basename(path)) is not None


def is_temporary_below(path: str, root: str, pattern: str) -> bool:
    """Return True when a name that a wildcard of the glob matched is a temporary one."""
    written = [*filter(None, os.path.expanduser(pattern).split("/"))]
    above = len([*filter(None, paths.placed(root, pattern).split("/"))]) - len(written)
    fixed = next((at for at, part in enumerate(written) if paths.MAGIC & {*part}), len(written) - 1)
    return any(map(looks_temporary, [*filter(None, path.split("/"))][above + fixed :]))


def is_complete(path: str) -> bool:
    """Return True when a checkpoint is complete: whole files, all shards, all files of its index."""
    if not os.path.isdir(path):
        return _is_whole_file(path)
    inside = [name for name, _ in paths.inside(path, [MOST_SHARDS])]
    names = {os.path.basename(name) for name in inside}
    if any(name.endswith(PIECES) for name in names) and PIECES_END not in names:
        return False
    return bool(inside) and _has_all_shards(path, names) and all(map(_is_whole_file, inside))


def _has_all_shards(path: str, names: set[str]) -> bool:
    shards = [hit for name in names if (hit := _SHARD.match(name))]
    groups = {(hit["name"], hit["count"], hit["ending"]) for hit in shards}
    counts = {key: sum((hit["name"], hit["count"], hit["ending"]) == key for hit in shards) for key in groups}
    if any(count < int(key[1]) for key, count in counts.items()):
        return False
    return all(_wanted_by(os.path.join(path, name)) <= names for name in names if name.endswith(INDEX))


def _wanted_by(index: str) -> set[str]:
    try:
        with open(index, encoding="utf-8", errors="replace") as file:
            return {*_NAMED.findall(file.read(MOST_INDEX))}
    except OSError:
        return set()


def is_whole(path: str) -> bool:
    """Return True when neither a file nor any file in a folder was cut short, by format and name."""
    if not os.path.isdir(path):
        return _is_whole_file(path)
    inside = [name for name, _ in paths.inside(path, [MOST_SHARDS])]
    return bool(inside) and not any(map(looks_temporary, inside)) and all(map(_is_whole_file, inside))


def _is_whole_file(path: str) -> bool:
    try:
        fd = safe_open.open_regular(path)
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
    """Return True when the file has all the bytes that its header names."""
    header = int.from_bytes(os.pread(fd, 8, 0), "little")
    if length < 8 + header or header > MOST_HEADER:
        return False
    ends = [int(end) for end in _ENDS.findall(os.pread(fd, header, 8))]
    return length == 8 + header + max(ends, default=0)
