"""The longest path through a plan: its tasks by hours, or by their number."""

from __future__ import annotations

from executor.plan.task_graph import BARRIER, sorted_nodes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.formats.model import PlanTask
    from executor.plan.task_graph import TaskGraph


def longest_path(graph: TaskGraph) -> list[str]:
    """Return the ids of the longest chain of dependencies, written or implied by the order of the document.

    By hours where tasks have any, else by number; of chains of one length the one with more written dependencies.
    """
    return _longest(graph, graph.waits_for)


def longest_written_path(graph: TaskGraph) -> list[str]:
    """Return the ids of the longest chain of written dependencies alone."""
    return _longest(graph, graph.written)


def _longest(graph: TaskGraph, edges: Mapping[str, tuple[str, ...]]) -> list[str]:
    cost = _costs(graph)
    length: dict[str, tuple[float, int]] = {}  # with the number of written dependencies
    behind: dict[str, str] = {}
    for name in sorted_nodes(edges):
        written = graph.written.get(name, ())
        found = {one: (length[one][0], length[one][1] + (one in written)) for one in edges[name]}
        best = max(found, key=found.__getitem__, default="")
        before, count = found.get(best, (0.0, 0))
        length[name] = (before + cost.get(name, 0.0), count)
        if best:
            behind[name] = best
    if not length:
        return []
    path = [max(length, key=length.__getitem__)]
    while path[-1] in behind:
        path.append(behind[path[-1]])
    return [name for name in path[::-1] if not name.startswith(BARRIER)]


def _costs(graph: TaskGraph) -> dict[str, float]:
    """Return the length that each task adds to a path; a task whose parts have hours adds none of its own."""
    tasks = graph.tasks
    if not has_hours(tasks.values()):
        return dict.fromkeys(tasks, 1.0)
    estimated = {task.parent for task in tasks.values() if task.estimate_h}
    return {name: 0.0 if name in estimated else task.estimate_h for name, task in tasks.items()}


def has_hours(tasks: Iterable[PlanTask]) -> bool:
    """Return True when a task of the plan has an estimate."""
    return any(task.estimate_h for task in tasks)


def path_length(graph: TaskGraph, path: Iterable[str]) -> float:
    """Return the hours of a path, or its number of tasks when no task of the plan has hours."""
    cost = _costs(graph)
    return sum(cost[one] for one in path if one in cost)
