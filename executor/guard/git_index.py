"""The marks in git's index by which git takes a file for unchanged without a look at it."""

from __future__ import annotations

import struct

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSUMED, EXTENDED = 0x8000, 0x4000  # flags of an entry: --assume-unchanged; two more bytes of flags follow
SKIPPED = 0x4000  # among those two: --skip-worktree
BEFORE_HASH = 40  # bytes of an entry: times, device, inode, mode, owner, size
HASHES = (20, 32)  # bytes of SHA-1 and SHA-256
STEERING = (b"link", b"FSMN")  # extensions: the entries are in another file; a program says what has changed


def part_of(data: bytes) -> str:
    """Return the part of an index that judges, in a normal form, empty for nothing; a broken index counts whole."""
    try:
        found = blind_spots(data)
    except ValueError:
        return repr(data)
    return repr(found) if found else ""


def blind_spots(data: bytes) -> list[str]:
    """Return the paths that git does not look at, and the extensions that lead elsewhere; ValueError for no index."""
    for size in HASHES:
        try:
            return sorted(_blind(data, size))
        except (struct.error, ValueError, IndexError):
            continue
    raise ValueError("not an index of git")


def _blind(data: bytes, hash_size: int) -> Iterator[str]:
    magic, version, count = struct.unpack_from(">4sII", data)
    if magic != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not an index of git")
    at, name = 12, b""
    for _ in range(count):
        begin = at
        at += BEFORE_HASH + hash_size
        (flags,) = struct.unpack_from(">H", data, at)
        more = struct.unpack_from(">H", data, at + 2)[0] if flags & EXTENDED else 0
        at += 4 if flags & EXTENDED else 2
        kept = 0
        if version == 4:  # the path is a change of the one before
            drop, at = _number(data, at)
            kept = len(name) - drop
        end = data.index(b"\0", at)
        name = name[:kept] + data[at:end]
        at = end + 1 if version == 4 else begin + (end - begin + 8) // 8 * 8
        if flags & ASSUMED or more & SKIPPED:
            yield name.decode("utf-8", "surrogateescape")
    while at < len(data) - hash_size:
        sign, size = struct.unpack_from(">4sI", data, at)
        if sign in STEERING:
            yield f"[{sign.decode()}]"
        at += 8 + size
    if at != len(data) - hash_size:
        raise ValueError("not an index of git")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and the place behind it."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = ((value + 1) << 7) | (data[at] & 0x7F)
    return value, at + 1
