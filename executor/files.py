"""Files that are whole or not there: atomic replace, locks, digests."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from executor.errors import BusyError, MachineError
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

try:  # hashlib loads OpenSSL, 3 ms of every start; this is the same function without it
    from _sha256 import sha256  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha256

LOCK_WAIT_S = 10.0
LOOK_S = 0.05
MASK_BLOCK = 1 << 20
MASK_OVERLAP = 4096


def read(path: str) -> bytes:
    """Return the file's bytes, empty when it does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def replace(
    path: str,
    data: bytes,
    *,
    mode: int = 0o600,
    durable: bool = False,
    owner: tuple[int, int] | None = None,
    beside: str = "",
) -> None:
    """Write beside `path`, then rename onto it; `durable` also syncs the file and its folder."""
    beside = beside or f"{path}.{os.getpid()}.tmp"
    try:
        _write_new(beside, data, mode=mode, durable=durable)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            _give(beside, owner)
        os.rename(beside, path)
    except OSError as error:
        _forget(beside)
        raise MachineError(
            f"cannot write {path}: {error.strerror}; free some space or mend the rights, then go on"
        ) from error
    if durable:
        sync_folder(os.path.dirname(path) or ".")


def _write_new(path: str, data: bytes, *, mode: int, durable: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def _give(path: str, owner: tuple[int, int]) -> None:
    """Keep the owner where we may; in a folder that a team shares only root may."""
    try:
        os.chown(path, *owner)
    except PermissionError:
        return


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def sync_folder(path: str) -> None:
    """Make a rename in this folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def private_folder(path: str) -> str:
    """Make the folder, readable by its owner alone as all that is missing above it, and return its path."""
    if os.path.isdir(path):
        return path
    private_folder(os.path.dirname(path))
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.isdir(path):
            return path  # somebody else was faster
        raise MachineError(f"cannot make the folder {path}: a file has its name") from None
    except OSError as error:
        raise MachineError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def mask(path: str, masked: Callable[[bytes], bytes]) -> None:
    """Overwrite secrets in a regular file in place, a block at a time; `masked` keeps the length.

    A link is left alone: behind it may lie what a person keeps.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return
    with open(path, "r+b", opener=_not_through_a_link) as file:
        for at in range(0, os.fstat(file.fileno()).st_size, MASK_BLOCK):
            file.seek(at)
            block = file.read(MASK_BLOCK + MASK_OVERLAP)
            after = masked(block)
            if after != block:
                file.seek(at)
                file.write(after)


def _not_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def digest(data: bytes) -> str:
    """Return the sha256 of the bytes, in hex."""
    hexadecimal: str = sha256(data).hexdigest()
    return hexadecimal


def take_lock(path: str) -> int:
    """Take the lock and return its descriptor; BusyError names the holder when it stays taken.

    A look at the lock (`held`) takes it for an instant, hence the second try.
    """
    fd = _open_lock(path)
    until = time.monotonic() + LOOK_S
    while not _locked(fd):
        if time.monotonic() > until:
            holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise BusyError(f"another executor (pid {holder}) runs this plan; wait for it, or stop it")
        time.sleep(0.005)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def held(path: str) -> str:
    """Return the pid that holds the lock, empty when nobody does."""
    fd = _open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(fd)
    return ""


class BriefLock:
    """Hold a lock that others hold for milliseconds; MachineError after `limit_s`."""

    def __init__(self, path: str, *, limit_s: float = LOCK_WAIT_S) -> None:
        self._path = path
        self._limit_s = limit_s
        self._fd = -1

    def __enter__(self) -> None:
        until = time.monotonic() + self._limit_s
        self._fd = _open_lock(self._path)
        while not _locked(self._fd):
            if time.monotonic() > until:
                os.close(self._fd)
                raise MachineError(f"{self._path} has been locked for {self._limit_s:.0f} s; who: fuser {self._path}")
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_lock(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MachineError(f"cannot open the lock {path}: {error.strerror}") from error
