"""The rule nan: NaN and Inf in metrics."""

from __future__ import annotations

import math

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules import columns
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.columns import Row
    from executor.monitoring.rules.registry import Args


def nan(args: Args, memory: Memory, reading: Sample) -> RuleResult:
    """Stand at the first NaN or Inf, until `clear` finite values came in each column that had one.

    Without `metric` losses count, of training and validation. Without any loss all columns count, except those in which
    a healthy training may write NaN: see `columns.may_be_odd`.
    """
    rows = [row for row in reading.rows or _newest(memory, reading) if row]
    memory["rows"] = memory.get("rows", False) or bool(reading.rows)
    met = [_met(args, memory, row) for row in rows]
    if memory.get("bad") or any(met):
        return RuleResult(stands=True, text=memory["text"]) if rows else NO_OPINION
    return WELL if rows else NO_OPINION


def _newest(memory: Memory, reading: Sample) -> tuple[Row, ...]:
    """Return the newest values as a row, for a probe without rows."""
    return () if memory.get("rows") else (reading.values,)


def _met(args: Args, memory: Memory, row: Row) -> bool:
    """Record a row; return True when a value in it is NaN or Inf."""
    bad: dict[str, int] = memory.setdefault("bad", {})
    memory["loss"] = memory.get("loss", False) or any(map(columns.must_be_finite, row))
    wanted = [name for name in row if _wanted(args, name, has_loss=memory["loss"])]
    odd = [name for name in wanted if not _is_blank(memory, row, name) and _is_odd(name, row[name])]
    for name in [name for name in bad if columns.number(row, name) is not None]:
        bad[name] += 1
        if bad[name] >= args["clear"]:
            del bad[name]
    if odd and not bad:  # people look for the first one
        memory["text"] = ", ".join(f"{name} is {row[name]}" for name in odd[:3]) + columns.place_of(row)
    bad.update(dict.fromkeys(odd, 0))
    return bool(odd)


def _wanted(args: Args, name: str, *, has_loss: bool) -> bool:
    if args["metric"]:
        return bool(name == args["metric"])
    return columns.must_be_finite(name) or not (has_loss or columns.may_be_odd(name))


def _is_odd(name: str, value: float) -> bool:
    return math.isnan(value) if columns.overflows(name) else not math.isfinite(value)


def _is_blank(memory: Memory, row: Row, name: str) -> bool:
    """Return True for a NaN that means "not evaluated at this step".

    Such is a column of an evaluation that began with NaN beside a finite loss of the training.
    """
    if not columns.is_validation(name):
        return False
    beside = any(columns.is_loss(one) and columns.number(row, one) is not None for one in row)
    began = memory.setdefault("began_blank", {})
    return bool(began.setdefault(name, math.isnan(row[name]) and beside)) and math.isnan(row[name])
