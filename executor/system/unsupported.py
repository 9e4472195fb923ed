"""Operations that some file systems lack and that work can do without, each reported once a process."""

from __future__ import annotations

import errno
import os

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC_ERRORS = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF)
MARK_ERRORS = (*SYNC_ERRORS, errno.EPERM, errno.EACCES)  # of permissions and owners

OPERATIONS = ("fsync", "chmod", "locks")
_messages: dict[str, str] = {}  # by operation; a message that was taken is empty


def note_once(what: str, message: str) -> None:
    """Keep the first message about an operation, for the next writer of the log."""
    _messages.setdefault(what, message)


def suppress_messages() -> None:
    """Report nothing in this process: a supervisor meets the file system that its executor reported."""
    _messages.update(dict.fromkeys(OPERATIONS, ""))


def take_messages() -> list[str]:
    """Return the messages that are not in the log yet, and mark them as reported."""
    found = [message for message in _messages.values() if message]
    _messages.update(dict.fromkeys(_messages, ""))
    return found


def sync(fd: int, path: str, how: Callable[[int], None] = os.fsync) -> None:
    """Write an open file to the disk, so that it survives a power cut, where the file system can."""
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
    """Set the mode of an open file, where the file system keeps modes."""
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
    """Set the owner of a file, where the file system and the permissions of this process allow it."""
    try:
        os.chown(path, *owner)
    except OSError as error:
        if error.errno not in MARK_ERRORS:
            raise  # EPERM is usual: in a folder that a team shares only root may


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."
