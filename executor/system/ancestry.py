"""The ancestors of this process, and the reasons to doubt that a person started them."""

from __future__ import annotations

import os
import re
import time

from executor.system import procfs
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from executor.system.procfs import ProcessStat

# Programs that start a person's processes and an agent's alike: a common one proves nothing.
SESSION_PROGRAMS = frozenset(
    (
        *("systemd", "init", "launchd", "sshd", "sshd-session", "login", "cron", "crond", "atd"),
        *("tmux: server", "screen", "Hyprland", "xfce4-session", "xfce4-panel", "cinnamon", "mate-session"),
        *("gnome-shell", "gnome-session-b", "plasmashell", "ksmserver", "kwin_wayland", "kwin_x11", "sway", "i3"),
        *("mate-panel", "lxqt-session"),
    )
)
TERMINAL_SERVERS = frozenset(("tmux: server", "screen"))  # of terminals: a person or an agent may have started them
JOB_STARTERS = frozenset(("cron", "crond", "atd", "anacron", "fcron"))  # run what a person or an agent ordered
INIT_PROGRAMS = frozenset(
    ("init", "systemd", "tini", "dumb-init", "docker-init", "catatonit", "conmon")
)  # adopt orphans
FIRST_NAMESPACE = "pid:[4026531836]"  # the kernel's name of the pid namespace that all others are in
MOST = 64  # ancestors of a process
REMEDY = "a terminal from before the brief helps, or a new login: ssh, console, docker exec"


class BriefMoments(Record):
    """The moments at which briefs were given, read from the lines of `describe_moment`.

    `began` is the first moment in kernel ticks since boot, `namespaces` are pid namespaces, `groups` control
    groups, `orphans` are helpers as `pid:start`. `detached` is True when a process without a visible ancestor
    fetched a brief.
    """

    began: int
    namespaces: frozenset[str]
    groups: frozenset[str]
    orphans: frozenset[str]
    detached: bool


def describe_moment(chain: Sequence[ProcessStat], *, of_a_shell: bool) -> tuple[str, ...]:
    """Return the lines of pid 0 that describe the moment at which a brief is given to a chain of processes.

    `of_a_shell` is True when a person's shell is in the chain. Times are kernel ticks since boot: that clock cannot
    be set.
    """
    ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) if procfs.PROC else 0
    facts = [("given",), ("space", procfs.namespace_of("self")), ("group", _control_group(os.getpid()))]
    facts += [("loose", ",".join(_orphans(procfs.living_processes())))] if procfs.PROC else []
    scopes = [group for group in (_control_group(os.getpid()),) if group.endswith(".scope")]
    facts += [("detached",)] if chain and not of_a_shell and _is_orphan(chain[-1], scopes) else []
    return tuple(" ".join((f"0 {ticks} {short_boot_id()}", *words)) for words in facts if words[-1])


def reason_to_doubt(chain: Sequence[ProcessStat], given: Collection[str]) -> str:
    """Return the reason to doubt that a person started a chain of processes, empty for none.

    The reason is that the chain, or its terminal, is younger than a brief and its starter is not visible. A
    terminal that an agent has detached looks like that, whether or not the process that was given the brief still
    lives.
    """
    if not (given and procfs.PROC):
        return ""
    then = _moments(given)
    if then.namespaces and procfs.namespace_of("self") not in {*then.namespaces, FIRST_NAMESPACE}:
        return f"this is not the pid namespace in which the brief was given ({REMEDY})"
    return "" if not chain or _is_login(chain, then) else _reason_against(chain, then)


def ancestors() -> list[ProcessStat]:
    """Return this process and its ancestors, the nearest first, without pid 1."""
    return [*_chain_above(os.getpid())]


def short_boot_id() -> str:
    """Return the kernel's id of this boot, cut short."""
    return procfs.boot_id()[:8] or "unknown"


def describe(line: ProcessStat) -> str:
    """Return the name and the pid of a process, for a message."""
    return f"{procfs.process_name(line.pid) or 'a process'} (pid {line.pid})"


def _reason_against(chain: Sequence[ProcessStat], then: BriefMoments) -> str:
    """Return the reason against a chain that no login started, empty for none."""
    orphan = next((line for line in chain if _pid_and_start(line) in then.orphans), None)
    if orphan:
        return (
            f"{describe(orphan)} was there at the brief with no terminal, and who started it cannot be seen ({REMEDY})"
        )
    seen = [
        chain[0],
        *(line for line in chain[1:] if procfs.process_name(line.pid) not in SESSION_PROGRAMS - TERMINAL_SERVERS),
    ]
    top = seen[-1]
    leader = next((line for line in chain if line.pid == chain[0].session), chain[0])
    if then.detached and leader.start > then.began:
        reason = (
            f"this terminal began after the brief, and whatever took the brief is detached from its parent ({REMEDY})"
        )
    elif top.start <= then.began or _is_started_by_desktop(top, chain[chain.index(top) + 1 :], then):
        reason = ""
    else:
        reason = f"{describe(top)} began after the brief, and who started it cannot be seen ({REMEDY})"
    return reason


