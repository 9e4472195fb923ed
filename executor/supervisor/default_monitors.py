"""What is watched in every job, whatever its definitions say."""

from __future__ import annotations

from executor.monitoring.model import Monitor
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import Task

PROGRESS_S = 5.0
CHECKPOINT_S = 2.0


def implied(task: Task) -> tuple[Monitor, ...]:
    """Return what is watched in every job: the progress it prints, and checkpoints that somebody waits for."""
    kinds = {one.kind for one in task.step.background}
    names = {one.name for one in task.step.background}
    found = [] if "progress" in kinds else [Monitor("progress", "progress", asks=True, interval_s=PROGRESS_S)]
    if "checkpoints" not in kinds and task.step.checkpoints:
        found.append(Monitor("checkpoints", "checkpoints", task.step.checkpoints, interval_s=CHECKPOINT_S))
    found = [one.replace(name=f"{one.name} of the job") if one.name in names else one for one in found]
    return tuple(found)
