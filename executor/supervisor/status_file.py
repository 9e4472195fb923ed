"""What a supervisor leaves for whoever looks: watch.json, and its own memory."""

from __future__ import annotations

import math
import os
import time

from executor.monitoring import eta
from executor.store import runs
from executor.store.log_writer import timestamp
from executor.system import procfs
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory
    from executor.monitoring.scheduler import MonitorScheduler
    from executor.store.context import RunContext, Task

MOST_METRICS = 12


class StatusFile:
    """A job as it is seen: its state, its progress, its last numbers."""

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
        """Another run is watched from now on."""
        self.run, self.began_s, self.state = run, began_s, state
        self._began = timestamp(time.time() - (time.monotonic() - began_s))

    def note(self, rota: MonitorScheduler) -> None:
        """Take in how far the monitors saw the training come."""
        for one in rota.watched:
            reading = one.reading
            if reading.progress is not None and one.monitor.kind in ("progress", "metrics"):
                source = "stdout" if one.monitor.kind == "progress" else f"monitor {one.monitor.name}"
                memory = self.paces.setdefault(source, {})
                eta.note(memory, now_s=reading.at_s, done=reading.progress, total=reading.total, source=source)

    def progress(self) -> dict[str, Any] | None:
        """Return the best that is known of progress: one that knows its end before one that does not."""
        known = [told for told in map(eta.told, self.paces.values()) if told]
        known.sort(key=lambda told: (told["total"] is None, told["source"] == "stdout"))
        return known[0] if known else None

    def reached(self) -> float | None:
        """Return how far the training came, None when nobody knows."""
        progress = self.progress()
        return float(progress["done"]) if progress else None

    def write(self, rota: MonitorScheduler, alerts: list[dict[str, Any]]) -> None:
        """Leave all of it, whole."""
        now_s, now = time.monotonic(), time.time()
        body = {
            "v": 1,
            "task_id": self._task.task_id,
            "step": self._task.step.number,
            "title": self._task.title,
            "run": self.run,
            "state": self.state,
            "reason": self.reason,
            "pid": os.getpid(),
            "boot": procfs.boot_id(),
            "written_s": now_s,
            "written": timestamp(now),
            "began_s": self.began_s,
            "began": self._began,
            "progress": self._dated(self.progress(), now_s, now),
            "metrics": _metrics(rota),
            "checkpoints": self._dated(_checkpoints(rota), now_s, now),
            "alerts": alerts,
            "monitors": [_monitor(one) for one in rota.watched],
            "restarts": self.restarts,
            "start": self.start,
        }
        runs.write_watch(self._context.root, self._task.task_id, self._context.masker.mask_all(body))

    def _dated(self, told: dict[str, Any] | None, now_s: float, now: float) -> dict[str, Any] | None:
        """Add the wall clock to a monotonic time, for people."""
        return told and {**told, "changed": timestamp(now - (now_s - told["changed_s"]))}


def _metrics(rota: MonitorScheduler) -> dict[str, float | str]:
    """Return the newest numbers; NaN, which JSON does not know, as text."""
    found: dict[str, float | str] = {}
    for one in rota.watched:
        if one.monitor.kind == "metrics":
            for name, value in one.reading.values.items():
                found.setdefault(name, value if math.isfinite(value) else str(value))
    return dict([*found.items()][:MOST_METRICS])


def _checkpoints(rota: MonitorScheduler) -> dict[str, Any] | None:
    for one in rota.watched:
        values = one.reading.values
        if one.monitor.kind == "checkpoints" and values.get("count"):
            return {
                "count": int(values["count"]),
                "newest": one.reading.newest,
                "changed_s": one.reading.at_s - values.get("age_s", 0.0),
                "bytes": int(values.get("bytes", 0)),
            }
    return None


def _monitor(one: Any) -> dict[str, Any]:
    return {
        "name": one.monitor.name,
        "kind": one.monitor.kind,
        "interval_s": one.monitor.interval_s,
        "looked_s": one.looked_s,
        "there": one.reading.there,
        "text": one.reading.text,
        "troubled": one.troubled,
        "blind": "; ".join(f"{key}: {why}" for key, why in one.unseen.items()),
    }
