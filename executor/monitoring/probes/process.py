"""The probe of the processes of a job."""

from __future__ import annotations

import os

from executor.monitoring.model import Sample
from executor.system import kernel, procfs
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted, size

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext
    from executor.system.procfs import ProcessStat

SWEEP_S = 15.0  # between searches of all processes for those that left their parents
STOPPED = "Tt"
HERTZ = os.sysconf("SC_CLK_TCK")


def process(asks: Any, memory: Memory, job: ProbeContext, *, proc: str = "/proc") -> Sample:
    """Measure the descendants of the launcher and the other processes of its session; `asks` is True.

    values: processes (zombies not among them), children (all but the oldest), zombies, stopped (1 when all are),
    threads, rss_bytes, and from the second look on cpu_percent of one core. `there` is False once the launcher is gone.
    """
    if memory.setdefault("launcher", job.pid) != job.pid:
        memory.clear()
        memory["launcher"] = job.pid
    launcher = procfs.stat_of(job.pid, proc)
    if (
        launcher is None
        or launcher.state in procfs.DEAD
        or memory.setdefault("start", launcher.start) != launcher.start
    ):
        return Sample(at_s=job.now_s, there=False, text="the job has ended")
    family = _family(launcher, memory, job.now_s, proc)
    living = [one for one in family if one.state not in procfs.DEAD]
    values = {
        "processes": len(living),
        "children": max(0, len(living) - 1),
        "zombies": len(family) - len(living),
        "stopped": int(bool(living) and all(one.state in STOPPED for one in living)),
        "threads": sum(one.threads for one in living),
        "rss_bytes": sum(one.rss_bytes for one in living),
        **_cpu(living, memory, job.now_s),
    }
    return Sample(at_s=job.now_s, values={name: float(value) for name, value in values.items()}, text=_text(values))


def _text(values: dict[str, float]) -> str:
    count, zombies = int(values["processes"]), int(values["zombies"])
    parts = [counted(count, "process", "processes"), size(values["rss_bytes"])]
    parts += [f"{values['cpu_percent']:.0f} % CPU"] if "cpu_percent" in values else []
    parts += ["stopped by a signal"] if values["stopped"] else []
    parts += [counted(zombies, "zombie")] if zombies else []
    return ", ".join(parts)


def _family(launcher: ProcessStat, memory: Memory, now_s: float, proc: str) -> list[ProcessStat]:
    """Return the processes of the job without the launcher.

    Between sweeps only the known ones and their children are read: a machine may run thousands of others.
    """
    known = {int(pid): start for pid, (start, _) in memory.get("pids", {}).items()}
    if now_s >= memory.get("sweep_s", now_s) or procfs.children_of(launcher.pid, proc) is None:
        memory["sweep_s"] = now_s + SWEEP_S
        family = _swept(launcher.pid, known, proc)
    else:
        family = _walked(launcher.pid, known, proc)
    return sorted(family, key=lambda one: one.pid)


def _swept(launcher: int, known: dict[int, int], proc: str) -> list[ProcessStat]:
    """Return the processes in the session or group of the launcher, the known ones, and all descendants."""
    everybody = [one for pid in procfs.all_pids(proc) if (one := procfs.stat_of(pid, proc)) is not None]
    inside = {launcher}
    inside |= {one.pid for one in everybody if launcher in (one.group, one.session) or known.get(one.pid) == one.start}
    before = 0
    while before != len(inside):
        before = len(inside)
        inside |= {one.pid for one in everybody if one.parent in inside}
    return [one for one in everybody if one.pid in inside and one.pid != launcher]


def _walked(launcher: int, known: dict[int, int], proc: str) -> list[ProcessStat]:
    """Return the known processes with all their descendants."""
    found: dict[int, ProcessStat] = {}
    asked = [launcher, *known]
    met = {*asked}
    while asked:
        pid = asked.pop()
        one = procfs.stat_of(pid, proc) if pid != launcher else None
        if one is not None and known.get(pid, one.start) == one.start:
            found[pid] = one
        if one is None and pid != launcher:
            continue
        new = {*(procfs.children_of(pid, proc) or ())} - met
        met |= new
        asked += new
    return [*found.values()]


def descendants(pid: int, proc: str = "/proc") -> list[ProcessStat]:
    """Return the living descendants of a process, by the lists of children of the kernel."""
    return [one for one in _walked(pid, {}, proc) if one.state not in procfs.DEAD]


def written(pid: int, proc: str = "/proc") -> int:
    """Return the bytes that a process has read and written, 0 where they are not known."""
    counts = kernel.table(f"{proc}/{pid}/io")
    return counts.get("rchar", 0) + counts.get("wchar", 0)


def _cpu(living: list[ProcessStat], memory: Memory, now_s: float) -> dict[str, float]:
    """Return the CPU time since the last look in percent of one core, by its name."""
    before, at_s = memory.get("pids"), memory.get("at_s", now_s)
    memory.update(pids={str(one.pid): [one.start, one.cpu_ticks] for one in living}, at_s=now_s)
    if before is None or now_s <= at_s:
        return {}
    spent = sum(one.cpu_ticks - _ticks_before(one, before) for one in living)
    return {"cpu_percent": 100 * max(0, spent) / HERTZ / (now_s - at_s)}


def _ticks_before(one: ProcessStat, before: Memory) -> int:
    start, ticks = before.get(str(one.pid), (0, 0))
    return int(ticks) if start == one.start else 0
