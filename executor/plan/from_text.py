"""Definitions of tasks that have none: an agent does what their text asks for."""

from __future__ import annotations

from executor.plan.formats.model import CANCELLED, DONE
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.plan.formats.model import PlanTask
    from executor.plan.task_graph import TaskGraph


def definitions(graph: TaskGraph, agent: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return id -> (key, definition) of the tasks that can be ticked.

    `agent` is the name of a role. The criteria are prose: a tick of such a task is claimed, not proven. A task without
    words has none, nor has one with open tasks below it.
    """
    parents = {task.parent for task in graph.tasks.values() if task.state not in (DONE, CANCELLED)}
    return {
        name: (f"task_{name}", {"id": name, "main": {"agent": agent, **_main(task)}})
        for name, task in graph.tasks.items()
        if task.state != CANCELLED and not task.ambiguous and name not in parents and _has_words(task)
    }


def _has_words(task: PlanTask) -> bool:
    """Return True for a task whose title or text says more than its id."""
    return any(one.strip() not in ("", task.id) for one in (task.title, task.text, *task.notes))


def _main(task: PlanTask) -> dict[str, Any]:
    criteria = [" ".join(one.split()) for one in task.criteria]
    done = f"Done as the plan says: {' '.join((task.title or task.id).split())}"
    return {
        "objective": _objective(task),
        "success_criteria": [*dict.fromkeys(filter(None, criteria))] or [done],
    }


def _objective(task: PlanTask) -> str:
    """Return the text of the task, else its title and notes, and the files that it names."""
    text = task.text.strip() or "\n".join((task.title or task.id, *task.notes))
    missing = [one for one in task.files if one not in text]
    return "\n".join((text, *([f"Files: {', '.join(missing)}"] if missing else [])))
