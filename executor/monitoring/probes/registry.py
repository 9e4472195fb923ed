"""The table of probes by kind of monitor."""

from __future__ import annotations

from executor.monitoring.probes.checkpoints import checkpoints
from executor.monitoring.probes.disk import disk
from executor.monitoring.probes.gpu import gpu
from executor.monitoring.probes.log import log
from executor.monitoring.probes.memory import memory
from executor.monitoring.probes.metrics import metrics
from executor.monitoring.probes.process import process
from executor.monitoring.probes.progress import progress
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext, Sample

    Probe = Callable[[Any, Memory, ProbeContext], Sample]

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