def _moments(given: Collection[str]) -> BriefMoments:
    """Return the moments in these lines; lines of another boot do not count."""
    words = [one.split(" ", 4) for one in given if one.startswith("0 ")]
    here = [line for line in words if line[2] == short_boot_id()]
    of = {kind: {line[-1] for line in here if line[3] == kind} for kind in ("space", "group", "loose", "detached")}
    loose = frozenset(key for keys in of["loose"] for key in keys.split(","))
    began = min((int(line[1]) for line in here), default=0)
    return BriefMoments(began, frozenset(of["space"]), frozenset(of["group"]), loose, bool(of["detached"]))


def _is_login(chain: Sequence[ProcessStat], then: BriefMoments) -> bool:
    """Return True when another user started this chain (sshd, login, sudo), or a process outside the pid namespace."""
    top = chain[-1]
    if top.parent == 0 or (top.parent > 1 and _is_hidden(top)):
        return True
    other = next((line for line in chain if procfs.real_user(line.pid) not in {-1, os.geteuid()}), None)
    if other is None or procfs.process_name(other.pid) in JOB_STARTERS:
        return False
    return procfs.process_name(other.pid) not in INIT_PROGRAMS or other.start > then.began


def _is_hidden(top: ProcessStat) -> bool:
    """Return True when the parent lives but is not in /proc: it belongs to another user."""
    try:
        os.kill(top.parent, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _is_started_by_desktop(top: ProcessStat, above: Sequence[ProcessStat], then: BriefMoments) -> bool:
    """Return True when a desktop or systemd started this process, and its own start is visible."""
    names = [procfs.process_name(line.pid) for line in above]
    if JOB_STARTERS & set(names) or (above and not (above[-1].start <= then.began or _is_user_manager(above[-1]))):
        return False
    first = names[0] if names else procfs.process_name(1)
    if first == "systemd":
        return _is_systemd_unit(top.pid, then.groups)
    return bool(above) and (first not in INIT_PROGRAMS or above[0].start > then.began)


def _is_user_manager(line: ProcessStat) -> bool:
    """Return True for the systemd that manages the processes of one user."""
    there = re.search(r"/user@\d+\.service/init\.scope$", _control_group(line.pid))
    return bool(there and line.parent == 1 and procfs.process_name(1) == "systemd" == procfs.process_name(line.pid))


def _is_systemd_unit(pid: int, groups: Collection[str]) -> bool:
    """Return True for a process that systemd started as a unit; not for one of systemd-run, or of a session."""
    group = _control_group(pid)
    if group in groups or re.search(r"/run-[^/ ]*\.(?:scope|service)|/session-[^/ ]*\.scope$", group):
        return False
    return group.endswith((".scope", ".service"))


def _orphans(everybody: Mapping[int, ProcessStat]) -> Iterator[str]:
    """Yield `pid:start` of each orphan of this user that has no terminal, and no descendant with one."""
    serving = set()
    for line in everybody.values():
        pid = line.pid if line.terminal else 0
        while pid in everybody and pid not in serving:
            serving.add(pid)
            pid = everybody[pid].parent
    groups = (_control_group(os.getpid()),)
    quiet = (line for line in everybody.values() if line.pid not in serving and line.pid > 1)
    yield from (
        _pid_and_start(line)
        for line in quiet
        if _is_orphan(line, groups) and procfs.real_user(line.pid) == os.geteuid()
    )


def _is_orphan(line: ProcessStat, groups: Collection[str]) -> bool:
    """Return True for an orphan that is no unit of systemd, or is in one of these control groups."""
    parent = procfs.process_name(line.parent) if line.parent else ""
    if procfs.process_name(line.pid) in SESSION_PROGRAMS or (line.parent != 1 and parent not in INIT_PROGRAMS):
        return False
    return parent != "systemd" or not _is_systemd_unit(line.pid, groups)


def _pid_and_start(line: ProcessStat) -> str:
    return f"{line.pid}:{line.start}"


def _control_group(pid: int) -> str:
    return " ".join(procfs.cgroup(pid).split())


def _chain_above(pid: int) -> Iterator[ProcessStat]:
    for _ in range(MOST):
        line = procfs.living_stat(pid) if pid > 1 else None
        if line is None:
            return
        yield line
        pid = line.parent
