"""Who a process is on Linux; macOS by psutil, best effort."""

from __future__ import annotations

import os
import sys
import time
from functools import cache

from executor.records import Identity

PROC = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_SIGINT = 2  # the module signal is dear on the path of read verbs
_PR_SET_CHILD_SUBREAPER = 36


def identify(pid: int) -> Identity | None:
    """Return the identity of a living process, None for a dead one or a zombie."""
    start = _start_ticks(pid) if PROC else _start_elsewhere(pid)
    return None if start is None else Identity(pid, start, boot_id(), machine_id())


def alive(identity: Identity) -> bool:
    """Tell whether this very process lives: not its pid's next owner, not one before a reboot."""
    return identity.boot == boot_id() and identify(identity.pid) == identity


def age_s(identity: Identity) -> float:
    """Return for how long a living process has lived, by a clock that nobody sets."""
    if not PROC:
        return max(0.0, time.time() - identity.start / 1000)
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - identity.start / os.sysconf("SC_CLK_TCK"))


def here(identity: Identity) -> bool:
    """Tell whether the process belongs to this machine."""
    return identity.machine == machine_id()


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return _first_line("/proc/sys/kernel/random/boot_id")


@cache
def machine_id() -> str:
    """Return the machine's id, its host name where there is none."""
    return _first_line("/etc/machine-id") or os.uname().nodename


def adopt_orphans() -> None:
    """Become the parent of every orphan below us, so that no descendant can leave unseen."""
    if PROC:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with(parent: int) -> None:
    """Be interrupted when our parent dies, however it dies; SystemExit when it is dead by now. Linux alone can."""
    if PROC:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit(130)


def children() -> set[int] | None:
    """Return the pids of our own children, None where the kernel does not tell."""
    pid = os.getpid()
    text = _raw(f"/proc/{pid}/task/{pid}/children")
    return None if text is None else {int(word) for word in text.split()}


def bearing(token: str) -> list[int]:
    """Return the pids of our user whose environment holds DO_TASKS_RUN=token.

    A run's token holds for what bears it with more behind a slash: the commands of an agent. One that ends in / is a
    whole task, one that ends in a dot all of a kind: monitor.1, monitor.2.
    """
    needle = f"DO_TASKS_RUN={token}".encode()
    exact = not token.endswith(("/", "."))
    return [pid for pid in _all_pids() if pid != os.getpid() and _bears(pid, needle, exact=exact)]


def group(pid: int) -> int | None:
    """Return the process group of a living process."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def group_lives(leader: int) -> bool:
    """Tell whether anybody of a group lives: zombies that their parent has not reaped still answer to a signal."""
    return not PROC or any(group(pid) == leader and identify(pid) is not None for pid in _all_pids())


def _bears(pid: int, needle: bytes, *, exact: bool) -> bool:
    words = (_raw(f"/proc/{pid}/environ") or b"").split(b"\0")
    return any(word == needle or word.startswith(needle + b"/" if exact else needle) for word in words)


def _all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _raw(path: str) -> bytes | None:
    """Return a file of /proc whole, without the cost of a file object: this runs after each check."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(fd, 65536):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return None
    finally:
        os.close(fd)


def _start_ticks(pid: int) -> int | None:
    fields = (_raw(f"/proc/{pid}/stat") or b"").rpartition(b")")[2].split()
    return None if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def _start_elsewhere(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 1000)
    except psutil.Error:
        return None


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
