"""The checkpoints that a run has saved since it began."""

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


def saved_checkpoints(context: RunContext, task: Task) -> dict[str, list[int]]:
    """Return inode, size and mtime of each checkpoint of a task, by path."""
    return {one.path: _stamp(one) for one in _saved(context, task)}


def has_saved_nothing(context: RunContext, task: Task, held: Mapping[str, list[int]]) -> bool:
    """Return True when there is a checkpoint to resume from and none is newer than those in `held`."""
    new = [one for one in _saved(context, task) if held.get(one.path) != _stamp(one)]
    return not any(one.bytes and is_whole(one.path) for one in new) and bool(newest_checkpoint(context, task))


def _saved(context: RunContext, task: Task) -> list[Saved]:
    pattern = task.step.checkpoints
    record = record_of(context, task, context.folder(task, "main.1"))
    return candidates(context.root, pattern, 0, record) if pattern else []


def _stamp(one: Saved) -> list[int]:
    return [one.inode, one.bytes, one.changed_ns]
