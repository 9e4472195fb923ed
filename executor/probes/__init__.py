"""The table of probes: what a monitor can look at."""

from __future__ import annotations

from executor.probes.checkpoints import checkpoints
from executor.probes.disk import disk
from executor.probes.gpu import gpu
from executor.probes.log import log
from executor.probes.memory import memory
from executor.probes.metrics import metrics
from executor.probes.process import process
from executor.probes.progress import progress
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.readings import Memory, Place, Reading

    Probe = Callable[[Any, Memory, Place], Reading]

PROBES: Mapping[str, Probe] = {
    "metrics": metrics,
    "checkpoints": checkpoints,
    "progress": progress,
    "process": process,
    "log": log,
    "disk": disk,
    "memory": memory,
    "gpu": gpu,
}
