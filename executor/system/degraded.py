"""What a file system refuses that work can do without, each told once a process."""

from __future__ import annotations

import errno
import os

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UNSYNCED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF)
UNMARKED = (*UNSYNCED, errno.EPERM, errno.EACCES)  # of rights and owners

KINDS = ("fsync", "chmod", "locks")
_known: dict[str, str] = {}  # by what is refused; a message that was told is empty


def note(what: str, message: str) -> None:
    """Keep a message for the next journal that writes, the first one of what is refused."""
    _known.setdefault(what, message)


def leave_telling() -> None:
    """Tell nothing in this process: the executor that began a job has told what its supervisor meets."""
    _known.update(dict.fromkeys(KINDS, ""))


def untold() -> list[str]:
    """Return the messages that no journal has written yet; from here on they are told."""
    found = [message for message in _known.values() if message]
    _known.update(dict.fromkeys(_known, ""))
    return found


def sync(fd: int, path: str, how: Callable[[int], None] = os.fsync) -> None:
    """Make what was written survive a power cut, where the file system can."""
    try:
        how(fd)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
        note(
            "fsync",
            f"the file system of {_folder(path)} has no fsync ({error.strerror}): a power cut may lose what is new",
        )


def set_mode(fd: int, path: str, mode: int) -> None:
    """Give an open file its mode, where the file system keeps one."""
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in UNMARKED:
            raise
        if os.fstat(fd).st_mode & 0o7777 != mode:
            note(
                "chmod",
                f"the file system of {_folder(path)} has no chmod ({error.strerror}): others may read what is there",
            )


def set_owner(path: str, owner: tuple[int, int]) -> None:
    """Keep a file's owner, where the file system and our rights allow it."""
    try:
        os.chown(path, *owner)
    except OSError as error:
        if error.errno not in UNMARKED:
            raise  # EPERM is usual: in a folder that a team shares only root may


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."
