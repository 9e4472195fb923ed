"""The watch over a run while it is alive: its progress, the size of its output, requests to stop it."""

from __future__ import annotations

import os
import signal

from executor.store import runs
from executor.system import files
from executor.system.file_tail import FileTail
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX, parse_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import RunningProcess

PROGRESS_BYTES = 1 << 16  # bytes of new output that are searched for progress


class RunWatch:
    """Called four times a second: shows progress; stops a run that wrote too much output, or on request.

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
        self._task = task

    def __call__(self) -> None:
        excess = excess_output(self._folder, self._task)
        if excess and not self._running.is_stopping:
            self._running.stop(Verdict.FAILED, excess)
        self._end_if_asked()
        if self._follow:
            why = self._follow()
            if why and not self._running.is_stopping:
                self._running.stop(Verdict.FAILED, why)
        else:
            self._read_progress()

    def _end_if_asked(self) -> None:
        """End the run for a `do-tasks stop` in another container, which cannot reach its processes."""
        grace_s = None if self._running.is_stopping else runs.end_asked(self._context.root, self._task.task_id)
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
        done, total = parse_progress(line) or (0.0, None)
        if total is not None:
            self._context.progress(int(done), int(total))


def excess_output(folder: str, task: Task) -> str:
    """Return the reason to stop a run whose output exceeds max_output, empty for none."""
    most = task.step.main.max_output if task.step.main else 0
    size = sum(files.size_of(os.path.join(folder, name)) for name in ("stdout.log", "stderr.log"))
    return f"wrote more than max_output ({most} bytes) and was stopped" if most and size > most else ""
