"""Rows that a script has written: counted, known again, cut back to whole ones."""

from __future__ import annotations

import hashlib
import os

from executor.values import Value


class Counted(Value):
    """What a file holds: whole lines that say something, bytes up to the last one's end, the SHA-256 of all of it."""

    rows: int = 0
    whole: int = 0
    size: int = 0
    sha256: str = ""


def ready(path: str, *, most: int, is_ours: bool) -> tuple[int, str]:
    """Make a file ready to be appended to; return how many rows it keeps, and where another was put.

    Only ours are kept, `most` of them, without a half line at the end; others are put aside.
    """
    found = counted(path)
    if not found.size:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return 0, ""
    if not is_ours or found.rows > most:
        return 0, _put_aside(path)
    if found.whole != found.size:
        os.truncate(path, found.whole)
    return found.rows, ""


def _put_aside(path: str) -> str:
    number = 1
    while os.path.lexists(f"{path}.{number}"):
        number += 1
    os.rename(path, f"{path}.{number}")
    return f"{path}.{number}"


def counted(path: str) -> Counted:
    """Count what a file holds; a missing one holds nothing."""
    rows = whole = size = 0
    digest, said = hashlib.sha256(), False
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; only its absence is forgiven
    except FileNotFoundError:
        return Counted()
    with file:
        for line in file:
            size += len(line)
            digest.update(line)
            said = bool(line.strip())
            if line.endswith(b"\n"):
                rows, whole = rows + said, size
    return Counted(rows, whole, size, digest.hexdigest())
