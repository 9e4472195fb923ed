"""The graph of the plan that a command names, and how its tasks are printed."""

from __future__ import annotations

from executor.cli.output import screen
from executor.plan import graph_drawing, task_graph
from executor.plan.formats.model import DONE
from executor.plan.task_selection import Selectors, select
from executor.store import plan_files, plan_view
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable
    from typing import Any

    from executor.plan.formats.model import PlanDocument, PlanTask
    from executor.plan.task_graph import TaskGraph


def document_of(args: Namespace) -> PlanDocument:
    """Return the plan that `--plan` names, else that of the definitions, else the one that is here."""
    return plan_view.document_at(plan_files.find(args.plan, args.project))


def graph_of(args: Namespace) -> tuple[TaskGraph, set[str]]:
    """Return the graph of the whole plan and the selected ids: what is selected may wait for what is not."""
    document = document_of(args)
    return task_graph.graph_of(document), chosen(args, document)


def chosen(args: Namespace, document: PlanDocument) -> set[str]:
    """Return the ids that the selectors of the command line choose."""
    given = {name: getattr(args, name) for name in Selectors.__annotations__}
    return set(select(document, Selectors(**given)))


def selected(args: Namespace) -> list[PlanTask]:
    """Return the selected tasks in document order."""
    document = document_of(args)
    names = chosen(args, document)
    return [task for task in document.tasks if task.id in names]


def entry(graph: TaskGraph, name: str) -> dict[str, Any]:
    """Return a task as JSON has it."""
    task = graph.tasks[name]
    return {"id": name, "title": task.title, "state": task.state, "depends_on": [*task.depends_on]}


def print_json(**fields: Any) -> None:
    """Print an object with the version of its form."""
    screen.print_json({"v": 1, **fields})


def print_lines(lines: Iterable[str]) -> None:
    """Print each text on one line."""
    print("\n".join(map(escaped_line, lines)))


def task_lines(graph: TaskGraph, names: Iterable[str]) -> list[str]:
    """Return a line for each task, its id and title."""
    return [graph.tasks[name].label for name in names]


def nothing_ready(graph: TaskGraph) -> str:
    """Return the reason for which no task can start."""
    left = [task for task in graph.tasks.values() if task.state not in task_graph.CLOSED]
    if not left:
        return "Nothing is left: every task is done."
    return f"Nothing can start, {len(left)} open: their dependencies are not met; see: do-tasks lint"


def print_tasks(path: str, args: Namespace) -> None:
    """Print the selected tasks of a plan file with their states, with `--ready` those alone that can start now."""
    document = plan_view.document_at(path)
    names = chosen(args, document)
    if args.ready:
        names &= set(task_graph.ready(task_graph.graph_of(document)))
    tasks = [task for task in document.tasks if task.id in names and not (args.ready and task.ambiguous)]
    if args.json:
        steps = [
            {"id": one.id, "title": one.title, "state": one.state, "depends_on": [*one.depends_on], "line": one.line,
             "phase": one.phase, "section": one.section, "parent": one.parent, "tags": [*one.tags],
             "ambiguous": one.ambiguous}
            for one in tasks
        ]  # fmt: skip
        conditions = [
            {"file": one.file, "line": one.line, "title": one.title, "state": one.state} for one in document.gates
        ]
        print_json(steps=steps, format=document.format, **({"gates": conditions} if conditions else {}))
        return
    lines = [f"{graph_drawing.SIGNS[one.state]} {one.label}{' (ambiguous)' if one.ambiguous else ''}" for one in tasks]
    done = sum(one.state == DONE for one in document.tasks)
    count = f"{len(tasks)} ready" if args.ready else f"{done} of {len(document.tasks)} done ({document.format})"
    gates = [f"gate  {one.file}:{one.line}  {one.title}" for one in document.gates if one.state != DONE]
    print_lines([*lines, count, *([f"{len(gates)} open gates, for people to tick:", *gates] if gates else [])])
