"""Progress of a training: steps done, pace, estimated end."""

from __future__ import annotations

from itertools import pairwise

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.monitoring.model import Memory

KEPT = 20  # changes of progress used for the estimate


class Progress(Record):
    """The progress of a training.

    `changed_s` is the monotonic time of the last change, `changed` its wall clock. `eta_s` is the estimate of the
    remaining seconds, `basis` its method. `source` is `stdout` or a monitor.
    """

    done: float | None = None
    total: float | None = None
    changed_s: float | None = None
    eta_s: float | None = None
    basis: str = ""
    source: str = ""
    changed: str = ""


def record(memory: Memory, *, now_s: float, done: float, total: float | None, source: str) -> None:
    """Record the steps done; only a change counts. A step back begins a new record."""
    marks = memory.setdefault("marks", [])
    if marks and (done < marks[-1][1] or memory.get("source") != source):
        marks.clear()
    if not marks or done != marks[-1][1]:
        marks.append([now_s, done])
        del marks[: -KEPT - 1]
    memory.update(source=source, total=total if total is not None else memory.get("total"))


def estimate(memory: Memory) -> Progress | None:
    """Return the progress without its wall clock, None before any was recorded.

    The estimate is the remaining steps x the median time of a step: a pause does not change it.
    """
    marks = memory.get("marks") or []
    if not marks:
        return None
    (changed_s, done), total = marks[-1], memory.get("total")
    rates = sorted((later[0] - before[0]) / (later[1] - before[1]) for before, later in pairwise(marks))
    each_s = rates[len(rates) // 2] if rates else None
    eta_s = max(0.0, total - done) * each_s if total and each_s is not None else None
    basis = f"median of the last {len(rates)} intervals" if eta_s is not None else ""
    return Progress(done, total, changed_s, eta_s, basis, memory.get("source", ""))
