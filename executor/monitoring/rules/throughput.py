"""Rules for the pace of a training: checkpoint_age, throughput_drop."""

from __future__ import annotations

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules.columns import number
from executor.monitoring.rules.stats import hold, lasting, median, progress_of, watched
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.registry import Args

SHOWN = 5
CHECKPOINTS = 20
SAME_S = 1.0  # two looks date one checkpoint with a smaller difference
CHANGES = 8  # of progress in a window, at least: fewer would measure the rhythm of the looks
WINDOWS, KNOWN = 50, 5


# Checkpoint age


def checkpoint_age(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when the newest checkpoint is older than `limit`, or than `times` the slowest interval between two.

    With `times` the limit is `warmup` until one interval is known. Gaps between looks, and the time while the job was
    stopped by a signal, do not count.
    """
    age_s = number(reading.values, "age_s")
    if age_s is None:
        return NO_OPINION
    _date(args, memory, reading, age_s)
    seen_s = max(0.0, age_s - memory["unseen_s"])
    limit_s = args["limit"] or _checkpoint_patience_s(args, memory)
    if seen_s <= limit_s:
        return WELL
    what = "no new checkpoint" if memory["count"] else "no checkpoint"
    text = f"{what} for {lasting(age_s)} (limit {lasting(limit_s)})"
    return RuleResult(stands=True, text=text, samples=tuple(memory["between"][-SHOWN:]))


def _date(args: Args, memory: Memory, reading: Sample, age_s: float) -> None:
    """Record the time of the newest checkpoint; a newer one ends an interval, except the first one."""
    last_s = memory.get("at_s", reading.at_s)
    _, is_gap = watched(memory, reading, args["interval"])
    born_s, count = reading.at_s - age_s, _count(reading)
    before_s = memory.get("born_s")
    if before_s is None or born_s > before_s + SAME_S:
        between = list(memory.get("between", ()))
        if before_s is not None and memory["count"]:
            between.append(round(born_s - before_s, 3))
        memory.update(between=between[-CHECKPOINTS:], born_s=born_s, unseen_s=0.0)
    elif is_gap or reading.frozen:
        memory["unseen_s"] += max(0.0, reading.at_s - last_s)
    memory["count"] = count


def _count(reading: Sample) -> float:
    count = number(reading.values, "count")
    return float(reading.there) if count is None else count


def _checkpoint_patience_s(args: Args, memory: Memory) -> float:
    if not memory["between"]:
        return float(max(args["floor"], args["warmup"]))
    return float(max(args["floor"], args["times"] * max(memory["between"])))


# Throughput drop


def throughput_drop(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when `patience` windows in a row were slower than `share` of the median of those before.

    A window begins and ends at a change of progress: a pause of any length is in one window.
    """
    done, last = progress_of(reading), memory.get("done")
    if done is None:
        return NO_OPINION
    passed_s, is_gap = watched(memory, reading, args["interval"])
    memory["done"] = done
    if last is None or is_gap or reading.frozen or done < last:
        memory["open"] = None
        return NO_OPINION
    rate = _rate(args, memory, passed_s, last)
    if rate is None:
        return NO_OPINION
    return _judge_rate(args, memory, rate)


def _rate(args: Args, memory: Memory, passed_s: float, last: float) -> float | None:
    """Return the progress per second of a window that ends now, None before its end."""
    done, window = memory["done"], memory.get("open")
    if window is None:
        memory["open"] = [done, 0.0, 0] if done > last else None
        return None
    window[1] += passed_s
    window[2] += done > last
    if done == last or window[1] < args["window"] or window[2] < CHANGES:
        return None
    memory["open"] = [done, 0.0, 0]
    return float((done - window[0]) / window[1])


def _judge_rate(args: Args, memory: Memory, rate: float) -> RuleResult:
    rates = memory.setdefault("rates", [])
    usual = median(rates) if len(rates) >= KNOWN else None
    is_slow = usual is not None and rate < args["share"] * usual
    stood = memory.get("stands", False)
    stands = hold(memory, wrong=is_slow, patience=args["patience"], clear=args["clear"])
    if is_slow:
        memory["slow"] = [*memory.get("slow", ()), rate][-SHOWN:]
    elif not stood:
        memory.update(slow=[], rates=[*rates, rate][-WINDOWS:])
    if usual is None:
        return NO_OPINION
    slow = tuple(memory["slow"])
    text = f"{rate:.3g} a second, {usual:.3g} before: under {args['share']:.0%} of it"
    return RuleResult(stands=True, text=text, samples=slow) if stands else WELL
