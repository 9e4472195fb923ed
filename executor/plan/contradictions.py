"""Contradictions in a plan: of dependencies, states, groups, phases and the critical path."""

from __future__ import annotations

import itertools
import re

from executor.plan import task_graph
from executor.plan.formats.model import CANCELLED, DONE, FAILED, OPEN, STARTED, Finding
from executor.plan.longest_path import has_hours, longest_written_path, path_length
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.formats.model import PlanDocument, PlanTask
    from executor.plan.task_graph import TaskGraph

_FINISHED = re.compile(r"\b(completed?|done|finished|archived?)\b", re.IGNORECASE)
_ACTIVE = re.compile(r"\b(active|in progress|upcoming|to ?do|backlog|next|pending)\b", re.IGNORECASE)
_RULE = re.compile(
    r"\b(?:each|every|all)\b[^.\n]{0,30}?\btasks?\b[^.\n]{0,40}?\b(?:at least|minimum(?: of)?|min\.?|>=|≥)\s*"
    r"(\d{1,2})\s+(?:\w+\s+){0,2}?(criteri(?:a|on)|scenarios?|risks?)",
    re.IGNORECASE,
)


def contradictions(path: str, document: PlanDocument, source: str = "") -> tuple[Finding, ...]:
    """Return the findings of a plan in the order of their lines.

    `path` is the plan's own file, for tasks without another; `source` is its text, for the rules it sets itself.
    """
    graph = task_graph.graph_of(document)
    found = [
        *document.findings,
        *_ambiguous(path, document),
        *_dependencies(path, document, graph),
        *_families(path, document),
        *_sections(path, document),
        *_groups(path, document),
        *_critical_path(path, document, graph),
        *_own_rules(path, document, source),
    ]
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda one: (one.file, one.line, one.kind, one.message)))


def _at(path: str, task: PlanTask, kind: str, message: str) -> Finding:
    return Finding(task.file or path, task.line or task.declared_line, kind, message)


def _ambiguous(path: str, document: PlanDocument) -> Iterator[Finding]:
    known = {(finding.file, finding.line) for finding in document.findings}
    for task in document.tasks:
        if task.ambiguous and task.state != CANCELLED and (task.file or path, task.line) not in known:
            yield _at(
                path, task, "ambiguous", f"{task.id} counts as {task.state} and is never ticked: {task.ambiguous}"
            )


def _dependencies(path: str, document: PlanDocument, graph: TaskGraph) -> Iterator[Finding]:
    named = {word for one in document.findings if one.kind == "unknown-task" for word in one.message.split()}
    for name, absent in graph.missing.items():
        for one in (one for one in absent if one not in named):
            message = f"{name} depends on {one}, which is no task here: add it, or take the dependency away"
            yield _at(path, graph.tasks[name], "missing-dependency", message)
    for way in task_graph.circles(graph.written):
        chain = " -> ".join([*way, way[0]])
        message = f"{chain} is a circle, so none of them can start: take one of these dependencies away"
        yield _at(path, graph.tasks[way[0]], "circular-dependency", message)
    phases = {phase: at for at, phase in enumerate(dict.fromkeys(task.phase for task in document.tasks))}
    for name, before in graph.written.items():
        task = graph.tasks[name]
        for other in (graph.tasks[one] for one in before):
            if task.state == DONE and other.state not in (DONE, CANCELLED):
                message = f"{name} is done, its dependency {other.id} is {other.state}: one of the two marks is wrong"
                yield _at(path, task, "done-with-open-dependency", message)
            if phases[other.phase] > phases[task.phase]:
                message = (
                    f"{name} ({task.phase}) depends on {other.id} of the later phase {other.phase}: move one of them"
                )
                yield _at(path, task, "edge-to-later-phase", message)


def _families(path: str, document: PlanDocument) -> Iterator[Finding]:
    children: dict[str, list[PlanTask]] = {}
    for task in document.tasks:
        if task.parent:
            children.setdefault(task.parent, []).append(task)
    for task in document.tasks:
        mine = children.get(task.id, [])
        open_ones = [one.id for one in mine if one.state in (OPEN, STARTED, FAILED)]
        if task.state == DONE and open_ones:
            message = f"{task.id} is done, but its part {', '.join(open_ones)} is not: tick the part, or open {task.id}"
            yield _at(path, task, "done-over-open", message)
        if mine and not open_ones and task.state in (OPEN, STARTED) and all(one.state == DONE for one in mine):
            message = f"{task.id} is {task.state}, but all its parts are done: tick it, or say what is left of it"
            yield _at(path, task, "open-over-done", message)


def _sections(path: str, document: PlanDocument) -> Iterator[Finding]:
    for task in (one for one in document.tasks if not one.parent):  # a part moves with its task
        if task.state == DONE and _ACTIVE.search(task.section) and not _FINISHED.search(task.section):
            message = f"{task.id} is done, but stands under {task.section!r}: move it, or open it"
            yield _at(path, task, "done-under-active", message)
        if task.state in (OPEN, STARTED) and _FINISHED.search(task.section) and not _ACTIVE.search(task.section):
            message = f"{task.id} is {task.state}, but stands under {task.section!r}: tick it, or move it"
            yield _at(path, task, "open-under-completed", message)


def _groups(path: str, document: PlanDocument) -> Iterator[Finding]:
    group: dict[str, PlanTask] = {}
    last: PlanTask | None = None
    for task in document.tasks:
        if not (last and last.parallel and task.parallel and last.phase == task.phase):
            group = {}
        group[task.id] = task
        last = task
        for one in task.depends_on if task.parallel else ():
            if one in group and one != task.id:
                message = f"{task.id} is marked parallel to {one} and depends on it: take the mark or the edge away"
                yield _at(path, task, "edge-in-parallel-group", message)


def _critical_path(path: str, document: PlanDocument, graph: TaskGraph) -> Iterator[Finding]:
    stated = document.critical_path
    if not stated:
        return
    line = document.critical_line
    for before, one in itertools.pairwise(stated):
        if before in graph.tasks and one in graph.tasks and before not in graph.written[one]:
            message = (
                f"the critical path goes {before} -> {one}, but {one} does not depend on {before}: add the dependency"
            )
            yield Finding(path, line, "critical-path-without-edge", message)
    longest = longest_written_path(graph)
    long, short = path_length(graph, longest), path_length(graph, stated)
    if long > short:
        unit = "h" if has_hours(graph.tasks.values()) else " tasks"
        message = (
            f"the critical path has {short:g}{unit}, but {' -> '.join(longest)} has {long:g}{unit}: it is the longest"
        )
        yield Finding(path, line, "critical-path-not-longest", message)


def _own_rules(path: str, document: PlanDocument, source: str) -> Iterator[Finding]:
    """Yield tasks that have fewer criteria, scenarios or risks than a sentence of the plan demands of every task."""
    for rule in _RULE.finditer(source):
        least, what = int(rule[1]), rule[2].lower()
        line = source.count("\n", 0, rule.start()) + 1
        for task in document.tasks:
            has = len(task.criteria) if what.startswith("criteri") else _mentions(task, what[:4])
            if has < least:
                message = f"{task.id} has {has} {what}, line {line} demands at least {least} of every task"
                yield _at(path, task, "own-rule", message)


def _mentions(task: PlanTask, what: str) -> int:
    return sum(what in note.lower() for note in task.notes)
