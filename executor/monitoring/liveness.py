"""Signs of life of a job beside the data of a monitor: progress bars, CPU and disk use, a stop signal."""

from __future__ import annotations

import os
import re

from executor.monitoring.model import options_of
from executor.monitoring.probes import paths as found
from executor.monitoring.probes.process import HERTZ, STOPPED, descendants, written
from executor.system.file_tail import last_bytes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Monitor, ProbeContext, Sample
    from executor.system.procfs import ProcessStat

PACED = ("stall", "checkpoint_age", "throughput_drop")  # rules that judge by time
STEPPED = ("metrics", "progress", "checkpoints")
OWN = ("stdout.log", "stderr.log")
BUSY_SHARE = 0.25  # of a core
BUSY_BYTES = 1 << 20  # read or written between two looks
WAITS_FOR_DISK = "D"
LAST_PIECES = 2
_COUNTS = re.compile(rb"(\d[\d,.]*)\s*(?:/|of)\s*\d|(\d[\d,.]*)\s*%")


def with_signs(reading: Sample, monitor: Monitor, memory: Memory, job: ProbeContext) -> Sample:
    """Return a sample with the signs of life elsewhere, for a monitor whose rules judge by time."""
    if not any(rule.kind in PACED for rule in monitor.rules):
        return reading
    kept: Memory = memory.setdefault("vital", {})
    if kept.get("run") != job.folder:
        kept.clear()
        kept["run"] = job.folder
    is_still = not reading.rows and reading.progress == kept.get("progress")
    kept["progress"] = reading.progress
    _note_bars(kept, monitor, job, is_still=is_still and bool(reading.bytes))
    family = descendants(job.pid) if is_still and job.pid and not job.ended else []
    return reading.replace(
        signs=kept["signs"],
        busy=_is_busy(kept, family, job.now_s) if family else None,
        frozen=any(one.state in STOPPED for one in family),
    )


def _note_bars(kept: Memory, monitor: Monitor, job: ProbeContext, *, is_still: bool) -> None:
    """Count the looks at which a bar has moved, in the output of the job or in a file that gains no rows."""
    paths = [os.path.join(job.folder, name) for name in OWN]
    paths += [path for path in [_file_of(monitor, job)] if path] if is_still else []
    moved = [path for path in paths if _bar_moved(kept.setdefault("bars", {}), path)]
    kept["signs"] = kept.get("signs", 0) + bool(moved)


def _file_of(monitor: Monitor, job: ProbeContext) -> str:
    if monitor.kind not in ("metrics", "log"):
        return ""
    pattern = str(options_of(monitor.asks, "file")["file"])
    files = [one for one in found.matching(job.root, pattern) if not one.is_folder]
    return max(files, key=lambda one: one.status.st_mtime_ns).path if files else ""


def _bar_moved(bars: Memory, path: str) -> bool:
    """Return True when a count such as 12/100 or 12 % at the end of a file has changed since the last look."""
    try:
        size = os.stat(path).st_size
        if size == bars.get(path, [0, ""])[0]:
            return False
        ending = last_bytes(path)
    except OSError:
        return False
    count = counts_in(ending)
    before = bars.get(path, [0, ""])[1]
    bars[path] = [size, count or before]
    return bool(count) and count != before


def counts_in(ending: bytes) -> str:
    """Return the counts in the last lines of an output as written; a carriage return ends a line too."""
    pieces = [piece for piece in re.split(rb"[\r\n]", ending) if piece.strip()][-LAST_PIECES:]
    counts = [hit[1] or hit[2] for piece in pieces for hit in _COUNTS.finditer(piece)]
    return b" ".join(counts).decode("ascii", "replace")


def _is_busy(kept: Memory, family: list[ProcessStat], now_s: float) -> bool:
    """Return True when the processes used CPU or disk since the last look, or wait for a disk now."""
    before, at_s = kept.get("work", {}), kept.get("at_s")
    work = {str(one.pid): [one.start, one.cpu_ticks, written(one.pid)] for one in family}
    kept.update(work=work, at_s=now_s)
    if any(one.state == WAITS_FOR_DISK for one in family):
        return True
    if at_s is None or now_s <= at_s:
        return False
    known = [(work[pid], before[pid]) for pid in work if pid in before and before[pid][0] == work[pid][0]]
    ticks = sum(now[1] - then[1] for now, then in known)
    return bool(ticks / HERTZ >= BUSY_SHARE * (now_s - at_s) or sum(a[2] - b[2] for a, b in known) >= BUSY_BYTES)


def moved(reading: Sample, before: Sample, kind: str) -> bool:
    """Return True when a sample shows progress since the one before it: a step, a checkpoint, a bar."""
    if kind == "log":
        count = counts_in(reading.text.encode("utf-8", "replace"))
        return bool(count) and count != counts_in(before.text.encode("utf-8", "replace"))
    return kind in STEPPED and reading.progress is not None and reading.progress != before.progress
