"""The watch over a living run: progress, size of its output, requests to stop it."""

from __future__ import annotations

import json
import os
import signal

from executor.store import runs
from executor.system import files
from executor.system.file_tail import FileTail
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import RunningProcess

PROGRESS_BYTES = 1 << 16  # of new output that are searched for progress


class RunWatch:
    """Called four times a second: shows progress, stops a run with too much output or on request.

    `follow` reads the output of an agent and returns a reason to stop the run, empty for none.
    """

    def __init__(
        self, context: RunContext, task: Task, folder: str, running: RunningProcess, follow: Callable[[], str] | None
    ) -> None:
        self._context = context
        self._follow = follow
        self._tail = FileTail(os.path.join(folder, "stdout.log"), {}, block_bytes=PROGRESS_BYTES)
        self._folder = folder
        self._running = running
        self._task_id = task.task_id
        main = task.step.main
        self._most = main.max_output if main else 0

    def __call__(self) -> None:
        size = sum(files.size_of(os.path.join(self._folder, name)) for name in ("stdout.log", "stderr.log"))
        if self._most and size > self._most and not self._running.is_stopping:
            self._running.stop(Verdict.FAILED, f"wrote more than max_output ({self._most} bytes) and was stopped")
        self._end_if_asked()
        if self._follow:
            why = self._follow()
            if why and not self._running.stopping:
                self._running.stop(Verdict.FAILED, why)
        else:
            self._read_progress()

    def _end_if_asked(self) -> None:
        """End the run for a `do-tasks stop` of another container, which cannot reach it."""
        grace_s = None if self._running.is_stopping else runs.end_asked(self._context.root, self._task_id)
        if grace_s is not None:
            ladder = ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0))
            self._running.stop(Verdict.CANCELLED, runs.STOPPED, ladder)

    def _read_progress(self) -> None:
        try:
            lines = [line for line in self._tail.newest_lines() if line.startswith(PROGRESS_PREFIX.encode())]
        except OSError:
            return
        if lines:
            self._show(lines[-1])

    def _show(self, line: bytes) -> None:
        try:
            progress = json.loads(line)["progress"]
            self._context.progress(int(progress["done"]), int(progress["total"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return
