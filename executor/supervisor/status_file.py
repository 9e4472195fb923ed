"""watch.json: the status of a job, written by its supervisor."""

from __future__ import annotations

import math
import os
import time

from executor.monitoring import eta
from executor.store import runs
from executor.store.log_writer import timestamp
from executor.supervisor.job_status import CheckpointStatus, JobStatus, MonitorStatus
from executor.system import procfs
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.eta import Progress
    from executor.monitoring.model import Memory
    from executor.monitoring.monitor import MonitorState
    from executor.monitoring.scheduler import MonitorScheduler
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.supervisor.job_status import AlertStatus

MOST_METRICS = 12


class StatusFile:
    """The status of one job, over all its runs."""

    def __init__(self, context: RunContext, task: Task) -> None:
        self._context = context
        self._task = task
        self._began = timestamp(time.time())
        self.began_s = time.monotonic()
        self.run = ""
        self.state = "starting"
        self.reason = ""
        self.restarts = 0
        self.paces: dict[str, Memory] = {}
        self.start: dict[str, Any] | None = None

    def begin(self, run: str, began_s: float, *, state: str) -> None:
        """Begin the status of another run."""
        self.run, self.began_s, self.state = run, began_s, state
        self._began = timestamp(time.time() - (time.monotonic() - began_s))

    def record_progress(self, scheduler: MonitorScheduler) -> None:
        """Record the progress of each monitor that reads steps."""
        for one in scheduler.watched:
            reading = one.reading
            if reading.progress is not None and one.monitor.kind in ("progress", "metrics"):
                source = "stdout" if one.monitor.kind == "progress" else f"monitor {one.monitor.name}"
                memory = self.paces.setdefault(source, {})
                eta.record(memory, now_s=reading.at_s, done=reading.progress, total=reading.total, source=source)

    def progress(self) -> Progress | None:
        """Return the progress of the best source, None before any: one that knows the end, then a monitor."""
        known = [one for one in map(eta.estimate, self.paces.values()) if one]
        known.sort(key=lambda one: (one.total is None, one.source == "stdout"))
        return known[0] if known else None

    def reached(self) -> float | None:
        """Return the steps done, None when they are unknown."""
        progress = self.progress()
        return progress.done if progress else None

    def write(self, scheduler: MonitorScheduler, alerts: tuple[AlertStatus, ...]) -> None:
        """Write watch.json, with every text masked; MachineError when the disk refuses."""
        now_s, now = time.monotonic(), time.time()

        def clock(at_s: float | None) -> str:
            return timestamp(now - (now_s - (at_s or 0.0)))

        progress, saved = self.progress(), _checkpoints(scheduler.watched)
        status = JobStatus(
            task_id=self._task.task_id,
            step=self._task.step.number,
            title=self._task.title,
            run=self.run,
            state=self.state,
            reason=self.reason,
            pid=os.getpid(),
            boot=procfs.boot_id(),
            written_s=now_s,
            written=timestamp(now),
            began_s=self.began_s,
            began=self._began,
            progress=progress and progress.replace(changed=clock(progress.changed_s)),
            metrics=_metrics(scheduler.watched),
            checkpoints=saved and saved.replace(changed=clock(saved.changed_s)),
            alerts=alerts,
            monitors=tuple(map(_monitor, scheduler.watched)),
            restarts=self.restarts,
            start=self.start,
        )
        runs.write_watch(self._context.root, self._task.task_id, self._context.masker.mask_all(status.to_json()))


def _metrics(monitors: list[MonitorState]) -> dict[str, float | str]:
    """Return the newest numbers; one that is not finite as text, because JSON has none."""
    found: dict[str, float | str] = {}
    for one in monitors:
        if one.monitor.kind == "metrics":
            for name, value in one.reading.values.items():
                found.setdefault(name, value if math.isfinite(value) else str(value))
    return dict([*found.items()][:MOST_METRICS])


def _checkpoints(monitors: list[MonitorState]) -> CheckpointStatus | None:
    for one in monitors:
        values = one.reading.values
        if one.monitor.kind == "checkpoints" and values.get("count"):
            saved_s = one.reading.at_s - values.get("age_s", 0.0)
            return CheckpointStatus(int(values["count"]), one.reading.newest, saved_s, int(values.get("bytes", 0)))
    return None


def _monitor(one: MonitorState) -> MonitorStatus:
    return MonitorStatus(
        name=one.monitor.name,
        kind=one.monitor.kind,
        interval_s=one.monitor.interval_s,
        looked_s=one.looked_s,
        there=one.reading.there,
        text=one.reading.text,
        troubled=one.troubled,
        blind="; ".join(f"{key}: {why}" for key, why in one.unseen.items()),
    )
