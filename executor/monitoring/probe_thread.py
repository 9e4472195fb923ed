"""Probes in their own thread: one that blocks in the kernel does not block the supervisor."""

from __future__ import annotations

import os
import time

from executor.monitoring import alerts
from executor.monitoring.liveness import with_signs
from executor.monitoring.model import Sample, options_of
from executor.monitoring.probes.log import OWN
from executor.monitoring.probes.paths import nearest
from executor.monitoring.probes.registry import PROBES
from executor.system.records import TYPE_CHECKING
from executor.system.regex_safety import is_linear

if TYPE_CHECKING:
    from threading import Semaphore
    from typing import Any

    from executor.monitoring.model import Monitor, ProbeContext
    from executor.monitoring.monitor import MonitorState

LATE_S = 30.0


class ProbeThread:
    """A thread for probes: when one blocks in the kernel, another thread goes on with the rest."""

    def __init__(self, waker: int) -> None:
        self._waker = waker
        self._asked: list[tuple[MonitorState, ProbeContext]] = []
        self._answers: list[tuple[MonitorState, Sample]] = []
        self._at: MonitorState | None = None
        self._at_s = 0.0
        self._turn = 0
        self._wake: Semaphore | None = None

    def look(self, watched: list[MonitorState], job: ProbeContext) -> None:
        """Queue these looks."""
        self._asked += [(one, job) for one in watched]
        if self._wake is None:
            self._wake = self._begin()
        self._wake.release()

    def answers(self) -> list[tuple[MonitorState, Sample]]:
        """Return the samples taken since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def leave_late_one(self, now_s: float) -> None:
        """Mark a probe that does not answer as late, and continue with another thread."""
        late = self._at
        if late is not None and now_s - self._at_s > LATE_S:
            late.troubled = f"no answer for {now_s - self._at_s:.0f} s: is it on a dead mount?"
            self._at = None
            self._wake = self._begin()
            self._wake.release()

    def _begin(self) -> Semaphore:
        from threading import Semaphore, Thread

        self._turn += 1
        wake = Semaphore(0)
        Thread(target=self._serve, args=(self._turn, wake), daemon=True).start()
        return wake

    def _serve(self, turn: int, wake: Semaphore) -> None:
        while turn == self._turn:
            wake.acquire()
            while self._asked and turn == self._turn:
                one, job = self._asked.pop(0)
                self._at_s, self._at = time.monotonic(), one
                reading = probed(one, job)
                if turn == self._turn:
                    self._at = None
                self._answers.append((one, reading))
            if self._waker >= 0:
                os.write(self._waker, b"!")


def probed(one: MonitorState, job: ProbeContext) -> Sample:
    """Return the sample of a probe; an error of the probe becomes a sample with its text."""
    try:
        seen = PROBES[one.monitor.kind](asked(one.monitor), one.memory, job)
        seen = seen if seen.there else seen.replace(text=f"{seen.text}{_near(one.monitor, job)}")
        return with_signs(seen, one.monitor, one.memory, job)
    except Exception as error:  # noqa: BLE001 - any error is reported, and the next look tries again
        return Sample(at_s=job.now_s, there=False, text=f"the probe broke: {type(error).__name__}: {error}")


def _near(monitor: Monitor, job: ProbeContext) -> str:
    """Return `; did you mean X` for a path that does not exist."""
    main = {"metrics": "file", "log": "file", "checkpoints": "path", "disk": "path"}.get(monitor.kind, "")
    pattern = str(options_of(monitor.asks, main).get(main, "")) if main else ""
    return nearest(job.root, pattern) if pattern and pattern not in OWN else ""


def asked(monitor: Monitor) -> Any:
    """Return the options of a probe: a log is searched for the `alert_on` of its monitor.

    With a pattern that may be slow the probe returns its lines, and the main thread searches them under a time limit.
    """
    if monitor.kind != "log":
        return monitor.asks
    asks = options_of(monitor.asks, "file")
    pattern = alerts.match(monitor.alert_on).pattern if monitor.alert_on else str(asks.get("match") or "")
    if not pattern:
        return monitor.asks
    return {**asks, "match": pattern} if is_linear(pattern) else {"file": asks["file"], "hand_out": True}
