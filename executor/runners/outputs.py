"""The end of a run: its outputs and its exit code."""

from __future__ import annotations

import os

from executor.runners.command import line_ends_hint
from executor.system import launcher
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX

if TYPE_CHECKING:
    from typing import Any

    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import ProcessResult
    from executor.system.run_records import Exit

PROGRESS_TAIL = 64 * 1024  # bytes at the end of stdout that are searched for lines other than progress
CAUSE_TAIL = 512 * 1024  # bytes at the end of each output that are searched for the cause of a failure


def outputs(context: RunContext, task: Task, folder: str, end: Exit) -> dict[str, Any]:
    """Return the ends of a run's outputs as fields of Run; `long_stdout` and `long_stderr` are empty after exit 0."""
    stdout, stderr = (os.path.join(folder, name) for name in ("stdout.log", "stderr.log"))
    far_stdout, far_stderr = (context.tail(path, CAUSE_TAIL) if end.exit_code else "" for path in (stdout, stderr))
    errors = (far_stderr, line_ends_hint(context, task, end))
    return {
        "stdout": _without_progress(context.tail(stdout, PROGRESS_TAIL)),
        "stderr": context.tail(stderr),
        "output_file": context.relative(stdout),
        "long_stdout": far_stdout,
        "long_stderr": "\n".join(filter(None, errors)),
    }


def _without_progress(text: str) -> str:
    """Return the end of an output without the lines of progress."""
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(PROGRESS_PREFIX))
    return kept.encode("utf-8", "replace")[-OUTPUT_TAIL:].decode("utf-8", "replace")


def agree(written: Exit, ended: ProcessResult) -> bool:
    """Return True when record and kernel have the same exit code, or the kernel has none."""
    if ended.exit_code is None and not ended.signal:
        return True
    return ended.exit_code == (written.exit_code if written.ran else launcher.NOT_RELEASED)


def exit_text(end: Exit) -> str:
    """Return `exit 3`, `killed by signal 9` or `that nothing ran`."""
    if not end.ran:
        return "that nothing ran"
    return f"exit {end.exit_code}" if end.exit_code is not None else f"killed by signal {end.signal}"
