"""The one way SPEC.md changes: lock, re-read, patch one line, replace, verify."""

from __future__ import annotations

import os

from executor import files
from executor.errors import MachineError, SpecError
from executor.formats import spec_md
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.formats.spec_md import Box, Mark

TRIES = 5


def read(path: str) -> bytes:
    """Return SPEC.md's bytes; SpecError when it is missing."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise SpecError(f"{os.path.basename(path)} is missing; make one with: do-tasks init") from error
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}") from error


def refuse_read_only(path: str) -> None:
    """Refuse before any work a SPEC.md that its owner has made read-only: we could not tick it."""
    if os.path.exists(path) and not os.stat(path).st_mode & 0o222:
        raise MachineError(f"{path} is read-only, so no box could be ticked; run: chmod u+w {os.path.basename(path)}")


def mark(path: str, lock: str, *, number: int, state: str, mark: Mark | None) -> Box:
    """Put this state and suffix on one step's line and return the line as it then stands."""

    def patched(data: bytes) -> bytes:
        return spec_md.patch(data, spec_md.find(data, number), state=state, mark=mark)

    return spec_md.find(change(path, lock, patched), number)


def append(path: str, lock: str, *, number: int, title: str) -> Box:
    """Give a step that has no line one, and return it."""
    return spec_md.find(change(path, lock, lambda data: spec_md.append_line(data, number, title)), number)


def change(path: str, lock: str, patched: Callable[[bytes], bytes]) -> bytes:
    """Replace SPEC.md by what `patched` makes of it, again from the start when an editor was faster."""
    refuse_read_only(path)
    real = os.path.realpath(path)
    with files.BriefLock(lock):
        for _ in range(TRIES):
            before = os.stat(real) if os.path.exists(real) else None
            data = read(real)
            after = patched(data)
            if after == data:
                return data
            if _replaced(real, after, before):
                return _verified(real, after)
    raise SpecError(f"{path} is being changed by somebody else; save it, then run: do-tasks --continue")


def _replaced(path: str, data: bytes, before: os.stat_result | None) -> bool:
    now = os.stat(path)
    if before is None or (now.st_mtime_ns, now.st_size, now.st_ino) != (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    ):
        return False
    files.replace(path, data, mode=now.st_mode & 0o7777, owner=(now.st_uid, now.st_gid), durable=True)
    return True


def _verified(path: str, data: bytes) -> bytes:
    if read(path) != data:
        raise SpecError(f"{path} changed while it was written; look at it, then run: do-tasks --continue")
    return data
