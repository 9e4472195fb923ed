"""What the checks of a step write is told from what its MAIN made: it is no evidence, in no later round either."""

from __future__ import annotations

import json
import os

from executor.engine.main import main_folder
from executor.runners.evidence_before import looked, record_of
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.task import Task

FILE = "before_checks.json"


def begin(context: RunContext, task: Task) -> None:
    """Record what there is where evidence is looked for, before the first check; a record that is there stays."""
    globs = _globs(context, task)
    path = os.path.join(main_folder(context, task), FILE)
    if not globs or os.path.exists(path):
        return
    from executor.checks import evidence

    found = looked(lambda: evidence.look(globs), globs)
    files.replace(path, json.dumps(found).encode("utf-8", "surrogateescape"))


def end(context: RunContext, task: Task) -> None:
    """Note in the record of what there was before MAIN what has come since the first check."""
    path = os.path.join(main_folder(context, task), FILE)
    was, globs = safe_open.read_record(path), _globs(context, task)
    if not (was and globs):
        return
    from executor.checks import evidence

    record = record_of(context, task, main_folder(context, task))
    context.evidence[record] = looked(lambda: evidence.taken_over(record, was, evidence.look(globs)), globs)
    os.unlink(path)


def _globs(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return where evidence is looked for, nothing when there is no record of it."""
    from executor.checks import evidence

    return evidence.globs(task.step) if record_of(context, task, main_folder(context, task)) else ()
