"""A first step_definitions.yaml for the tasks of a plan."""

from __future__ import annotations

import re

from executor.plan.formats import spec
from executor.plan.formats.model import CANCELLED, DONE
from executor.plan.task_graph import circles
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.formats.model import PlanDocument, PlanTask

MOST_KEY = 48
UNBOUND = "# unbound: prove it with file, command, matches, metric or result"


def scaffold(document: PlanDocument, plan: str) -> str:
    """Return the definitions: an entry for each task that can be ticked, its criteria as prose.

    `plan` is the path of the plan's file, relative to the folder of the definitions. Nothing in them runs yet.
    """
    is_spec = document.format == spec.NAME
    tasks = [task for task in document.tasks if task.state != CANCELLED]
    named = {task.id: key for task, key in zip(tasks, _keys(tasks, is_spec=is_spec), strict=True) if not task.ambiguous}
    edges = _edges(document, named)
    lines = [
        f"# Steps for {_comment(plan)} ({document.format}, {len(named)} tasks), written by: do-tasks import --scaffold",
        "# A step runs once its main has a script, a command or an agent. Then: do-tasks validate",
        "settings:",
        "  version: 1",
        *([] if is_spec else [f"  plan: {text(plan)}"]),
    ]
    for task in tasks:
        lines.append("")
        if task.ambiguous:
            lines.append(f"# {_comment(task.label)}: no step, it is ambiguous: {_comment(task.ambiguous)}")
        else:
            lines += _entry(task, named[task.id], edges[task.id], is_spec=is_spec, is_ordered=document.ordered)
    return "\n".join(lines) + "\n"


def unbound(document: PlanDocument) -> int:
    """Return the number of criteria in a scaffold, none of which is bound."""
    return sum(len(_criteria(task)) for task in document.tasks if task.state != CANCELLED and not task.ambiguous)


def _entry(
    task: PlanTask, key: str, edges: tuple[tuple[str, ...], tuple[str, ...]], *, is_spec: bool, is_ordered: bool
) -> Iterator[str]:
    kept, left_out = edges
    if task.state == DONE:
        yield "# done in the plan"
    yield f"{key}:"
    if not is_spec:
        yield f"  id: {text(task.id)}"
    yield f"  title: {text(_line(task.title) or task.id)}"
    for one in left_out:
        yield f"  # depends on {_comment(one)}, which is no step here or closes a circle: do-tasks lint"
    if kept or not is_ordered:
        yield f"  depends_on: [{', '.join(one if is_spec else text(one) for one in kept)}]"
    for one in task.notes:
        yield f"  # {_comment(one)}"
    for one in task.files:
        yield f"  # file: {_comment(one)}"
    yield "  main:"
    yield f"    objective: {text(_line(task.title) or task.id)}"
    criteria = _criteria(task)
    if criteria:
        yield "    success_criteria:"
        yield from (f"      - {text(one)}  {UNBOUND}" for one in criteria)
    else:
        yield "    # no criterion in the plan: add success_criteria"


def _criteria(task: PlanTask) -> list[str]:
    return [one for one in dict.fromkeys(map(_line, task.criteria)) if one]


def _edges(document: PlanDocument, named: Mapping[str, str]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return for each task the dependencies that are written, and those that are left out.

    Left out is what is no step, and each dependency that closes a circle.
    """
    tasks = {task.id: task for task in document.tasks if task.id in named}
    kept = {
        name: tuple(dict.fromkeys(one for one in task.depends_on if one in named and one != name))
        for name, task in tasks.items()
    }
    while found := circles(kept):
        for circle in found:
            kept[circle[0]] = tuple(one for one in kept[circle[0]] if one not in circle)
    return {
        name: (kept[name], tuple(dict.fromkeys(one for one in task.depends_on if one not in kept[name])))
        for name, task in tasks.items()
    }


def _keys(tasks: list[PlanTask], *, is_spec: bool) -> Iterator[str]:
    """Yield a key for each task, made of its id and title; each is there once."""
    taken: set[str] = set()
    for task in tasks:
        words = re.sub(r"[^a-z0-9]+", "_", f"{task.id} {task.title}".lower())[:MOST_KEY].strip("_")
        name = f"step_{words}" if is_spec else words if words[:1].isalpha() else f"task_{words}"
        if is_spec and name == f"step_{task.id}":
            name += "_task"
        key = name if name not in ("settings", *taken) else f"{name}_{len(taken) + 1}"
        taken.add(key)
        yield key


def text(value: str) -> str:
    """Return a text as YAML reads it back, on one line in double quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else _escape(one) for one in escaped) + '"'


def _escape(one: str) -> str:
    code = ord(one)
    if 0xD800 <= code < 0xE000:  # half a pair is no character
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _line(value: str) -> str:
    return " ".join(value.split())


def _comment(value: str) -> str:
    """Return a text that ends no comment: on one line, without control characters."""
    return "".join(one if one.isprintable() else " " for one in _line(value))
