"""Files that are whole or not there: atomic replace, locks, digests."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from executor.errors import BusyError, MachineError
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_WAIT_S = 10.0


def read(path: str) -> bytes:
    """Return the file's bytes, empty when it does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def replace(
    path: str, data: bytes, *, mode: int = 0o600, durable: bool = False, owner: tuple[int, int] | None = None
) -> None:
    """Write beside `path`, then rename onto it; `durable` also syncs the file and its folder."""
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        _write_new(beside, data, mode=mode, durable=durable)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            os.chown(beside, *owner)
        os.rename(beside, path)
    except OSError as error:
        _forget(beside)
        raise MachineError(
            f"cannot write {path}: {error.strerror}; free some space or mend the rights, then go on"
        ) from error
    if durable:
        sync_folder(os.path.dirname(path) or ".")


def _write_new(path: str, data: bytes, *, mode: int, durable: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


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
    """Make the folder, readable by its owner alone, and return its path."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def digest(data: bytes) -> str:
    """Return the sha256 of the bytes, in hex."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def take_lock(path: str) -> int:
    """Take the lock at once and return its descriptor; BusyError names the holder when it is taken."""
    fd = _open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise BusyError(f"another executor (pid {holder}) runs this plan; wait for it, or stop it") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


@contextmanager
def brief_lock(path: str, *, limit_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold a lock that others hold for milliseconds; MachineError after `limit_s`."""
    import time

    fd = _open_lock(path)
    until = time.monotonic() + limit_s
    try:
        while not _locked(fd):
            if time.monotonic() > until:
                raise MachineError(f"{path} has been locked for {limit_s:.0f} s; find its holder with: fuser {path}")
            time.sleep(0.005)
        yield
    finally:
        os.close(fd)


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
