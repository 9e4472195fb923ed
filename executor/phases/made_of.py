"""What a task that passes was made of, for its line of the log."""

from __future__ import annotations

import json
import os

from executor import files, inputs, jobs, recipes
from executor.changes import KEPT, MOST_NAMED, outputs_digest
from executor.digests import of_parts
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.bench import Bench, Task
    from executor.recipes import Made
    from executor.steps import Step

    Files = Mapping[str, Mapping[str, str]]


def as_recorded(bench: Bench, task: Task) -> dict[str, Any]:
    """Return what StepPassed says of what was done, what judged it, and what it left."""
    judge = of_parts(recipes.judges(task.step, strict=bench.strict))
    made = _made(bench, task)
    left = _left(bench, task.step)
    parts = {**(made.parts if made else {}), **judge.parts}
    if left:
        parts["outputs"] = outputs_digest(left)
    found = {**(made.files if made else {}), **({"outputs": left} if left else {})}
    return {"judged_by": judge.digest, "parts": parts, "files": _named(bench, task.task_id, found)}


def note_task(bench: Bench, task: Task, run: str) -> None:
    """Write the task's record before a run of its MAIN: an executor that adopts the run knows what it is made of."""
    made = bench.made.get(task.digest)
    body: dict[str, object] = {"step": task.step.number, "digest": task.digest, "run": run}
    if made:
        body["made"] = {"parts": made.parts, "files": made.files}
    jobs.write_task(bench.root, task.task_id, body)


def _made(bench: Bench, task: Task) -> Made | None:
    """Return what the task's digest is made of: known since its start, as a job's record has it, or still the same."""
    known = bench.made.get(task.digest)
    if known or recipes.number_of(task.digest) != recipes.NEWEST:
        return known
    if jobs.is_job(bench.root, task.task_id):
        return _recorded(jobs.read_job(bench.root, task.task_id), task.digest)
    now = bench.make(task.step, task.runner)
    return now if now.digest == task.digest else _recorded(jobs.read_task(bench.root, task.task_id), task.digest)


def _recorded(record: dict[str, Any], digest: str) -> Made | None:
    """Return what a record says that a digest is made of, None where it tells of another digest or of nothing."""
    body = record.get("made")
    if record.get("digest") != digest or not isinstance(body, dict):
        return None
    parts, found = body.get("parts"), body.get("files")
    return recipes.Made(digest, parts, found) if isinstance(parts, dict) and isinstance(found, dict) else None


def _left(bench: Bench, step: Step) -> dict[str, str]:
    globs = step.main.outputs if step.main else ()
    return inputs.recorded(bench.root, globs, bench.sources) if globs else {}


def _named(bench: Bench, task_id: str, found: Files) -> dict[str, Any] | None:
    """Return as many files as a line of the log can name; all of them are kept beside the task's runs."""
    if any(len(rows) > MOST_NAMED for rows in found.values()):
        folder = files.private_folder(os.path.join(bench.root, jobs.JOBS, task_id))
        files.replace(os.path.join(folder, KEPT), json.dumps(found).encode())
    return {kind: dict(rows) for kind, rows in found.items() if len(rows) <= MOST_NAMED} or None
