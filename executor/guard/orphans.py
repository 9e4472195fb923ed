"""Orphans of a command or an agent that became children of this process."""

from __future__ import annotations

import time

from executor.system import process, procfs
from executor.system.records import TYPE_CHECKING
from executor.system.signals import signal_process

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 5.0


def end_orphans(before: set[int] | None, is_spared: Callable[[int], bool] = lambda _: False) -> None:
    """Kill the children that this process did not have `before`: they shed their group and their environment.

    `before` is None where children cannot be listed; then nothing is done. `is_spared` is asked with the pid.
    """
    until = time.monotonic() + WAIT_S
    while before is not None and time.monotonic() < until:
        orphans = [pid for pid in (procfs.children() or set()) - before if not is_spared(pid)]
        if not orphans:
            return
        for pid in orphans:
            signal_process(pid, 9)
        process.has_unknown_children()  # this reaps them
        time.sleep(0.005)


def belongs_to_run(pid: int) -> bool:
    """Return True for a process of a run beside the agent: its environment names the run."""
    return any(token.startswith(b"task_") for token in procfs.tokens(pid))
