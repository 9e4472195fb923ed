"""Finished tasks of a plan, moved to the place that its format has for them."""

from __future__ import annotations

import os
from collections import Counter

from executor.plan.formats.model import CANCELLED, DONE, MarkError
from executor.store import plan_change, plan_files, plan_writer, project, side_files
from executor.store.plan_change import FileChange
from executor.system import files, locks
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.plan_files import PlanFile

NO_PLACE = "has no place for finished tasks: they stay where they are"


def archive(path: str, today: str) -> list[str]:
    """Move the finished tasks and return a line for each move; MarkError when the format has no place for them."""
    plan = plan_files.load(path)
    if plan.format.name == "openspec":
        return _openspec(plan, today)
    made = {"Backlog.md": _backlog, ".tasks": _dot_tasks, "flow": _flow}.get(plan.format.name)
    if made is None:
        raise MarkError(f"{path}: {plan.format.name} {NO_PLACE}")
    lock = plan_writer.lock_of(path)
    with locks.ShortLock(lock):
        plan_change.finish(plan_change.record_path(lock))
        changes, moved = made(plan_files.load(path))
        if changes and not plan_writer.write_changes(lock, changes):
            raise plan_writer.busy(path)
        return moved


def _openspec(plan: PlanFile, today: str) -> list[str]:
    """Move the folder of a change whose tasks are all done to `changes/archive`."""
    above, name = os.path.split(plan.folder)
    if os.path.basename(above) != "changes":
        raise MarkError(f"{plan.path}: only a change in openspec/changes/NAME can be moved to its archive")
    left = [task.id for task in plan.document.tasks if task.state not in (DONE, CANCELLED)]
    if left:
        raise MarkError(f"{plan.path}: {len(left)} of its tasks are open, the first is {left[0]}: it is not moved")
    target = os.path.join(above, "archive", f"{today}-{name}")
    if os.path.lexists(target):
        raise MarkError(f"{target} is there already: {name} is not moved")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(plan.folder, target)
    root = plan_writer.root_of(target)
    old, new = (os.path.relpath(os.path.join(one, plan.name), root) for one in (plan.folder, target))
    side_files.move(root, old, new)
    for folder in (above, os.path.dirname(target)):
        files.sync_folder(folder)
    return [f"moved: {os.path.relpath(plan.folder)} to {os.path.relpath(target)}", *_named_in(plan, target)]


def _named_in(plan: PlanFile, target: str) -> list[str]:
    """Return a line about definitions that name the plan by its old path."""
    root = plan_writer.root_of(target)
    named = os.path.relpath(os.path.join(plan.folder, plan.name), root).encode()
    paths = [os.path.join(root, one) for one in project.DEFINITIONS]
    return [f"next: correct the plan's path in {os.path.relpath(one)}" for one in paths if named in files.read(one)]


def _done_files(plan: PlanFile) -> list[tuple[str, str]]:
    """Return id and file of each task that is done."""
    return [(task.id, task.file) for task in plan.document.tasks if task.state == DONE and not task.ambiguous]


def _backlog(plan: PlanFile) -> tuple[list[FileChange], list[str]]:
    """Move the files of done tasks to the folder `completed` beside `tasks`."""
    changes, moved = [], []
    for name, file in _done_files(plan):
        if file.startswith("../") or file not in plan.files:
            continue
        target = os.path.normpath(os.path.join(plan.folder, "..", "completed", os.path.basename(file)))
        changes.append(FileChange(target, None, plan.files[file]))
        changes.append(FileChange(os.path.join(plan.folder, file), plan.files[file], None))
        moved.append(f"moved: {name} to {os.path.relpath(target)}")
    return changes, moved


def _dot_tasks(plan: PlanFile) -> tuple[list[FileChange], list[str]]:
    """Copy the files of done tasks to `completed`; the manifest names those in `tasks`, which stay."""
    from executor.plan.formats.dot_tasks_changes import read_task_file
    from executor.plan.formats.dot_tasks_manifest import manifest_of

    done = {name for name, _ in _done_files(plan)}
    changes, moved = [], []
    for entry in manifest_of(plan.files[plan.name]).entries:
        file = read_task_file("", plan.files, entry) if entry.id in done else None
        copy = f"completed/{os.path.basename(file.path)}" if file else ""
        if file and plan.files.get(copy) != plan.files[file.path]:
            target = os.path.join(plan.folder, copy)
            changes.append(FileChange(target, plan.files.get(copy), plan.files[file.path]))
            moved.append(f"copied: {entry.id} to {os.path.relpath(target)}")
    return changes, moved


def _flow(plan: PlanFile) -> tuple[list[FileChange], list[str]]:
    """Move done tasks, with all that belongs to them, below the heading of the completed ones."""
    from executor.plan.formats.flow import FlowPlan
    from executor.plan.formats.flow_archive import archived

    data = plan.files[plan.name]
    after, names = archived(FlowPlan(plan.name, data))
    before = Counter((task.id, task.title, task.state) for task in plan.document.tasks)
    now = plan.format.read(plan.name, {**plan.files, plan.name: after})
    if Counter((task.id, task.title, task.state) for task in now.tasks) != before:
        raise MarkError(f"{plan.path}: its tasks would read otherwise when they are moved; nothing is written")
    changes = [FileChange(os.path.realpath(os.path.join(plan.folder, plan.name)), data, after)] if names else []
    return changes, [f"moved: {name}" for name in names]
