"""Files that are complete or missing: atomic replace, private folders, digests."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from executor.errors import MachineError, remedy
from executor.system import safe_open, unsupported
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

try:  # hashlib loads OpenSSL, 3 ms of every start; this is the same function without it
    from _sha256 import sha256  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha256

STATE_FOLDER = ".do-tasks"
STATE_PART = f"{os.sep}{STATE_FOLDER}{os.sep}"
MASK_BLOCK = 1 << 20
MASK_OVERLAP = 1 << 16  # a key file, percent-encoded


def read(path: str) -> bytes:
    """Return a regular file's bytes, empty for a missing one; OSError for anything else at the path."""
    try:
        return safe_open.read_whole(path)
    except FileNotFoundError:
        return b""


def size_of(path: str) -> int:
    """Return the size of a file in bytes, 0 for a missing one."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def content_key(path: str) -> bytes:
    """Return the bytes that represent a file in a digest: its content, or size and time of a very large file."""
    status = os.stat(path)
    if status.st_size > safe_open.MOST_BYTES:
        return f"size {status.st_size} time {status.st_mtime_ns}".encode()
    return read(path)


def replace(
    path: str,
    data: bytes,
    *,
    mode: int = 0o600,
    durable: bool = False,
    owner: tuple[int, int] | None = None,
    beside: str = "",
) -> None:
    """Write a new file beside `path`, then rename it onto `path`; `durable` also syncs the file and its folder."""
    beside = beside or f"{path}.{os.getpid()}.tmp"
    try:
        _clear_name(beside)
        _write_new(beside, data, mode=mode, durable=durable)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            unsupported.set_owner(beside, owner)
        _rename(beside, path)
    except OSError as error:
        remove(beside)
        raise MachineError(f"cannot write {path}: {error.strerror}; {remedy(error)}, then go on") from error
    if durable:
        sync_folder(os.path.dirname(path) or ".")


def open_new(path: str, mode: int = 0o600) -> int:
    """Return a descriptor of an empty file; OSError when a link or a pipe is in its place."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)


def clear_place(path: str) -> str:
    """Rename anything but a regular file at this path; return the path."""
    if not os.path.isfile(path) or os.path.islink(path):
        _put_aside(path)
    return path


def _put_aside(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.rename(path, f"{path}.{os.urandom(4).hex()}")


def _clear_name(path: str) -> None:
    """Delete the link or file at a path where a file is to be created; rename a folder."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError:
        if not os.path.isdir(path):
            raise
        clear_place(path)


def _write_new(path: str, data: bytes, *, mode: int, durable: bool) -> None:
    fd = open_new(path, mode)
    try:
        unsupported.set_mode(fd, path, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            unsupported.sync(fd, path)
    finally:
        os.close(fd)


def _rename(beside: str, path: str) -> None:
    """Rename a file onto another; a folder in the place of a file of .do-tasks is renamed first."""
    try:
        os.rename(beside, path)
    except IsADirectoryError:
        if STATE_PART not in path:
            raise
        clear_place(path)
        os.rename(beside, path)


def remove(path: str) -> None:
    """Delete a file, as far as that is possible."""
    with suppress(OSError):
        os.unlink(path)


def sync_folder(path: str) -> None:
    """Sync a folder, so that a rename in it survives a power cut."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a folder that may be written but not read
    try:
        unsupported.sync(fd, os.path.join(path, ""))
    except OSError as error:
        raise MachineError(f"cannot sync the folder {path}: {error.strerror}; check the disk, then go on") from error
    finally:
        os.close(fd)


def private_folder(path: str) -> str:
    """Create a folder, and those missing above it, with mode 0700; return its path."""
    if os.path.isdir(path):
        return path
    above = os.path.dirname(path)
    if above not in ("", path):
        private_folder(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.isdir(path):
            return path  # another process was faster
        raise MachineError(f"cannot make the folder {path}: a file has its name; move it away") from None
    except OSError as error:
        raise MachineError(f"cannot make the folder {path}: {error.strerror}; {remedy(error)}") from error
    if os.path.basename(path) == STATE_FOLDER:
        hide_from_git(path)
    return path


def claim_folder(path: str) -> str:
    """Create a private folder, after anything else at its path, a link too, was renamed; return its path."""
    if os.path.islink(path) or not os.path.isdir(path):
        _put_aside(path)
    return private_folder(path)


def hide_from_git(folder: str) -> None:
    """Write a .gitignore into the folder, so that `git stash -u` and `git clean -fd` leave it alone."""
    path = os.path.join(folder, ".gitignore")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:  # it has one, or may only be read
        return
    try:
        os.write(fd, b"*\n")
    except OSError:  # a full disk: the next write that matters reports it
        os.unlink(path)
    finally:
        os.close(fd)


def mask_in_place(path: str, masked: Callable[[bytes], bytes]) -> bool:
    """Overwrite the secrets in a regular file, a block at a time; return True when there were any.

    `masked` keeps the length. A link is left alone: its target may be a person's file.
    """
    changed = False
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return False
    if not os.access(path, os.R_OK | os.W_OK) and status.st_uid == os.geteuid():
        os.chmod(path, 0o600)
    with open(path, "r+b", opener=_not_through_a_link) as file:
        for at in range(0, os.fstat(file.fileno()).st_size, MASK_BLOCK):
            file.seek(at)
            block = file.read(MASK_BLOCK + MASK_OVERLAP)
            after = masked(block)
            if after != block:
                file.seek(at)
                file.write(after)
                changed = True
    return changed


def _not_through_a_link(path: str, flags: int) -> int:
    """Open a file; OSError for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def digest(data: bytes) -> str:
    """Return the sha256 of the bytes, in hex."""
    hexadecimal: str = sha256(data).hexdigest()
    return hexadecimal
