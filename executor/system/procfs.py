"""Processes of this machine: identities, environments, parents and groups from /proc; macOS by psutil, best effort."""

from __future__ import annotations

import os
import re
import sys
import time
from functools import cache

from executor.errors import MachineError
from executor.system.records import Record
from executor.system.run_records import Identity

PROC = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_SIGINT = 2  # the import of signal is slow on the path of read verbs
_PR_SET_CHILD_SUBREAPER = 36
_TOKEN = b"DO_TASKS_RUN="
DEAD = ("Z", "X", "x")  # states of a zombie and of a dead process
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def identify(pid: int) -> Identity | None:
    """Return the identity of a living process, None for a dead one or a zombie."""
    start = _start_ticks(pid) if PROC else _start_elsewhere(pid)
    return None if start is None else Identity(pid, start, boot_id(), machine_id(), namespace_of(pid))


def is_alive(identity: Identity) -> bool:
    """Return True when this very process lives: not another one with its pid, not one from before a reboot."""
    if identity.boot != boot_id() or not is_in_this_namespace(identity):
        return False
    return (_start_ticks if PROC else _start_elsewhere)(identity.pid) == identity.start


def age_s(identity: Identity) -> float:
    """Return the age of a living process in seconds, by a clock that cannot be set."""
    if not PROC:
        return max(0.0, time.time() - identity.start / 1000)
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - identity.start / os.sysconf("SC_CLK_TCK"))


def is_on_this_host(identity: Identity) -> bool:
    """Return True when the process belongs to this machine."""
    return identity.machine == machine_id()


def is_in_this_namespace(identity: Identity) -> bool:
    """Return True when the pid is one of this pid namespace; an identity without a namespace counts as such."""
    return identity.namespace in ("", namespace_of("self")) or not namespace_of("self")


def namespace_of(pid: int | str) -> str:
    """Return the pid namespace of a process, empty when it cannot be read."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def refuse_foreign_proc() -> None:
    """Raise MachineError when /proc is of another pid namespace: its pids belong to other processes."""
    if PROC and os.readlink("/proc/self") != str(os.getpid()):
        raise MachineError("/proc shows another pid namespace; mount one of this namespace: unshare --mount-proc")


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return _first_line("/proc/sys/kernel/random/boot_id")


@cache
def machine_id() -> str:
    """Return the machine's id, its host name where there is none."""
    return _first_line("/etc/machine-id") or os.uname().nodename


def adopt_orphans() -> None:
    """Become the parent of all orphans below this process, so that no descendant can leave unnoticed."""
    if PROC:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Have the kernel interrupt this process when its parent dies; SystemExit when it is dead by now. Linux only."""
    if PROC:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit(130)


def children() -> set[int] | None:
    """Return the pids of this process's children, None where the kernel has no list."""
    return children_of(os.getpid())


def pids_with_token(token: str) -> list[int]:
    """Return the pids of this user whose environment holds DO_TASKS_RUN=token.

    A run's token includes the tokens that continue it behind a slash, of the commands of an agent. One that ends in
    / is a whole task, one that ends in a dot all of a kind: monitor.1, monitor.2.
    """
    return [pid for pid in all_pids() if pid != os.getpid() and any(token_matches(token, one) for one in tokens(pid))]


def tokens(pid: int) -> list[bytes]:
    """Return the values of DO_TASKS_RUN in a process's environment, [] for none and when it cannot be read."""
    return [word[len(_TOKEN) :] for word in environ(pid) if word.startswith(_TOKEN)]


def token_matches(asked: str, token: bytes) -> bool:
    """Return True when a token is one of those that `asked` names, as `pids_with_token` describes."""
    needle = asked.encode()
    return token.startswith(needle if asked.endswith(("/", ".")) else needle + b"/") or token == needle


def environ(pid: int) -> list[bytes]:
    """Return the words NAME=value of a process's environment, [] when it cannot be read."""
    return (_raw(f"/proc/{pid}/environ") or b"").split(b"\0")


class ProcessStat(Record):
    """The fields of /proc/PID/stat.

    `start` is in kernel ticks since boot, `cpu_ticks` in ticks of CPU time; `terminal` is 0 without one.
    """

    pid: int
    parent: int
    session: int
    start: int
    terminal: int = 0
    group: int = 0
    state: str = ""
    cpu_ticks: int = 0
    threads: int = 0
    rss_bytes: int = 0


def real_user(pid: int) -> int:
    """Return the real user of a process, -1 when it is gone. A process can change the owner of its folder in /proc."""
    found = re.search(rb"^Uid:\s+(\d+)", _raw(f"/proc/{pid}/status") or b"", re.MULTILINE)
    return int(found[1]) if found else -1


def cgroup(pid: int) -> str:
    """Return the control groups of a process as the kernel names them, empty when they cannot be read."""
    return (_raw(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace").strip()


def living_processes() -> dict[int, ProcessStat]:
    """Return every living process in this namespace, without zombies, by its pid."""
    lines = (living_stat(pid) for pid in all_pids())
    return {one.pid: one for one in lines if one is not None}


def living_stat(pid: int) -> ProcessStat | None:
    """Return the fields of a living process, None for a zombie, a dead one, or where they are not known."""
    found = stat_of(pid)
    return found if found and found.state not in DEAD else None


def stat_of(pid: int, proc: str = "/proc") -> ProcessStat | None:
    """Return the fields of a process or zombie, None when it is gone."""
    fields = _stat(pid, proc)
    if len(fields) < 22:
        return None
    parent, group, session, terminal = map(int, fields[1:5])
    cpu_ticks, rss_bytes = int(fields[11]) + int(fields[12]), int(fields[21]) * PAGE_BYTES
    state = fields[0].decode("ascii", "replace")
    return ProcessStat(
        pid, parent, session, int(fields[19]), terminal, group, state, cpu_ticks, int(fields[17]), rss_bytes
    )


def children_of(pid: int, proc: str = "/proc") -> set[int] | None:
    """Return the children of the first thread of a process, None where the kernel has no list."""
    text = _raw(f"{proc}/{pid}/task/{pid}/children")
    return None if text is None else {int(word) for word in text.split()}


def process_name(pid: int) -> str:
    """Return the kernel's name of a process, empty when it is gone."""
    return (_raw(f"/proc/{pid}/comm") or b"").decode("utf-8", "replace").strip()


def is_listed(pid: int) -> bool:
    """Return True when a process or a zombie has this pid."""
    return PROC and os.path.exists(f"/proc/{pid}")


def command_line(pid: int) -> tuple[str, ...]:
    """Return the command line of a process, empty when it is gone."""
    found = (_raw(f"/proc/{pid}/cmdline") or b"").decode("utf-8", "replace")
    return tuple(found.rstrip("\0").split("\0")) if found else ()


def process_group(pid: int) -> int | None:
    """Return the process group of a living process."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def group_lives(leader: int) -> bool:
    """Return True when a process of a group lives; zombies do not count, though they still accept a signal."""
    return not PROC or any(process_group(pid) == leader and identify(pid) is not None for pid in all_pids())


def all_pids(proc: str = "/proc") -> list[int]:
    """Return the pids of all processes, zombies too."""
    try:
        return [int(name) for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return []


def _raw(path: str) -> bytes | None:
    """Return the content of a file of /proc; without a file object, since this runs after each check."""
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
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0].decode("ascii", "replace") not in DEAD else None


def _stat(pid: int, proc: str = "/proc") -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state on, [] when the process is gone."""
    return (_raw(f"{proc}/{pid}/stat") or b"").rpartition(b")")[2].split()


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
