"""Rules for the resources of a training: disk_hours_left, rss_growth."""

from __future__ import annotations

from itertools import pairwise

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules.columns import number
from executor.monitoring.rules.stats import hold, lasting, median, sized, watched
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.registry import Args

SHOWN = 5
SPACED = 40  # points of a window
WHOLE = 0.9  # of a window must be seen before there is an opinion
LONGER = 4  # times a window, for rare writes
PARTS, BURST_PARTS = 10, 4
SMALL_DISK = 0.05
PATIENCE = 3
CALM = 1.5  # times the limit that ends an alert
SEGMENTS, RISES = 6, 4
CLEAR = 15.0  # a rise of less than this part of the whole is noise
SLOWER = 12  # times a window, for slow leaks
LEAST_RISE = 0.03
LOOKS = 12  # in a window, at least
LOADING_WARMUPS = 6  # warm-ups of a job in which nothing but its memory has moved: it loads


# Disk


def disk_hours_left(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when the disk will be full within `limit` at the rate of the last `window`, or of four windows.

    Stand at once when nothing can be written, or less than `floor` is free: at most a twentieth of a small disk.
    """
    free, total = number(reading.values, "free_bytes"), number(reading.values, "total_bytes")
    refuses = number(reading.values, "writable") == 0
    if free is None and not refuses:
        return NO_OPINION
    free = 0.0 if free is None else free
    left_s = _left_s(args, memory, reading.at_s, free)
    calm = CALM if memory.get("stands") else 1.0
    is_full = refuses or free < calm * _floor(args, memory, total, free)
    wrong = is_full or left_s < calm * args["limit"]
    if not hold(memory, wrong=wrong, patience=1 if is_full else PATIENCE, clear=PATIENCE):
        return WELL
    samples = tuple(size for _, size in memory["seen"][-SHOWN:])
    return RuleResult(stands=True, text=_text(free, left_s, refuses=refuses), samples=samples)


def _text(free: float, left_s: float, *, refuses: bool) -> str:
    if refuses:
        return f"nothing can be written, {sized(free)} free"
    pace = f", full in {lasting(left_s)} at this rate" if left_s < float("inf") else ""
    return f"{sized(free)} free{pace}"


def _floor(args: Args, memory: Memory, total: float | None, free: float) -> float:
    memory["most"] = max(free, memory.get("most", 0.0))
    return float(min(args["floor"], SMALL_DISK * (total or memory["most"])))


def _left_s(args: Args, memory: Memory, at_s: float, free: float) -> float:
    seen = _kept(memory, "seen", [at_s, free], span_s=LONGER * args["window"], each_s=args["window"] / SPACED)
    recent = [point for point in seen if at_s - point[0] <= args["window"]]
    pace = max(_pace(recent, args["window"]), _pace(seen, 0.0 if len(seen) > len(recent) else args["window"]))
    return free / pace if pace > 0 else float("inf")


def _kept(memory: Memory, key: str, point: list[float], *, span_s: float, each_s: float) -> list[list[float]]:
    """Add a point, in the place of the last one when that is near the one before; drop points older than the span."""
    seen = memory.get(key, [])
    if len(seen) > 1 and seen[-1][0] - seen[-2][0] < each_s:
        seen = seen[:-1]
    memory[key] = [one for one in (*seen, point) if point[0] - one[0] <= span_s]
    return list(memory[key])


def _pace(seen: Sequence[Sequence[float]], window_s: float) -> float:
    """Return the bytes used per second, without the worst two fifths of the time: one checkpoint is no trend."""
    span_s = seen[-1][0] - seen[0][0]
    if len(seen) <= PARTS or span_s < WHOLE * window_s:
        return 0.0
    used = [0.0] * PARTS
    for before, after in pairwise(seen):
        used[min(PARTS - 1, int(PARTS * (after[0] - seen[0][0]) / span_s))] += before[1] - after[1]
    bursts = [used[place : place + length] for place in range(PARTS) for length in range(1, BURST_PARTS + 1)]
    worst = max(map(sum, bursts))
    return (sum(used) - worst) / (span_s * (PARTS - BURST_PARTS) / PARTS)


# Memory of the processes


def rss_growth(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when memory is over its lowest level by `share` and grew steadily for a `window`, or for twelve.

    Samples do not count before `warmup`, nor before another monitor has seen a sign of life, for at most six times
    `warmup`: a job that loads grows too. The alert ends when memory is back under the share.
    """
    rss = number(reading.values, "rss_bytes")
    if rss is None or not reading.there:
        return NO_OPINION
    passed_s, _ = watched(memory, reading, args["interval"])
    at_s = memory["watched_s"] = memory.get("watched_s", 0.0) + passed_s
    if at_s < _warm_s(args, memory, reading):
        return NO_OPINION
    window_s = max(args["window"], LOOKS * args["interval"])
    soon = _levels(memory, "seen", [at_s, rss], window_s)
    late = _levels(memory, "long_seen", [at_s, rss], SLOWER * window_s)
    if not soon:
        return NO_OPINION
    base = memory["base"] = min(memory.get("base", soon[0]), *soon)
    is_over = soon[-1] - base > max(args["share"] * base, args["floor"])
    wrong = is_over and (bool(memory.get("stands")) or _climbs(soon) or _climbs(late))
    if not hold(memory, wrong=wrong, patience=PATIENCE, clear=PATIENCE):
        return WELL
    text = f"memory grew from {sized(base)} to {sized(rss)} and grows on"
    return RuleResult(stands=True, text=text, samples=tuple(soon))


def _warm_s(args: Args, memory: Memory, reading: Sample) -> float:
    """Return the watched time at which samples begin to count."""
    is_alive = memory["alive"] = memory.get("alive", False) or reading.signs > 0
    return float(args["warmup"] * (1 if is_alive else LOADING_WARMUPS))


def _levels(memory: Memory, key: str, point: list[float], window_s: float) -> list[float]:
    """Return the medians of six parts of a window, [] before it is full."""
    seen = _kept(memory, key, point, span_s=window_s, each_s=window_s / (2 * SPACED))
    span_s = seen[-1][0] - seen[0][0]
    parts: list[list[float]] = [[] for _ in range(SEGMENTS)]
    if span_s < WHOLE * window_s:
        return []
    for at_s, size in seen:
        parts[min(SEGMENTS - 1, int(SEGMENTS * (at_s - seen[0][0]) / span_s))].append(size)
    return [median(part) for part in parts] if all(parts) else []


def _climbs(levels: Sequence[float]) -> bool:
    """Return True for a steady rise: neither a single step nor a rise that levels off."""
    if not levels:
        return False
    rises = [after - before for before, after in pairwise(levels)]
    grown = levels[-1] - levels[0]
    is_steady = sum(rise > grown / CLEAR for rise in rises) >= RISES and max(rises) <= grown / 2
    goes_on = 2 * (levels[-1] - levels[-3]) >= levels[2] - levels[0]
    return is_steady and goes_on and grown > LEAST_RISE * levels[0]
