"""The probe of memory: of the machine, and of the control group of the job."""

from __future__ import annotations

import os
from warnings import filterwarnings

from executor.monitoring.model import Sample
from executor.system import kernel
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import counted, size

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext

NO_LIMIT = 1 << 60  # the kernel writes a larger number for no limit
LIMITS = ("memory.max", "memory.limit_in_bytes")
USES = ("memory.current", "memory.usage_in_bytes")
KILLS = ("memory.events", "memory.oom_control")
RECLAIMABLE = ("total_inactive_file", "inactive_file")


class Room(Record):
    """Total and available memory, bytes."""

    total: int
    available: int


def memory(asks: Any, memory: Memory, job: ProbeContext, *, proc: str = "/proc", sys: str = "/sys") -> Sample:
    """Measure memory; `asks` is True.

    values: available_bytes, total_bytes and available_percent, of the machine or of the job's control group where that
    has less; swap_used_bytes, swap_total_bytes; oom_kills since the first look, in that group when the kernel counts
    them there, and oom_kills_machine, in all.
    """
    import psutil  # not at the top: 3 MiB and 20 ms that only a job with this monitor pays

    filterwarnings("ignore", r".*memory stats couldn't be determined", RuntimeWarning)  # statistics unused here
    before, psutil.PROCFS_PATH = psutil.PROCFS_PATH, proc
    try:
        machine, swap = psutil.virtual_memory(), psutil.swap_memory()
    except (OSError, KeyError):
        return Sample(at_s=job.now_s, there=False, text="the kernel reports no memory: is /proc mounted?")
    finally:
        psutil.PROCFS_PATH = before
    group = _group(f"{proc}/{job.pid}/cgroup", f"{sys}/fs/cgroup") or _group(f"{proc}/self/cgroup", f"{sys}/fs/cgroup")
    whole = Room(machine.total, machine.available)
    room = min(filter(None, (whole, _room_in(group))), key=lambda one: one.available)
    values = {
        "available_bytes": room.available,
        "total_bytes": room.total,
        "available_percent": 100 * room.available / max(1, room.total),
        "swap_used_bytes": swap.used,
        "swap_total_bytes": swap.total,
        **_kills(memory, group, proc),
    }
    return Sample(at_s=job.now_s, values={name: float(value) for name, value in values.items()}, text=_text(values))


def _text(values: dict[str, float]) -> str:
    free, total, kills = values["available_bytes"], values["total_bytes"], int(values.get("oom_kills", 0))
    text = f"{size(free)} of {size(total)} available ({values['available_percent']:.0f} %)"
    return f"{text}, {counted(kills, 'process', 'processes')} killed for memory" if kills else text


def _group(listed: str, mount: str) -> str:
    """Return the folder with the memory files of a control group, empty without one."""
    for line in kernel.raw(listed).decode("utf-8", "replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(",") or number == "0":
            tops = [f"{mount}/memory"] if controllers else [mount, f"{mount}/unified"]
            folders = [folder for top in tops for folder in (f"{top}{path.rstrip('/')}", top)]
            known = [folder for folder in folders if any(os.path.exists(f"{folder}/{name}") for name in KILLS)]
            if known:
                return known[0]
    return ""


def _room_in(group: str) -> Room | None:
    """Return the memory of a control group, None without a limit."""
    limit, used = _first(group, LIMITS), _first(group, USES)
    if limit is None or used is None or limit >= NO_LIMIT:
        return None
    stat = kernel.table(f"{group}/memory.stat")
    reclaimable = next((stat[name] for name in RECLAIMABLE if name in stat), 0)
    return Room(limit, max(0, min(limit, limit - used + reclaimable)))


def _first(group: str, names: tuple[str, ...]) -> int | None:
    figures = (kernel.figure(f"{group}/{name}") for name in names) if group else iter(())
    return next((figure for figure in figures if figure is not None), None)


def _kills(memory: Memory, group: str, proc: str) -> dict[str, int]:
    """Return the kills since the first look, where the kernel counts them."""
    inside = next(
        (table["oom_kill"] for name in KILLS if "oom_kill" in (table := kernel.table(f"{group}/{name}"))), None
    )
    machine = kernel.table(f"{proc}/vmstat").get("oom_kill")
    counts = {"oom_kills": machine if inside is None else inside, "oom_kills_machine": machine}
    return {name: max(0, count - memory.setdefault(name, count)) for name, count in counts.items() if count is not None}
