"""Masks the files that runs and checks left: in place at equal length, of a result file its JSON strings."""

from __future__ import annotations

import os
from json import loads

from executor.errors import MachineError
from executor.store import runs
from executor.system import files, folders, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.plan.model import Step
    from executor.system.masking import Masker

RESULT = "result.json"
WORDS = ("criteria", "metrics", "met", "evidence", "note", "progress")  # names of ours in a result file


def mask_file(path: str, masker: Masker) -> bool:
    """Mask a regular file in place, a block at a time; tell whether anything in it was masked."""
    if not masker or not os.path.lexists(path):
        return False
    return files.mask_in_place(path, masker.mask_bytes_equal_length)


def mask_result(path: str, masker: Masker, spare: Iterable[str] = ()) -> bool:
    """Mask a result file so that it stays JSON and keeps its numbers; texts in `spare` are public and stay.

    What is no JSON is masked as any file is.
    """
    text = _json_text(path) if masker else None
    if text is None:
        return mask_file(path, masker)
    masked = masker.mask_json(text, (*WORDS, *spare))
    if masked != text:
        files.replace(path, masked.encode("utf-8", "surrogatepass"))
    return masked != text


def mask_task(root: str, task_id: str, masker: Masker, *, spare: Iterable[str] = (), sparing: str = "") -> None:
    """Mask what a task's dead runs and checks wrote, when who watched them died first; `sparing` names a living run."""
    for below, _, names in folders.walk(os.path.join(root, runs.JOBS, task_id)) if masker else ():
        for name in names if not sparing or os.path.basename(below) != sparing else ():
            if name.endswith((".log", ".err")):
                mask_file(os.path.join(below, name), masker)
            elif name == RESULT:
                mask_result(os.path.join(below, name), masker, spare)


def mask_results(root: str, task_id: str, masker: Masker, spare: Iterable[str] = ()) -> bool:
    """Mask the result files of all runs of a task, once they are judged; tell whether anything was masked."""
    found = folders.walk(os.path.join(root, runs.JOBS, task_id)) if masker else ()
    paths = [os.path.join(below, RESULT) for below, _, names in found if RESULT in names]
    return sum(mask_result(path, masker, spare) for path in paths) > 0


def public_names(step: Step) -> tuple[str, ...]:
    """Return what a plan names of a step's results: criteria and metrics, which everybody reads there."""
    criteria = step.main.criteria if step.main else ()
    asked = [one.asks for one in criteria if one.kind in ("metric", "result")]
    named = [one.get("name") if isinstance(one, dict) else one for one in asked]
    return (*(one.text for one in criteria), *(one for one in named if isinstance(one, str)))


def _json_text(path: str) -> str | None:
    """Return the text of a JSON file that is no link, None for all else."""
    if os.path.islink(path):
        return None
    try:
        text = safe_open.read_whole(path).decode("utf-8", "strict")
        loads(text)
    except (OSError, ValueError, RecursionError, MachineError):
        return None
    return text
