"""The file of rows that a script writes: counted, cut back to whole rows, put aside."""

from __future__ import annotations

import hashlib
import os
import stat

from executor.errors import MachineError
from executor.system.records import Record

BLOCK = 1 << 20


class RowFile(Record):
    """The content of a file: `rows` are its lines that are not blank, `whole` the bytes up to the last line end."""

    rows: int = 0
    whole: int = 0
    size: int = 0
    sha256: str = ""


def ready(path: str, *, most: int, keeps_rows: bool) -> tuple[int, str]:
    """Prepare a file for appending; return the number of rows that it keeps, and the new path of a file put aside.

    With `keeps_rows` a file of at most `most` rows is kept, without a half line at its end. Any other is put aside.
    """
    found = counted(path)
    if not found.size:
        _make_folder(os.path.dirname(path))
        return 0, ""
    if not keeps_rows or found.rows > most:
        return 0, _put_aside(path)
    if found.whole != found.size:
        os.truncate(path, found.whole)
    return found.rows, ""


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot make {folder} for the rows: {error.strerror}; move away what is in its way"
        ) from error


def _put_aside(path: str) -> str:
    number = 1
    while os.path.lexists(f"{path}.{number}"):
        number += 1
    os.rename(path, f"{path}.{number}")
    return f"{path}.{number}"


def counted(path: str) -> RowFile:
    """Count the rows of a file; a missing one has none."""
    rows = whole = size = 0
    digest, is_filled = hashlib.sha256(), False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe must not block
    except FileNotFoundError:
        return RowFile()
    except OSError as error:
        raise MachineError(f"cannot read the rows in {path}: {error.strerror}; move it away") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise MachineError(f"cannot count the rows in {path}: it is no file; move it away")
    with open(fd, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            *ended, rest = block.split(b"\n")
            for piece in ended:
                rows += is_filled or bool(piece.strip())
                is_filled = False
            whole = size + len(block) - len(rest) if ended else whole
            is_filled = is_filled or bool(rest.strip())
            size += len(block)
    return RowFile(rows, whole, size, digest.hexdigest())
