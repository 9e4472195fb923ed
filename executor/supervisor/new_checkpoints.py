"""Whether a run that an alert restarted has saved a checkpoint of its own."""

from __future__ import annotations

from executor.monitoring.probes.checkpoints import candidates
from executor.monitoring.probes.complete_checkpoint import is_whole
from executor.runners.background import newest_checkpoint
from executor.runners.evidence_before import record_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.monitoring.probes.checkpoints import Saved
    from executor.store.context import RunContext
    from executor.store.task import Task


def saved_so_far(context: RunContext, task: Task) -> dict[str, list[int]]:
    """Return what the runs of a task have saved: by path inode, size and time, which are only compared."""
    return {one.path: _stamp(one) for one in _saved(context, task)}


def brought_nothing(context: RunContext, task: Task, held: Mapping[str, list[int]]) -> bool:
    """Tell whether there is a checkpoint to go on from, and none that was not there when this run began."""
    new = [one for one in _saved(context, task) if held.get(one.path) != _stamp(one)]
    return not any(one.bytes and is_whole(one.path) for one in new) and bool(newest_checkpoint(context, task))


def _saved(context: RunContext, task: Task) -> list[Saved]:
    pattern = task.step.checkpoints
    record = record_of(context, task, context.folder(task, "main.1"))
    return candidates(context.root, pattern, 0, record) if pattern else []


def _stamp(one: Saved) -> list[int]:
    return [one.inode, one.bytes, one.changed_ns]
