"""The table of rules: pure functions of arguments, memory and sample."""

from __future__ import annotations

from executor.monitoring.rules import loss, nonfinite, parse, resources, stall, throughput
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.monitoring.model import Memory, Rule, RuleResult, Sample

    Args = Mapping[str, Any]
    Judge = Callable[[Args, Memory, Sample], RuleResult]


class RuleKind(Record):
    """A row of RULES.

    `defaults` are all its arguments in base units, `units` the row of `parse.UNITS` for each; `short` is the argument
    that `{stall: 6x}` sets; `fits` are the kinds of monitors; `example` shows the YAML. A `floor` of None is FLOOR_S,
    or three looks when these are rarer. `of_kind` are defaults for one kind of monitor.
    """

    judge: Judge
    description: str
    fits: tuple[str, ...]
    short: str
    example: str
    defaults: Mapping[str, Any]
    units: Mapping[str, str]
    of_kind: Mapping[str, Mapping[str, Any]] = {}


RULES: dict[str, RuleKind] = {
    "nan": RuleKind(
        judge=nonfinite.nan,
        description="A metric is NaN or infinite: at once.",
        fits=("metrics",),
        short="metric",
        example="nan, or {nan: loss}",
        defaults={"metric": None, "clear": 10},
        units={"metric": "name", "clear": "rows"},
    ),
    "divergence": RuleKind(
        judge=loss.divergence,
        description="The loss stays far above its own moving baseline.",
        fits=("metrics",),
        short="times",
        example="divergence, or {divergence: {times: 2x, patience: 20}}",
        defaults={
            "times": 1.5,
            "spreads": 6.0,
            "warmup": 20,
            "window": 100,
            "patience": 10,
            "clear": 10,
            "metric": None,
        },
        units={
            "times": "factor",
            "spreads": "spreads",
            "metric": "name",
            **dict.fromkeys(("warmup", "window", "patience", "clear"), "rows"),
        },
    ),
    "plateau": RuleKind(
        judge=loss.plateau,
        description="The smoothed metric got no better for so many steps.",
        fits=("metrics",),
        short="patience",
        example="{plateau: 500}, or {plateau: {metric: accuracy, better: higher, patience: 500}}",
        defaults={"patience": 5000, "min_delta": 0.001, "warmup": 100, "metric": None, "better": "lower"},
        units={"patience": "rows", "min_delta": "portion", "warmup": "rows", "metric": "name", "better": "better"},
    ),
    "stall": RuleKind(
        judge=stall.stall,
        description="No progress for so many times the slowest recent interval.",
        fits=("metrics", "checkpoints", "progress", "log"),
        short="times",
        example="{stall: 6x}, or {stall: {times: 6x, floor: 60s, warmup: 10m}}",
        defaults={"times": 6.0, "floor": None, "warmup": 600.0},
        units={"times": "factor", "floor": "seconds", "warmup": "seconds"},
        of_kind={"checkpoints": {"warmup": 3600.0}},
    ),
    "checkpoint_age": RuleKind(
        judge=throughput.checkpoint_age,
        description="The newest checkpoint is too old: by a time, or by times the slowest interval between two.",
        fits=("checkpoints",),
        short="limit",
        example="{checkpoint_age: 30m}, or {checkpoint_age: 3x}",
        defaults={"limit": 0.0, "times": 3.0, "floor": None, "warmup": 3600.0},
        units={"limit": "seconds", "times": "factor", "floor": "seconds", "warmup": "seconds"},
    ),
    "disk_hours_left": RuleKind(
        judge=resources.disk_hours_left,
        description="The disk will be full within so many hours, or cannot be written.",
        fits=("disk",),
        short="limit",
        example="{disk_hours_left: 4}, or {disk_hours_left: {limit: 4h, floor: 2GB}}",
        defaults={"limit": 7200.0, "floor": 100e6, "window": 1800.0},
        units={"limit": "hours", "floor": "size", "window": "seconds"},
    ),
    "overfit": RuleKind(
        judge=loss.overfit,
        description="The validation loss rises over its best while the training loss falls.",
        fits=("metrics",),
        short="patience",
        example="overfit, or {overfit: {patience: 5, metric: val_loss, train: loss}}",
        defaults={"patience": 5, "min_delta": 0.05, "metric": None, "train": None},
        units={"patience": "rows", "min_delta": "portion", "metric": "name", "train": "name"},
    ),
    "rss_growth": RuleKind(
        judge=resources.rss_growth,
        description="The memory of the processes grows and grows.",
        fits=("process",),
        short="share",
        example="rss_growth, or {rss_growth: {share: 50%, warmup: 5m, window: 10m}}",
        defaults={"share": 0.5, "floor": 50e6, "warmup": 300.0, "window": 600.0},
        units={"share": "growth", "floor": "size", "warmup": "seconds", "window": "seconds"},
    ),
    "throughput_drop": RuleKind(
        judge=throughput.throughput_drop,
        description="Progress is slower than a share of what was usual.",
        fits=("metrics", "progress", "log"),
        short="share",
        example="throughput_drop, or {throughput_drop: {share: 50%, window: 1m, patience: 3}}",
        defaults={"share": 0.5, "window": 60.0, "patience": 3, "clear": 2},
        units={"share": "portion", "window": "seconds", "patience": "rows", "clear": "rows"},
    ),
}


def read_rule(rule: object, *, monitor_kind: str, interval_s: float) -> Rule:
    """Return a rule as written in the definitions: `nan`, {stall: 6x} or {stall: {times: 6x, floor: 60s}}.

    Its arguments are complete and in base units (seconds, bytes, factors, shares of 1); `interval` is the time between
    looks.

    Raises:
        ValueError: an unknown rule or argument, a wrong unit, or a rule that does not fit the monitor.
    """
    return parse.read(RULES, rule, monitor_kind=monitor_kind, interval_s=interval_s)
