"""Robust statistics of short series, and times and sizes in words."""

from __future__ import annotations

import math

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.monitoring.model import Memory, Sample

SIGMA = 1.4826  # makes the median of absolute deviations a standard deviation where these are normal
LATE = 3.0  # times the usual interval that make a gap between looks


def median(values: Sequence[float]) -> float:
    """Return the median of one value or more."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def noise(values: Sequence[float]) -> float:
    """Return the standard deviation of neighbours around a common trend; 0 for fewer than three values."""
    bends = [abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return SIGMA * median(bends) / 6**0.5 if bends else 0.0


def rising(values: Sequence[float]) -> bool:
    """Return True when at least three of four pairs rise; equal values do not rise."""
    pairs = [(a, b) for place, a in enumerate(values) for b in values[place + 1 :]]
    return 4 * sum(b > a for a, b in pairs) >= 3 * len(pairs)


def hold(memory: Memory, *, wrong: bool, patience: int, clear: int) -> bool:
    """Return True while a condition stands: `patience` wrong values in a row raise it, `clear` others end it."""
    stands = bool(memory.setdefault("stands", False))
    memory["row"] = 0 if wrong == stands else memory.get("row", 0) + 1
    if memory["row"] >= (clear if stands else patience):
        memory.update(stands=not stands, row=0)
    return bool(memory["stands"])


def watched(memory: Memory, reading: Sample, interval_s: float) -> tuple[float, bool]:
    """Return the observed seconds since the last look, and whether the look comes after a gap.

    In a gap the supervisor, the job or the machine may have been frozen: it counts as one interval.
    """
    passed_s = reading.at_s - memory.get("at_s", reading.at_s)
    usual_s = max(interval_s, memory.get("pace_s", 0.0))
    memory.update(at_s=reading.at_s, pace_s=max(0.0, passed_s))
    is_gap = passed_s > LATE * usual_s or passed_s < 0
    return (interval_s if is_gap else passed_s), is_gap


def progress_of(reading: Sample) -> float | None:
    """Return the progress of a training, None where it is not known."""
    done = reading.progress
    return done if reading.there and done is not None and math.isfinite(done) else None


def lasting(seconds: float) -> str:
    """Return `95 s`, `12 min`, `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def sized(size: float) -> str:
    """Return `512 B`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
