"""The probe of metrics: the numbers that a training writes while it runs."""

from __future__ import annotations

import os
from collections import deque
from math import isfinite, nan

from executor.monitoring.metrics.series import EVENTS, Series
from executor.monitoring.model import Sample, options_of
from executor.monitoring.probes import paths
from executor.system.file_tail import BLOCK_BYTES
from executor.system.records import TYPE_CHECKING
from executor.system.text import metric_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from executor.monitoring.metrics.rows import Row
    from executor.monitoring.model import Memory, ProbeContext
    from executor.monitoring.probes.paths import Found

MOST_ROWS = 5_000
MOST_FILES = 16
MOST_VALUES = 256
TOTALS = ("total_steps", "max_steps")  # columns with the last step


def metrics(asks: Any, memory: Memory, job: ProbeContext) -> Sample:
    """Read metrics; `asks` is a file, a glob, a folder of event files, or {file, step, total, columns, format}.

    `progress` is the newest step, in files without steps the number of rows. `there` is False before the first row of
    this run.
    """
    options = options_of(asks, "file")
    files = _newest(job.root, options["file"])
    kept = memory.setdefault("files", {})
    _forget_gone(kept, files)
    new: deque[Row] = deque(maxlen=MOST_ROWS)
    trouble, gained = _nothing(job.root, options["file"], files), 0
    turn = _in_turn(files, kept)
    for one in turn:
        known = kept.setdefault(one.path, {"ours": memory.get("all", False)})
        series = Series(one.path, known, options, job.replace(began_ns=0) if known.get("ours") else job)
        new.extend(series.new_rows(MOST_ROWS))
        memory["count"] = memory.get("count", 0) + series.count
        gained += series.bytes
        if series.lost_step:
            memory.get("values", {}).pop("step", None)
        trouble = series.trouble or trouble
    memory["all"] = len(turn) == len(files) < MOST_FILES  # a file found later is of this run, with any time
    _remember(memory, new)
    reading = _reading(memory, job, tuple(new), options, trouble or f"no numbers of this run in {options['file']} yet")
    return reading.replace(bytes=gained)


def _newest(root: str, pattern: str) -> list[Found]:
    """Return the files to read, the newest first."""
    files: list[Found] = []
    for one in paths.matching(root, pattern):
        files += _event_files(one) if one.is_folder else [one]
    return sorted(files, key=lambda one: (one.status.st_mtime_ns, one.path), reverse=True)[:MOST_FILES]


def _event_files(folder: Found) -> list[Found]:
    inside = [paths.Found(path, status) for path, status in paths.inside(folder.path, [paths.MOST_INSIDE])]
    events = [one for one in inside if EVENTS in os.path.basename(one.path)]
    return events or [one for one in inside if "/metrics/" in one.path and _is_of_mlflow(one.path)]


def _is_of_mlflow(path: str) -> bool:
    return os.path.isfile(os.path.join(path.rpartition("/metrics/")[0], "meta.yaml"))


def _nothing(root: str, pattern: str, files: list[Found]) -> str:
    """Return the reason why there is no file to read, empty when there is one."""
    if files:
        return ""
    if os.path.isdir(paths.placed(root, pattern)):
        return f"{pattern} is a folder without event files: name a file in it, or a glob such as {pattern}/*.jsonl"
    return f"{pattern} {paths.absence(root, pattern)}"


def _forget_gone(kept: Memory, files: list[Found]) -> None:
    for path in {*kept} - {one.path for one in files}:
        if len(kept) > MOST_FILES or not os.path.exists(path):
            del kept[path]


def _in_turn(files: list[Found], kept: Memory) -> list[Found]:
    """Return the files for one look, the newest last."""
    chosen: list[Found] = []
    left = BLOCK_BYTES
    for one in files:
        if left > 0:
            chosen.append(one)
            left -= one.status.st_size - kept.get(one.path, {}).get("at", 0)
    return chosen[::-1]


def _remember(memory: Memory, new: Iterable[Row]) -> None:
    """Keep the newest number of each column, nan and inf as texts for JSON."""
    values = memory.setdefault("values", {})
    for row in new:
        for name, value in row.items():
            if name in values or len(values) < MOST_VALUES:
                values[name] = value if isfinite(value) else str(value)


def _reading(memory: Memory, job: ProbeContext, new: tuple[Row, ...], options: dict[str, Any], trouble: str) -> Sample:
    values = {name: float(value) for name, value in memory["values"].items()}
    count = memory.get("count", 0)
    return Sample(
        at_s=job.now_s,
        there=count > 0,
        progress=values.get("step", float(count) if count else None),
        total=options.get("total") or next((values[name] for name in TOTALS if isfinite(values.get(name, nan))), None),
        values=values,
        rows=new,
        text=metric_pairs(_in_order(values)) if count else trouble,
    )


def _in_order(values: dict[str, float]) -> list[tuple[str, float]]:
    """Return the numbers in the order for people: the step, losses, the rest."""
    return sorted(values.items(), key=lambda pair: 0 if pair[0] == "step" else 1 if "loss" in pair[0].lower() else 2)
