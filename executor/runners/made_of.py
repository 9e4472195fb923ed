"""The parts of a passed task for its line of the log: digest parts, judges, files."""

from __future__ import annotations

import json
import os

from executor.store import fingerprint_recipes, input_files, runs
from executor.store.changes import KEPT, MOST_NAMED, outputs_digest
from executor.store.fingerprint import fingerprint_parts
from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.model import Step
    from executor.store.context import RunContext
    from executor.store.fingerprint_recipes import Fingerprint
    from executor.store.task import Task

    Files = Mapping[str, Mapping[str, str]]


def as_recorded(context: RunContext, task: Task) -> dict[str, Any]:
    """Return the fields of StepPassed on the parts of MAIN, its judges and its outputs."""
    judge = fingerprint_parts(fingerprint_recipes.judges(task.step, strict=context.strict))
    made = _made(context, task)
    left = _left(context, task.step)
    parts = {**(made.parts if made else {}), **judge.parts}
    if left:
        parts["outputs"] = outputs_digest(left)
    found = {**(made.files if made else {}), **({"outputs": left} if left else {})}
    return {"judged_by": judge.digest, "parts": parts, "files": _named(context, task.task_id, found)}


def note_task(context: RunContext, task: Task, run: str) -> None:
    """Write the record of a task before a run of its MAIN, for an executor that adopts the run."""
    made = context.made.get(task.digest)
    body: dict[str, object] = {"step": task.step.number, "digest": task.digest, "run": run}
    if context.source.plan:
        body["plan"] = context.source.plan
    if made:
        body["made"] = {"parts": made.parts, "files": made.files}
    runs.write_task(context.root, task.task_id, body)


def _made(context: RunContext, task: Task) -> Fingerprint | None:
    """Return the parts of the task's digest: from memory, its record, or computed anew when the digest is the same."""
    known = context.made.get(task.digest)
    if known or fingerprint_recipes.number_of(task.digest) != fingerprint_recipes.NEWEST:
        return known
    if runs.is_job(context.root, task.task_id):
        return _recorded(runs.read_job(context.root, task.task_id), task.digest)
    now = context.make(task.step, task.runner)
    return now if now.digest == task.digest else _recorded(runs.read_task(context.root, task.task_id), task.digest)


def _recorded(record: dict[str, Any], digest: str) -> Fingerprint | None:
    """Return the parts of a digest from a record, None when the record is of another digest."""
    body = record.get("made")
    if record.get("digest") != digest or not isinstance(body, dict):
        return None
    parts, found = body.get("parts"), body.get("files")
    return (
        fingerprint_recipes.Fingerprint(digest, parts, found)
        if isinstance(parts, dict) and isinstance(found, dict)
        else None
    )


def _left(context: RunContext, step: Step) -> dict[str, str]:
    globs = step.main.outputs if step.main else ()
    return input_files.recorded(context.root, globs, context.sources) if globs else {}


def _named(context: RunContext, task_id: str, found: Files) -> dict[str, Any] | None:
    """Return the files that fit into a line of the log; a file beside the runs of the task has all of them."""
    if any(len(rows) > MOST_NAMED for rows in found.values()):
        folder = files.private_folder(os.path.join(context.root, runs.JOBS, task_id))
        files.replace(os.path.join(folder, KEPT), json.dumps(found).encode())
    return {kind: dict(rows) for kind, rows in found.items() if len(rows) <= MOST_NAMED} or None
