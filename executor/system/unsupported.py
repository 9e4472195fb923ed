"""What a file system refuses that work can do without, each told once a process."""

from __future__ import annotations

import errno
import os

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC_ERRORS = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF)
MARK_ERRORS = (*SYNC_ERRORS, errno.EPERM, errno.EACCES)  # of rights and owners

OPERATIONS = ("fsync", "chmod", "locks")
_messages: dict[str, str] = {}  # by what is refused; a message that was told is empty


def note_once(what: str, message: str) -> None:
    """Keep a message for the next journal that writes, the first one of what is refused."""
    _messages.setdefault(what, message)


def suppress_messages() -> None:
    """Tell nothing in this process: the executor that began a job has told what its supervisor meets."""
    _messages.update(dict.fromkeys(OPERATIONS, ""))


def take_messages() -> list[str]:
    """Return the messages that no journal has written yet; from here on they are told."""
    found = [message for message in _messages.values() if message]
    _messages.update(dict.fromkeys(_messages, ""))
    return found


def sync(fd: int, path: str, how: Callable[[int], None] = os.fsync) -> None:
    """Make what was written survive a power cut, where the file system can."""
    try:
        how(fd)
    except OSError as error:
        if error.errno not in SYNC_ERRORS:
            raise
        note_once(
            "fsync",
            f"the file system of {_folder(path)} has no fsync ({error.strerror}): a power cut may lose what is new",
        )


def set_mode(fd: int, path: str, mode: int) -> None:
    """Give an open file its mode, where the file system keeps one."""
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in MARK_ERRORS:
            raise
        if os.fstat(fd).st_mode & 0o7777 != mode:
            note_once(
                "chmod",
                f"the file system of {_folder(path)} has no chmod ({error.strerror}): others may read what is there",
            )


def set_owner(path: str, owner: tuple[int, int]) -> None:
    """Keep a file's owner, where the file system and our rights allow it."""
    try:
        os.chown(path, *owner)
    except OSError as error:
        if error.errno not in MARK_ERRORS:
            raise  # EPERM is usual: in a folder that a team shares only root may


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."
