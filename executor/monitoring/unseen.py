"""Things that a monitor never saw: any data at all, or the column of a rule."""

from __future__ import annotations

from executor.monitoring.rules.columns import TRAIN, is_loss, is_validation
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from executor.monitoring.model import Monitor, Rule

SHOWN_NAMES = 8
LEAST_S = 120.0
LOOKS = 10
OF_A_LOSS = ("divergence", "plateau")
PACES = ("stall", "throughput_drop")


def grace_s(monitor: Monitor) -> float:
    """Return the time without data after which a monitor is reported: ten looks, two minutes at least."""
    return max(LEAST_S, LOOKS * monitor.interval_s)


def unseen(
    monitor: Monitor, *, there: bool, names: Collection[str], text: str, steps: bool, ended: bool
) -> dict[str, str]:
    """Return the reason for each thing never seen, by monitor or monitor/rule; {} when all was seen.

    `names` are the columns seen, `text` is that of the last sample, `steps` is True after any progress. Columns of an
    evaluation may come late: one that no rule names is missed only when the job has `ended`.
    """
    if not there:
        return {monitor.name: text or "nothing to see"}
    if monitor.kind != "metrics":
        return {}
    found = dict(_columns(monitor, names))
    for rule in monitor.rules:
        missing = _of_rule(rule, names, steps=steps, ended=ended)
        if missing:
            found[f"{monitor.name}/{rule.kind}"] = missing
    return found


def _columns(monitor: Monitor, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the columns that the monitor names and no row has."""
    asks = monitor.asks if isinstance(monitor.asks, dict) else {}
    missing = [name for name in asks.get("columns", ()) if name not in names]
    if asks.get("step") and "step" not in names:
        missing.append(str(asks["step"]))
    if missing:
        yield monitor.name, _no_column(missing, names)


def _of_rule(rule: Rule, names: Collection[str], *, steps: bool, ended: bool) -> str:
    written = [str(rule.args[key]) for key in ("metric", "train") if rule.args.get(key)]
    missing = [name for name in written if name not in names]
    if missing:
        return _no_column(missing, names)
    if rule.kind in OF_A_LOSS and not written and not _has_loss(names):
        return f"no column of a loss{_there_are(names)}; name one with metric:"
    if rule.kind == "overfit" and not rule.args.get("metric") and ended and not _has_loss(names, validation=True):
        return f"no column of a validation loss{_there_are(names)}; name one with metric:"
    return "no step and no row came" if rule.kind in PACES and not steps else ""


def _has_loss(names: Iterable[str], *, validation: bool = False) -> bool:
    return any(name in TRAIN or is_loss(name) for name in names if is_validation(name) == validation)


def _no_column(missing: list[str], names: Collection[str]) -> str:
    near = did_you_mean(missing[0], names)
    return f"no column {', '.join(missing)}{_there_are(names)}{near}"


def _there_are(names: Collection[str]) -> str:
    shown = [name for name in names if name.isprintable()][:SHOWN_NAMES]
    more = ", ..." if len(names) > len(shown) else ""
    return f"; there are {', '.join(shown)}{more}" if shown else ""


def in_note(missed: Iterable[str]) -> str:
    """Return the note of a tick for monitors that saw nothing, empty for none."""
    keys = [*missed]
    return f"saw nothing: {', '.join(keys)}" if keys else ""
