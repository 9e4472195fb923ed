"""Rules for the curve of a loss: divergence, plateau, overfit."""

from __future__ import annotations

from itertools import pairwise

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules import columns
from executor.monitoring.rules.stats import SIGMA, hold, median, noise, rising
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.columns import Row
    from executor.monitoring.rules.registry import Args

SHOWN = 5
REFRESHED_ROWS = 10
BACK, FEW = 0.9, 5  # share of the highest step; steps by which lines of several processes differ
RESTARTS = 3
GIVEN_BACK = 0.3  # of the improvement so far: a warm restart of the learning rate loses less
PARTS, SMOOTHED_PARTS, PART_ROWS = 20, 5, 50
CHANCE = 2.5  # standard deviations of the smoothed level: a smaller change is noise
NEAR, UNSURE = 0.05, 0.03  # of the best: farther above it, or with more noise, there is no opinion
FELL = 0.01
JUDGED = 40  # evaluations kept
KNOWN = 10  # evaluations after which their noise is known
SURE = 5.0


# Divergence


def divergence(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when `patience` rows in a row are far above the lowest median of the last `window` rows."""
    name = columns.train_column(args, memory, reading.rows)
    rows = [(row, value) for row in reading.rows if (value := columns.number(row, name)) is not None]
    for row, value in rows:
        _begin_anew_at(memory, columns.number(row, "step"))
        _take_loss(args, memory, row, value)
    if not rows or "limit" not in memory:
        return NO_OPINION
    if not memory.get("stands"):
        return WELL
    above = memory["above"]
    usual = f"above {memory['limit']:.4g}, its baseline is {memory['low']:.4g}"
    text = f"{name} is {above[-1]:.4g}{memory['place']}: {usual}"
    return RuleResult(stands=True, text=text, samples=tuple(above))


def _begin_anew_at(memory: Memory, step: float | None) -> None:
    """Forget the baseline when the steps go back as after a restart; not when they do so in each epoch."""
    if step is None:
        return
    top, restarts = memory.get("top", step), memory.get("restarts", 0)
    if step < BACK * top - FEW and restarts < RESTARTS:
        for key in ("window", "rows", "low", "start", "limit", "above", "stands", "row"):
            memory.pop(key, None)
        top, memory["restarts"] = step, restarts + 1
    memory["top"] = max(top, step)


def _take_loss(args: Args, memory: Memory, row: Row, value: float) -> None:
    limit = memory.get("limit")
    wrong = limit is not None and value > limit
    was_well = not memory.get("stands", False)
    hold(memory, wrong=wrong, patience=args["patience"], clear=args["clear"])
    if wrong:
        memory.update(above=[*memory.get("above", ()), value][-SHOWN:], place=columns.place_of(row))
    elif was_well:  # rows over the limit, and rows while it stands, do not change the baseline
        memory["above"] = []
        _learn_loss(args, memory, value)


def _learn_loss(args: Args, memory: Memory, value: float) -> None:
    window = [*memory.get("window", ()), value][-args["window"] :]
    memory.update(window=window, rows=memory.get("rows", 0) + 1)
    if memory["rows"] >= args["warmup"] and (memory["rows"] - args["warmup"]) % REFRESHED_ROWS == 0:
        middle = median(window)
        low, start = min(memory.get("low", middle), middle), memory.get("start", middle)
        above = ((args["times"] - 1) * abs(low), args["spreads"] * noise(window), GIVEN_BACK * (start - low))
        memory.update(low=low, start=start, limit=low + max(above))


# Plateau


def plateau(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when the smoothed metric got no better for `patience` steps, or rows of a file without steps.

    An improvement exceeds `min_delta` of the metric, and the change that noise alone may bring. With too much noise, or
    far above the best value, there is no opinion.
    """
    name = columns.train_column(args, memory, reading.rows)
    rows = [(row, value) for row in reading.rows if (value := columns.number(row, name)) is not None]
    for row, value in rows:
        _go_on(memory, row)
        _smooth(args, memory, value if args["better"] == "lower" else -value)
    if not rows or memory.get("best") is None:
        return NO_OPINION
    still = memory["at"] - memory["best_at"]
    if not memory["can_tell"]:
        return NO_OPINION
    memory["stands"] = still >= args["patience"]
    if not memory["stands"]:
        return WELL
    best = memory["best"] if args["better"] == "lower" else -memory["best"]
    text = f"{name} is not better than {best:.4g} for {still:.10g} steps{columns.place_of(rows[-1][0])}"
    return RuleResult(stands=True, text=text, samples=tuple(value for _, value in rows[-SHOWN:]))


def _go_on(memory: Memory, row: Row) -> None:
    """Count the steps; steps repeated after a restart count again."""
    step = columns.number(row, "step")
    before = memory.get("step")
    passed = 1.0 if step is None else max(0.0, step - before) if before is not None else 0.0
    memory.update(step=step, at=memory.get("at", 0.0) + passed)


def _smooth(args: Args, memory: Memory, value: float) -> None:
    """Collect rows in parts of a twentieth of the patience; the mean of the last five medians is the level."""
    part = [*memory.get("part", ()), value][-PART_ROWS:]
    began = memory.setdefault("part_at", memory["at"])
    memory["part"] = part
    if memory["at"] - began < args["patience"] / PARTS:
        return
    parts = [*memory.get("parts", ()), median(part)][-PARTS:]
    memory.update(parts=parts, part=[], part_at=memory["at"])
    if len(parts) > SMOOTHED_PARTS:
        _compare(args, memory, parts)


def _compare(args: Args, memory: Memory, parts: list[float]) -> None:
    level = sum(parts[-SMOOTHED_PARTS:]) / SMOOTHED_PARTS
    steps = [abs(b - a) for a, b in pairwise(parts)]
    # Of two neighbouring parts the difference has twice the variance of one, the mean of five a fifth.
    by_chance = CHANCE * SIGMA * median(steps) / (2 * SMOOTHED_PARTS) ** 0.5
    best = memory.get("best")
    least = max(args["min_delta"] * abs(level if best is None else best), by_chance)
    if memory.get("stands"):
        least *= 2  # to end an alert takes a clearer improvement than to prevent one
    if best is None or memory["at"] <= args["warmup"] or level < best - least:
        best = level
        memory.update(best=level, best_at=memory["at"])
    memory["can_tell"] = by_chance <= UNSURE * abs(best) and level <= best + max(NEAR * abs(best), 2 * by_chance)


# Overfit


def overfit(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand when the validation metric rises over its best for `patience` evaluations while training improves."""
    train = columns.train_column(args, memory, reading.rows, "train")
    name = columns.validation_column(args, memory, reading.rows)
    evaluated = False
    for row in reading.rows:
        learned, judged = columns.number(row, train), columns.number(row, name)
        if learned is not None:
            memory["learned"] = [*memory.get("learned", ()), learned][-PART_ROWS:]
        if judged is not None:
            _take_evaluation(args, memory, judged)
            evaluated = True
    if not evaluated:
        return NO_OPINION
    if not memory["stands"]:
        return WELL
    text = f"{name} is {memory['judged'][-1]:.4g}, its best was {memory['best']:.4g}, while {train} fell"
    return RuleResult(stands=True, text=text, samples=tuple(memory["judged"][-SHOWN:]))


def _take_evaluation(args: Args, memory: Memory, value: float) -> None:
    learned = memory.pop("learned", None)
    level = median(learned) if learned else memory.get("level")
    judged = [*memory.get("judged", ()), value][-JUDGED:]
    memory.update(level=level, judged=judged)
    if memory.get("best") is None or value < memory["best"]:
        memory.update(best=value, best_level=level)
    unsure = SURE * noise(judged) if len(judged) >= KNOWN else 0.0
    is_over = value > memory["best"] + max(args["min_delta"] * abs(memory["best"]), unsure)
    memory["over"] = [*memory.get("over", ()), value][-args["patience"] :] if is_over else []
    wrong = is_over if memory.get("stands") else _overfits(args, memory)
    hold(memory, wrong=wrong, patience=1, clear=2)


def _overfits(args: Args, memory: Memory) -> bool:
    level, before = memory["level"], memory["best_level"]
    if level is None or before is None or len(memory["over"]) < args["patience"]:
        return False
    return rising(memory["over"]) and level < before - FELL * abs(before)
