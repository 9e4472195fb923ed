"""The record of the files that evidence globs found before MAIN, which separates new files from old ones."""

from __future__ import annotations

import os
import time

from executor.checks.criteria import wants_fresh
from executor.errors import MachineError
from executor.store import runs
from executor.store.events import WarningRaised
from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.store.context import RunContext
    from executor.store.task import Task

LIMIT_S = 30.0
BEGAN = "began"  # in TEST's folder
FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, the clock of file times


def remember(context: RunContext, task: Task) -> None:
    """Record the files of all globs before a run of MAIN; a later run of the same MAIN only adds new globs."""
    step = task.step
    if not (step.checkpoints or any(map(wants_fresh, step.main.criteria if step.main else ()))):
        return
    from executor.checks import evidence  # most steps have nothing to record

    globs = evidence.globs(step)
    path = _mended(context, evidence.record(context.root, task.task_id, task.digest))
    adds = evidence.begun_before(context.root, task.task_id, task.digest)
    made_before = (
        {} if adds else evidence.read(evidence.newest_record(context.root, step.number, path, context.source.plan))
    )
    tested_ns = _tested_ns(context.folder(task, "test"))
    crowded = looked(
        lambda: evidence.remember(
            path,
            globs,
            row_patterns=evidence.row_globs(step),
            adds=adds,
            made_before=made_before,
            tested_ns=tested_ns,
        ),
        globs,
    )
    context.evidence[path] = files.read(path)
    for glob in crowded:
        many = f"{glob} finds more than {evidence.MOST_NAMES:,} names: the newest are remembered"
        context.log(WarningRaised(message=f"{many}; others count as new by their times"), task)


def note_test(folder: str) -> None:
    """Record in TEST's folder when it began, by the clock of files (nanoseconds)."""
    files.replace(os.path.join(folder, BEGAN), str(time.clock_gettime_ns(FILE_CLOCK)).encode())


def _tested_ns(folder: str) -> int:
    """Return the start of TEST in ns, 0 without a TEST."""
    text = files.read(os.path.join(folder, BEGAN))
    return int(text) if text.isdigit() else 0


def looked(work: Callable[[], Any], globs: tuple[str, ...]) -> Any:
    """Run `work` in a thread, LIMIT_S at most: a dead mount blocks in the kernel."""
    from executor.system.time_limit import run_within

    done = run_within(work, LIMIT_S)
    if done is None:
        raise MachineError(f"no answer in {LIMIT_S:g} s when looking for {', '.join(globs)}: is it on a dead mount?")
    return done


def record_of(context: RunContext, task: Task, folder: str) -> str:
    """Return the path of the record by which a run is judged, empty without one."""
    from executor.checks import evidence

    task_id = os.path.basename(os.path.dirname(folder))
    path = _mended(context, evidence.record(context.root, task_id, runs.digest_of(folder) or task.digest))
    return path if os.path.exists(path) else ""


def _mended(context: RunContext, path: str) -> str:
    """Return the path of a record; restore it when an agent has changed it."""
    kept = context.evidence.get(path)
    if kept and files.read(path) != kept:
        files.replace(path, kept)
    return path
