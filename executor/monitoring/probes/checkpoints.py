"""The probe of checkpoints: how many a job has saved, and the newest."""

from __future__ import annotations

import os
import re

from executor.monitoring.model import Sample, checkpoint_glob, options_of
from executor.monitoring.probes import paths as found
from executor.monitoring.probes.complete_checkpoint import is_complete, is_temporary_below, is_whole
from executor.system.earlier_files import read_earlier
from executor.system.quantities import parse_size
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import counted, one_line, size

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext
    from executor.monitoring.probes.paths import Found
    from executor.system.earlier_files import EarlierFiles

MOMENT_S = 1.0  # without a change before a folder counts as finished
MOST_KEPT = 50  # older ones count as finished
_records: dict[tuple[str, str, int], EarlierFiles | None] = {}


class Saved(Record):
    """A file or folder that may be a checkpoint; size and times of a folder are those of its files."""

    path: str
    inode: int
    bytes: int
    changed_ns: int
    moved_ns: int
    is_folder: bool = False


def checkpoints(asks: Any, memory: Memory, job: ProbeContext) -> Sample:
    """Count checkpoints; `asks` is a glob, or {path, min_bytes}.

    A checkpoint is finished, and counts, when two looks find it complete and of one size, or replaced as a whole, under
    a name that is no temporary one; a folder must not change for MOMENT_S. `progress` counts all that were ever seen,
    `values` describe those that exist. age_s begins when the newest was first seen, without one at the start of the
    run. With a record of the files before the run no clock is compared.
    """
    options = options_of(asks, "path")
    least = parse_size(options.get("min_bytes", 1)) or 1
    found_now = candidates(job.root, options["path"], 0 if job.before else job.began_ns, job.before)
    present = [one for one in found_now if one.bytes >= least]
    _meet_all(present[:MOST_KEPT], memory, job)
    if job.ended:  # nothing is written any more: a second look finishes all
        _meet_all(present[:MOST_KEPT], memory, job)
    finished = [one for one in present[:MOST_KEPT] if memory["seen"][one.path]["done_ns"]] + present[MOST_KEPT:]
    memory["made"] = max(memory.get("made", 0), len(finished))
    begun = f", {counted(len(present), 'one', 'ones')} not whole" if present else ""
    return _reading(memory, job, finished, f"{options['path']}: none of this run yet{begun}")


def _reading(memory: Memory, job: ProbeContext, finished: list[Saved], none: str) -> Sample:
    made = memory["made"]
    age_s = job.now_s - max(memory.get("saved_s", job.began_s), job.began_s)
    values = {"count": len(finished), "bytes": sum(one.bytes for one in finished), "age_s": age_s}
    newest = found.shown(finished[0].path, job.root) if finished else ""
    if finished:
        values["newest_bytes"] = finished[0].bytes
    text = f"{counted(len(finished), 'checkpoint')}, {size(values['bytes'])}, newest {newest}" if finished else none
    return Sample(
        at_s=job.now_s,
        there=made > 0,
        progress=float(made),
        values={name: float(value) for name, value in values.items()},
        text=one_line(text),
        newest=newest,
    )


def candidates(root: str, pattern: str, began_ns: int, record: str = "") -> list[Saved]:
    """Return the matches of a glob that changed since the run began, the newest first, without temporary files.

    With a `record` of the files before the run those are left out, and no time is compared that a program can set.
    """
    left = [found.MOST_INSIDE]
    glob = checkpoint_glob(pattern)
    before = _before(record, glob)
    named = [one for one in found.matching(root, glob) if not is_temporary_below(one.path, root, glob)]
    if before:
        named = [one for one in named if not before.holds(one.path.removeprefix(f"{root}/"), one.status)]
    saved = [_saved(one, left) for one in named]
    new = (one for one in saved if (one.moved_ns if before else one.changed_ns) >= began_ns)
    return sorted(new, key=_age, reverse=True)


def _before(record: str, glob: str) -> EarlierFiles | None:
    """Return the files of a glob by a record, read again only when the record changes; None without one."""
    try:
        key = (record, glob, os.stat(record).st_mtime_ns)
    except OSError:
        return None
    if key not in _records:
        _records.clear()
        _records[key] = read_earlier(record, glob)
    return _records[key]


def _age(one: Saved) -> tuple[int, list[int], str]:
    """Return the sort key: time, then the numbers in the path, so that step_200 comes after step_30."""
    return one.changed_ns, [int(digits) for digits in re.findall(r"\d{1,18}", one.path)], one.path


def _saved(one: Found, left: list[int]) -> Saved:
    status = one.status
    if not one.is_folder:
        return Saved(one.path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    files = [inner for _, inner in found.inside(one.path, left)]
    changed_ns = max((inner.st_mtime_ns for inner in files), default=status.st_mtime_ns)
    moved_ns = max((inner.st_ctime_ns for inner in files), default=status.st_ctime_ns)
    size = sum(inner.st_size for inner in files)
    return Saved(one.path, status.st_ino, size, changed_ns, moved_ns, is_folder=True)


def _meet_all(present: list[Saved], memory: Memory, job: ProbeContext) -> None:
    """Update the memory of each candidate, also under a new name, and count those found finished."""
    before = memory.get("seen", {})
    paths = {one.path for one in present}
    renamed = {known["inode"]: known for path, known in before.items() if path not in paths}
    memory["seen"] = {
        one.path: _meet(one, before.get(one.path) or renamed.get(one.inode), memory, job) for one in present
    }


def _meet(one: Saved, known: Memory | None, memory: Memory, job: ProbeContext) -> Memory:
    """Return the memory of a file or folder after this look."""
    now_s = job.now_s
    fresh = {"bytes": one.bytes, "inode": one.inode, "changed_ns": one.changed_ns, "since_s": now_s, "done_ns": 0}
    if known is None:
        return fresh
    is_done = known["done_ns"] == known["changed_ns"]
    if is_done and one.is_folder and one.bytes < known["bytes"] and one.changed_ns <= known["changed_ns"]:
        return {
            **known,
            "bytes": one.bytes,
            "changed_ns": one.changed_ns,
            "done_ns": one.changed_ns,
        }  # parts were removed
    if known["changed_ns"] == one.changed_ns:
        if known["bytes"] != one.bytes:
            known["since_s"] = now_s
        elif not is_done and _is_finished(one, known, job):
            known["done_ns"] = one.changed_ns
            _count(memory, known["since_s"])
        return {**known, "bytes": one.bytes}
    if known["done_ns"] != known["changed_ns"] and (known["bytes"] == one.bytes or known["inode"] != one.inode):
        known["done_ns"] = known["changed_ns"]
        _count(memory, now_s)
    return {**fresh, "done_ns": known["done_ns"]}


def _is_finished(one: Saved, known: Memory, job: ProbeContext) -> bool:
    is_still = job.ended or not one.is_folder or job.now_s - known["since_s"] >= MOMENT_S
    return is_still and is_complete(one.path)


def _count(memory: Memory, saved_s: float) -> None:
    memory["made"] = memory.get("made", 0) + 1
    memory["saved_s"] = max(memory.get("saved_s", saved_s), saved_s)


def find_newest(root: str, pattern: str, began_ns: int, record: str = "") -> str:
    """Return the path from the root of the newest complete checkpoint since then, empty without one.

    A checkpoint that a crash cut short is skipped when its format shows that.
    """
    saved = candidates(root, pattern, began_ns, record)
    whole = (one.path for one in saved if one.bytes and is_whole(one.path))
    return next((found.shown(path, root) for path in whole), "")
