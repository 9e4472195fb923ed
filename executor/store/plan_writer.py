"""Writes a plan file of another tool: lock, read again, change one mark, replace, verify or restore."""

from __future__ import annotations

import os

from executor.errors import SpecError
from executor.plan.formats.model import MarkError
from executor.store import plan_files, spec_file
from executor.system import files, locks
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.model import Files, PlanTask, TaskMark
    from executor.store.plan_files import PlanFile

TRIES = 5


def write_mark(path: str, lock: str, name: str, mark: TaskMark) -> PlanTask:
    """Write a mark at the task of this id and return the task as it then stands there.

    MarkError when the plan has no place for the mark, or the task may not be marked: nothing is written then.
    SpecError when the file is changed by another program again and again, or does not read back as it was written: the
    bytes of before are then put back.
    """
    with locks.ShortLock(lock):
        for _ in range(TRIES):
            plan = plan_files.load(path)
            task = find(plan, name)
            changed = plan.format.write(plan.name, plan.files, task, mark)
            if not changed:
                return task
            if replace_all(plan, changed):
                return _verified(path, plan, changed, task)
    raise SpecError(f"{path} is being changed by another program; save it there, then run the command again")


def find(plan: PlanFile, name: str) -> PlanTask:
    """Return the one task with this id; MarkError when there is none, more than one, or one that is ambiguous."""
    same = [task for task in plan.document.tasks if task.id == name]
    if not same:
        raise MarkError(f"{plan.path} has no task {name}")
    if len(same) > 1:
        lines = ", ".join(str(task.line) for task in same)
        raise MarkError(f"{plan.path} has {name} {len(same)} times, in lines {lines}: give each its own id")
    if same[0].ambiguous:
        raise MarkError(f"{plan.path}:{same[0].line}: {name} is not marked: {same[0].ambiguous}")
    return same[0]


def replace_all(plan: PlanFile, changed: Files) -> bool:
    """Replace the files in their order; False, and nothing more is written, when one is no longer as it was read."""
    for name, data in changed.items():
        target = os.path.realpath(os.path.join(plan.folder, name))
        if name in plan.files:
            if not spec_file.replace_unchanged(target, plan.files[name], data):
                return False
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            files.replace(target, data, mode=0o644, durable=True)
    return True


def _verified(path: str, before: PlanFile, changed: Files, task: PlanTask) -> PlanTask:
    """Return the task as it reads now; put the bytes of before back when another task reads otherwise than it did."""
    after = plan_files.load(path)
    others = [(one.id, one.nth, one.state) for one in before.document.tasks if one.id != task.id]
    now = [(one.id, one.nth, one.state) for one in after.document.tasks if one.id != task.id]
    related = {one.parent for one in before.document.tasks if one.id == task.id}
    strange = [one for one, other in zip(others, now, strict=False) if one != other and one[0] not in related]
    if len(others) != len(now) or strange:
        for name in changed:
            if name in before.files:
                files.replace(os.path.realpath(os.path.join(before.folder, name)), before.files[name], durable=True)
        raise SpecError(
            f"{path}: a mark for {task.id} would change how {strange[:1] or 'other tasks'} reads; not written"
        )
    return next(one for one in after.document.tasks if one.id == task.id)
