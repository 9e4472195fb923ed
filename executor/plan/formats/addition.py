"""A task that is added to a plan in the format's own form: the table of formats, the next id, the reading again."""

from __future__ import annotations

import re
from importlib import import_module

from executor.plan.formats.model import MarkError
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from executor.plan.formats.model import Files, PlanDocument, PlanFormat, PlanTask

    Added = Callable[[str, Files, PlanDocument, "NewTask"], Files]

# Module and function that add a task, by the name of the format.
ADDED = {
    "spec.md": ("new_items", "step"),
    "spec-kit": ("new_items", "item"),
    "openspec": ("new_items", "item"),
    "kiro": ("new_items", "item"),
    "flow": ("new_items", "item"),
    "spec-runner": ("new_items", "block"),
    "task-master": ("new_entries", "task_master"),
    ".tasks": ("new_entries", "dot_tasks"),
    "Backlog.md": ("new_entries", "backlog"),
}
REFUSED = {
    "epic": "its tasks are issues: make one with `gh issue create`, then add its line to the checklist",
    "report": "it declares tasks by ranges: widen a range in the text itself",
}
_ID = re.compile(r"(.*?)(\d+)[A-Za-z]?")


class NewTask(Record):
    """A task to be added: its title on one line, the task that it stands behind, its section, and the local day.

    `taken` are ids that the plan does not show and definitions have: a new task gets none of them.
    """

    title: str
    after: PlanTask | None = None
    section: str = ""
    day: str = ""
    taken: tuple[str, ...] = ()


def added(plan_format: PlanFormat, path: str, files: Files, new: NewTask) -> tuple[Files, PlanTask]:
    """Return the changed files in the order of their writing, and the task as it reads then.

    MarkError when the format has no place for a task, or the plan would read otherwise than with one more open task.
    """
    if reason := REFUSED.get(plan_format.name):
        raise MarkError(f"{path}: no task can be added here: {reason}")
    if plan_format.name not in ADDED:
        raise MarkError(f"{path}: no task can be added to a plan of this format: {plan_format.name}")
    module, name = ADDED[plan_format.name]
    before = plan_format.read(path, files)
    changed = getattr(import_module(f"executor.plan.formats.{module}"), name)(path, files, before, new)
    after = plan_format.read(path, {**files, **changed})
    return changed, _new_one(path, before, after, new)


def _new_one(path: str, before: PlanDocument, after: PlanDocument, new: NewTask) -> PlanTask:
    """Return the one task that is new; MarkError when another one reads otherwise than before."""
    known = {_key(task) for task in before.tasks}
    found = [task for task in after.tasks if _key(task) not in known]
    if len(found) != 1 or len(after.tasks) != len(before.tasks) + 1:
        raise MarkError(f"{path}: the plan would read otherwise with {new.title!r} in it; nothing is written")
    task = found[0]
    if task.state != "open" or task.ambiguous or task.id not in {one.id for one in after.tasks}:
        reason = task.ambiguous or f"it would count as {task.state}"
        raise MarkError(f"{path}: {new.title!r} cannot be added there: {reason}; nothing is written")
    return task


def _key(task: PlanTask) -> tuple[str, int, str, str, str, bool]:
    return task.id, task.nth, task.state, task.title, task.parent, bool(task.ambiguous)


def next_id(ids: Iterable[str], model: str) -> str:
    """Return the id behind the highest of those that are like the model: T013 for T003 and T012, 2.4 for 2.3."""
    match = _ID.fullmatch(model)
    if match is None:
        raise MarkError(f"{model} has no number to count on from")
    like = [found for one in ids if (found := _ID.fullmatch(one)) and found[1] == match[1]]
    number = max(int(found[2]) for found in like) + 1
    return f"{match[1]}{number:0{len(match[2])}d}"


def in_section(document: PlanDocument, section: str) -> list[PlanTask]:
    """Return the tasks below a heading, or of a phase or tag, that a part of its name names."""
    wanted = section.casefold()
    return [one for one in document.tasks if wanted in one.section.casefold() or wanted in one.phase.casefold()]
