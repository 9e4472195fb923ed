"""Writes a plan file of another tool: lock, read again, change one mark, replace, verify, else restore."""

from __future__ import annotations

import os

from executor.errors import DoTasksError, SpecError
from executor.plan.formats.model import FAILED, OPEN, MarkError, NoLineError
from executor.store import plan_change, plan_files, project
from executor.store.plan_change import FileChange
from executor.system import files, locks
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from executor.plan.formats.addition import NewTask
    from executor.plan.formats.model import Files, PlanDocument, PlanTask, TaskMark
    from executor.store.plan_files import PlanFile

    Beside = Callable[[PlanTask, PlanDocument], list[FileChange]]

TRIES = 5


def write_mark(
    path: str,
    lock: str,
    name: str,
    mark: TaskMark,
    *,
    beside: Beside | None = None,
    side_only: Sequence[str] = (),
    known: PlanFile | None = None,
) -> PlanTask:
    """Write a mark at the task of this id and return the task as it then stands there.

    MarkError when the plan has no place for the mark, or the task may not be marked: nothing is written then.
    SpecError when the file is changed by another program again and again, or does not read back as it was written: the
    bytes of before are then put back. A write that a killed process left half done under this lock is finished first.
    `beside` returns, for the task and the plan behind it, changes of other files that belong to the mark. They are
    written first. For the states of `side_only`, and for a task without a line of its own, they are enough where the
    format has no place for the mark. A `known` plan is not parsed again while its files have the same bytes.
    """
    record = plan_change.record_path(lock)
    with locks.ShortLock(lock):
        plan_change.finish(record)
        for _ in range(TRIES):
            plan = plan_files.load(path, known)
            task = find(plan, name)
            changed = _changed(plan, task, mark, side_only)
            changes = file_changes(plan, changed)
            wanted, document = _read_with(plan, changed, task)
            if beside:
                changes = [*beside(wanted, document), *changes]
            if not changes:
                return task
            if plan_change.write(record, changes):
                return verified(path, record, plan, changes, task, document if _reads_as(changes) else None)
    raise busy(path)


def _changed(plan: PlanFile, task: PlanTask, mark: TaskMark, side_only: Sequence[str]) -> Files:
    """Return the changed files; none for a state of `side_only` that the format has no place for."""
    tried = (mark, mark.replace(state=FAILED)) if mark.state == OPEN else (mark,)  # both open the box
    for one in tried:
        try:
            return plan.format.write(plan.name, plan.files, task, one)
        except NoLineError:
            return {}
        except (KeyError, MarkError) as error:
            refused = error
    if mark.state in side_only:
        return {}
    raise MarkError(str(refused))


def _read_with(plan: PlanFile, changed: Files, task: PlanTask) -> tuple[PlanTask, PlanDocument]:
    """Return a task and the plan as they are read from the changed files."""
    document = plan.format.read(plan.name, {**plan.files, **changed}) if changed else plan.document
    return next((one for one in document.tasks if (one.id, one.nth) == (task.id, task.nth)), task), document


def add_task(path: str, lock: str, new: NewTask) -> PlanTask:
    """Add a task to a plan and return it as it reads there; MarkError when the plan has no place for it."""
    from executor.plan.formats.addition import added

    with locks.ShortLock(lock):
        plan_change.finish(plan_change.record_path(lock))
        for _ in range(TRIES):
            plan = plan_files.load(path)
            after = find(plan, new.after.id) if new.after else None
            changed, task = added(plan.format, plan.name, plan.files, new.replace(after=after))
            if write_changes(lock, file_changes(plan, changed)):
                return task
    raise busy(path)


def write_changes(lock: str, changes: Sequence[FileChange]) -> bool:
    """Write the changes of a plan's files, under its lock; False when a file is no longer as it was read."""
    record = plan_change.record_path(lock)
    is_written = plan_change.write(record, changes)
    if is_written:
        plan_change.forget(record)
    return is_written


def busy(path: str) -> SpecError:
    """Return the error for a file that other programs change again and again."""
    return SpecError(f"{path} is being changed by another program; save it there, then run the command again")


def root_of(path: str) -> str:
    """Return the folder of the definitions above a plan, else that of `plan_files.home_of`."""
    folder = os.path.dirname(os.path.abspath(path))
    while not any(os.path.isfile(os.path.join(folder, one)) for one in project.DEFINITIONS):
        above = os.path.dirname(folder)
        if above == folder:
            return plan_files.home_of(path)
        folder = above
    return folder


def lock_of(path: str) -> str:
    """Return the path of a plan's lock; its folder is made."""
    return os.path.join(files.private_folder(os.path.join(root_of(path), files.STATE_FOLDER)), "spec.lock")


def defined_ids(path: str) -> tuple[str, ...]:
    """Return the ids of the steps that the definitions above a plan have, none where they cannot be read."""
    root = root_of(path)
    if not any(os.path.isfile(os.path.join(root, one)) for one in project.DEFINITIONS):
        return ()
    try:
        return tuple(map(str, project.load(project.find(root))[0].numbers))
    except DoTasksError:
        return ()


def finish_interrupted(lock: str) -> None:
    """Complete a write that a killed process left unfinished under this lock, if there is one."""
    record = plan_change.record_path(lock)
    if os.path.lexists(record):
        with locks.ShortLock(lock):
            plan_change.finish(record)


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


def file_changes(plan: PlanFile, changed: Files) -> list[FileChange]:
    """Return the changes of a plan's files, behind links, in the order of their writing."""
    return [
        FileChange(os.path.realpath(os.path.join(plan.folder, name)), plan.files.get(name), data)
        for name, data in changed.items()
    ]


def _reads_as(changes: Sequence[FileChange]) -> bool:
    """Return True when the files have the bytes that were written: what was read of these bytes holds."""
    return all(files.read(one.path) == one.after for one in changes if one.after is not None)


def verified(
    path: str,
    record: str,
    before: PlanFile,
    changes: Sequence[FileChange],
    task: PlanTask,
    after: PlanDocument | None = None,
) -> PlanTask:
    """Return the task as it is read now; restore the files when another task changed with it.

    `after` is the plan of the bytes that the files have, where it is known.
    """
    after = after or plan_files.load(path).document
    others = [(one.id, one.nth, one.state) for one in before.document.tasks if one.id != task.id]
    now = [(one.id, one.nth, one.state) for one in after.tasks if one.id != task.id]
    related = {one.parent for one in before.document.tasks if one.id == task.id}
    strange = [one for one, other in zip(others, now, strict=False) if one != other and one[0] not in related]
    if len(others) != len(now) or strange:
        plan_change.take_back(record, changes)
        raise SpecError(
            f"{path}: a mark for {task.id} would change how {strange[:1] or 'other tasks'} reads; not written"
        )
    plan_change.forget(record)
    return next(one for one in after.tasks if one.id == task.id)
