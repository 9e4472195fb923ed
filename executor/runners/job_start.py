"""What a job's start waits for, as its supervisor sees it."""

from __future__ import annotations

import time

from executor.store import runs
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext

FIRST_S = 3.0  # most jobs are started by then
LOOK_S = 1.0
UNITS = (("h", 3600), ("min", 60))


class Starting:
    """Shows which criterion a job does not meet yet, what was seen of it, and for how long it is waited for."""

    def __init__(self, context: RunContext, task_id: str) -> None:
        self._context = context
        self._task_id = task_id
        self._next_s = context.now() + FIRST_S

    def look(self) -> None:
        """Look, about once a second, and show it."""
        if self._context.now() < self._next_s:
            return
        self._next_s = self._context.now() + LOOK_S
        start = runs.read_watch(self._context.root, self._task_id).get("start")
        if start:
            one, others = start["unmet"][0], len(start["unmet"]) - 1
            more = f", and {others} more" if others else ""
            what = f"waiting for: {one['criterion']} ({one['got']}; wants {one['expected']}){more}"
            self._context.waits(what, f"at most {span(start['until_s'] - time.monotonic())} more")


def span(seconds: float) -> str:
    """Return a time as people say it: 58 min, 40 s."""
    for unit, length in UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
