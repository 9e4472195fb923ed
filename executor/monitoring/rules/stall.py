"""The rule stall: a training without progress."""

from __future__ import annotations

import re
from binascii import crc32

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules.columns import is_loss
from executor.monitoring.rules.stats import lasting, progress_of, watched
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.columns import Row
    from executor.monitoring.rules.registry import Args

SHOWN = 5
RECENT = 200
LONGEST = 10
HABIT = 100  # a pause that does not come again within so many times its length is forgotten
LEARNED = 3
BUSY_WARMUPS = 6  # warm-ups for a busy job before its first progress: it compiles or loads
FROZEN = "; a process of the job is stopped by a signal, kill -CONT lets it go on"
GREW = 3  # growths of the step after which the file counts as one with steps
KNOWN_ROWS = 64
_CLOCKS = re.compile(
    r"(?i)(^|[^a-z])(time|times|elapsed|eta|since|wait|waited|waiting|timeout|after|in|for|s|ms|sec|secs|seconds"
    r"|min|minutes|h|hours?|uptime|duration|timestamp|ts|date|clock|pid|attempt|retry|heartbeat)($|[^a-z])"
)


def stall(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when no progress came for `times` the slowest recent interval, at least `floor`, of watched time.

    Before three intervals are known the limit is at least `warmup`. While the processes of the job are busy it is at
    least `warmup`, and six times that before the first progress: a silent evaluation, a slow save, a compilation. A gap
    between looks, a job that continues after a stop signal, and signs of life elsewhere restart the wait.
    """
    done = progress_of(reading)
    if reading.there and done is None and not reading.rows and not reading.bytes:
        return NO_OPINION
    passed_s, is_gap = watched(memory, reading, args["interval"])
    memory["watched_s"] = memory.get("watched_s", 0.0) + passed_s
    if has_moved(memory, reading, done):
        _moved(memory, done, passed_s, is_gap=is_gap)
        return WELL
    if _lives(memory, reading, is_gap=is_gap):
        memory.update(quiet_s=0.0, idle_s=0.0, stands=False)
        return WELL
    return _waited(args, memory, reading, passed_s)


def _lives(memory: Memory, reading: Sample, *, is_gap: bool) -> bool:
    """Return True when the wait restarts: after a gap, a stop signal, or a sign of life elsewhere."""
    is_thawed = memory.get("frozen", False) and not reading.frozen
    is_seen = reading.signs != memory.get("signs", reading.signs)
    memory.update(frozen=reading.frozen, signs=reading.signs)
    return (is_gap and not memory.get("stands")) or is_thawed or is_seen


def _waited(args: Args, memory: Memory, reading: Sample, passed_s: float) -> RuleResult:
    """Count a look without progress and return the result."""
    stood = memory.get("stands", False)
    if progress_of(reading) is None and "done" in memory and not stood:
        del memory["done"]  # the file is gone: the next progress begins a run
        memory.update(quiet_s=0.0, idle_s=0.0, fresh=True)
    memory["quiet_s"] = memory.get("quiet_s", 0.0) + passed_s
    memory["idle_s"] = memory.get("idle_s", 0.0) + (0.0 if reading.busy else passed_s)
    limit_s, busy_limit_s = _patience_s(args, memory)
    is_over = memory["idle_s"] > limit_s or memory["quiet_s"] > busy_limit_s
    memory["stands"] = stood or is_over
    if not memory["stands"]:
        return WELL
    return _stalled(memory, limit_s if memory["idle_s"] > limit_s else busy_limit_s, is_frozen=reading.frozen)


def _stalled(memory: Memory, limit_s: float, *, is_frozen: bool) -> RuleResult:
    where = f"since {memory['done']:.10g}" if "done" in memory else "yet"
    slowest = f", the slowest interval was {lasting(_slowest_s(memory))}" if memory.get("recent") else ""
    text = f"no progress {where} for {lasting(memory['quiet_s'])} (limit {lasting(limit_s)}{slowest})"
    samples = tuple(memory.get("recent", ())[-SHOWN:])
    return RuleResult(stands=True, text=f"{text}{FROZEN if is_frozen else ''}", samples=samples, notify_only=is_frozen)


def _moved(memory: Memory, done: float | None, passed_s: float, *, is_gap: bool) -> None:
    """Record progress; a step back counts, but not its interval."""
    interval_s = round(memory.get("quiet_s", 0.0) + passed_s, 3)
    before = memory.get("done")
    is_back = done is not None and before is not None and done < before
    if memory.get("moves") and not is_back and not is_gap and not memory.get("fresh"):
        _learn_interval(memory, interval_s)
    memory.update(moves=True, quiet_s=0.0, idle_s=0.0, stands=False)
    if done is not None:
        memory["done"] = done
    memory.pop("fresh", None)


def _learn_interval(memory: Memory, interval_s: float) -> None:
    """Record an interval; that of a stall counts only among the longest, of which the second is used."""
    now_s = memory["watched_s"]
    if not memory.get("stands"):
        memory["recent"] = [*memory.get("recent", ()), interval_s][-RECENT:]
    pauses = [*memory.get("pauses", ()), [interval_s, round(now_s, 3)]]
    alive = [pause for pause in pauses if now_s - pause[1] <= HABIT * pause[0]]
    memory["pauses"] = sorted(alive, reverse=True)[:LONGEST]


def _slowest_s(memory: Memory) -> float:
    pauses = memory.get("pauses", ())
    habit_s = pauses[1][0] if len(pauses) > 1 else 0.0
    return float(max((habit_s, *memory.get("recent", ()))))


def _patience_s(args: Args, memory: Memory) -> tuple[float, float]:
    """Return the limits in seconds while the job is idle, and in all."""
    usual_s = float(max(args["floor"], args["times"] * _slowest_s(memory)))
    at_first_s = float(max(usual_s, args["warmup"]))
    is_known = len(memory.get("recent", ())) >= LEARNED and not memory.get("fresh")
    return (usual_s, at_first_s) if is_known else (at_first_s, BUSY_WARMUPS * at_first_s)


# Progress


def has_moved(memory: Memory, reading: Sample, done: float | None) -> bool:
    """Return True when a look shows progress.

    A changed step is progress, forward or back. With the same step new rows are progress: any row in a file whose step
    never grew, else rows of a loss with a step and rows with new values, clocks left out. So a line that a hung process
    repeats is no progress. Bytes count where there was neither a step nor a row.
    """
    before = memory.get("done")
    if done is not None and done != before:
        memory["grew"] = memory.get("grew", 0) + (before is not None and done > before)
        _learn_rows(memory, reading.rows)
        return True
    if reading.rows:
        memory["rows"] = True
        return _any_news(memory, reading.rows)
    return bool(reading.bytes) and done is None and before is None and not memory.get("rows")


def _any_news(memory: Memory, rows: tuple[Row, ...]) -> bool:
    if memory.get("grew", 0) < GREW:
        return True
    has_loss = any("step" in row and any(map(is_loss, row)) for row in rows)
    return _learn_rows(memory, rows) or has_loss


def _learn_rows(memory: Memory, rows: tuple[Row, ...]) -> bool:
    """Record the values of the newest rows; return True when a row has new ones."""
    known = memory.get("known", [])
    marks = dict.fromkeys(_checksum(row) for row in rows[-KNOWN_ROWS:])
    new = [one for one in marks if one not in known]
    memory["known"] = [*known, *new][-KNOWN_ROWS:]
    return bool(new)


def _checksum(row: Row) -> int:
    """Return a checksum of a row without its clocks."""
    cells = (f"{name}={value:.6g}" for name, value in sorted(row.items()) if not _CLOCKS.search(name))
    return crc32(" ".join(cells).encode("utf-8", "replace"))
