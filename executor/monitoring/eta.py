"""How far a training is, how fast it gets on, when it will be there."""

from __future__ import annotations

from itertools import pairwise

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory

KEPT = 20  # changes of progress that the estimate rests on


def note(memory: Memory, *, now_s: float, done: float, total: float | None, source: str) -> None:
    """Take in how far the training is; only a change counts. A step back is a new beginning."""
    marks = memory.setdefault("marks", [])
    if marks and (done < marks[-1][1] or memory.get("source") != source):
        marks.clear()
    if not marks or done != marks[-1][1]:
        marks.append([now_s, done])
        del marks[: -KEPT - 1]
    memory.update(source=source, total=total if total is not None else memory.get("total"))


def told(memory: Memory) -> dict[str, Any] | None:
    """Return progress as `watch.json` has it but the wall clock, None before any.

    The estimate is remaining steps x the median of the last intervals per step: a pause does not bend it.
    """
    marks = memory.get("marks") or []
    if not marks:
        return None
    (changed_s, done), total = marks[-1], memory.get("total")
    rates = sorted((later[0] - before[0]) / (later[1] - before[1]) for before, later in pairwise(marks))
    each_s = rates[len(rates) // 2] if rates else None
    eta_s = max(0.0, total - done) * each_s if total and each_s is not None else None
    basis = f"median of the last {len(rates)} intervals" if eta_s is not None else ""
    return {
        "done": done,
        "total": total,
        "changed_s": changed_s,
        "eta_s": eta_s,
        "basis": basis,
        "source": memory.get("source", ""),
    }
