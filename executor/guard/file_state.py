"""The state of a file, and a change of it: one model for all of the guard."""

from __future__ import annotations

import errno
import os
import stat

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_NAMED = 5  # paths in a message
FILE, LINK, FOLDER, OTHER = "file", "link", "folder", "other"
KINDS = {stat.S_IFREG: FILE, stat.S_IFLNK: LINK, stat.S_IFDIR: FOLDER}
CHANGED, REMOVED, ADDED, MODE, REPLACED, LOST = "changed", "removed", "added", "mode", "replaced", "lost"


class FileState(Record):
    """The state of a path, links not followed; times are in nanoseconds, `target` is the text of a link.

    In a snapshot a file has a `digest`, empty when it was not read, and `at`, the offset of its content, else -1.
    """

    kind: str
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    uid: int
    gid: int
    target: str = ""
    digest: str = ""
    at: int = -1


class Change(Record):
    """A path that changed: `kind` is changed, removed, added, mode, replaced or lost.

    `restored`: it is as it was again; `why`: the reason why it could not be restored.
    """

    path: str
    kind: str
    restored: bool = False
    why: str = ""


def state_of(path: str) -> FileState | None:
    """Return the state of a path, None when nothing is there; PermissionError when a folder above is closed."""
    try:
        status = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(status.st_mode), OTHER)
        target = os.readlink(path) if kind == LINK else ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None
    state = object.__new__(FileState)  # Record checks each field, which takes a third of the time of a snapshot
    state.__dict__.update(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
        uid=status.st_uid,
        gid=status.st_gid,
        target=target,
        digest="",
        at=-1,
    )
    return state


def is_unchanged(now: FileState, was: FileState | None) -> bool:
    """Return True when times and inode show that nothing was written: a change time cannot be set back."""
    if was is None or now.kind != was.kind:
        return False
    same = (now.size, now.mtime_ns, now.ctime_ns, now.inode) == (was.size, was.mtime_ns, was.ctime_ns, was.inode)
    return now.kind == FOLDER or same


# Paths, compared as texts


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder of the project; the root is the empty folder."""
    return f"{folder}/{name}" if folder else name


def ancestors(path: str) -> Iterator[str]:
    """Yield the folders above a path of the project, the root (empty) first."""
    at = -1
    yield ""
    while (at := path.find("/", at + 1)) >= 0:
        yield path[:at]


def is_below(path: str, folder: str) -> bool:
    """Return True for a path in a folder, the folder itself excluded."""
    return path != folder and path.startswith(os.path.join(folder, ""))


def is_within(path: str, folder: str) -> bool:
    """Return True for a folder itself and a path in it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def is_within_any(path: str, folders: Iterable[str]) -> bool:
    """Return True for one of these folders and a path in one of them."""
    return any(is_within(path, folder) for folder in folders)


def list_in_words(paths: Iterable[str]) -> str:
    """Return the first paths on one line, and the number of the rest."""
    every = list(paths)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return f"{', '.join(every[:MOST_NAMED])}{more}"
