"""Order of a plan's tasks: what each waits for, which are ready, waves."""

from __future__ import annotations

from collections import deque

from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, STARTED
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import PlanDocument, PlanTask

    Edges = dict[str, tuple[str, ...]]

CLOSED = frozenset((DONE, CANCELLED))
NOT_STARTABLE = CLOSED | {STARTED, BLOCKED}
BARRIER = "\0"  # a node that stands for the end of a group or phase begins with it; no id can


class TaskGraph(Record):
    """Tasks by id and what each waits for.

    `waits_for` has a node for each task and each barrier: the written dependencies, then what the order of the document
    and its phases imply. `written` has the written ones alone, `missing` those that name no task: they are never met.
    `place` is the place of each task in the document.
    """

    tasks: Mapping[str, PlanTask]
    waits_for: Mapping[str, tuple[str, ...]]
    written: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, tuple[str, ...]]
    place: Mapping[str, int]

    def before(self, name: str) -> list[str]:
        """Return the tasks that a task waits for, in the order of the document; barriers are seen through."""
        found: set[str] = set()
        todo = [*self.waits_for[name]]
        while todo:
            one = todo.pop()
            if one.startswith(BARRIER):
                todo += self.waits_for[one]
            else:
                found.add(one)
        return sorted(found, key=self.place.__getitem__)


def graph_of(document: PlanDocument) -> TaskGraph:
    """Return the graph of a plan; of tasks with one id the first counts."""
    tasks: dict[str, PlanTask] = {}
    for task in document.tasks:
        tasks.setdefault(task.id, task)
    written: Edges = {}
    missing: Edges = {}
    is_known = tasks.__contains__
    for name, task in tasks.items():
        before = task.depends_on
        written[name] = kept = tuple(filter(is_known, before)) if before else ()
        if len(kept) < len(before):
            missing[name] = tuple(one for one in before if one not in tasks)
    waits_for = dict(written)
    parts = _parts(tasks, written) if document.ordered else {}
    implied = _implied([task for task in tasks.values() if task.id not in parts], ordered=document.ordered) | parts
    if implied:
        freed = _turned_around(written)
        for name, more in implied.items():
            if name not in freed:
                waits_for[name] = (*waits_for.get(name, ()), *more)
    return TaskGraph(tasks, waits_for, written, missing, {name: at for at, name in enumerate(tasks)})


def _parts(tasks: Mapping[str, PlanTask], written: Edges) -> Edges:
    """Return the parts of each task that has some: it is done after them, and no place in the order is its own."""
    found: Edges = {}
    for name, task in tasks.items():
        if task.parent in tasks and not _reaches(written, name, task.parent):
            found[task.parent] = (*found.get(task.parent, ()), name)
    return found


def _reaches(edges: Edges, start: str, end: str) -> bool:
    """Return True when a task depends on another, directly or over others."""
    todo, seen = [start], {start}
    while todo:
        for one in edges[todo.pop()]:
            if one == end:
                return True
            if one not in seen:
                seen.add(one)
                todo.append(one)
    return False


def part_of(graph: TaskGraph, names: set[str]) -> TaskGraph:
    """Return the graph of some tasks, with the edges between them."""
    if len(names) == len(graph.tasks):
        return graph
    tasks = {name: task for name, task in graph.tasks.items() if name in names}
    waits_for = {name: tuple(one for one in graph.before(name) if one in names) for name in tasks}
    written = {name: tuple(one for one in graph.written[name] if one in names) for name in tasks}
    missing = {name: gone for name, gone in graph.missing.items() if name in names}
    return TaskGraph(tasks, waits_for, written, missing, graph.place)


def _implied(tasks: list[PlanTask], *, ordered: bool) -> Edges:
    """Return the dependencies of tasks by their place: on the group before their own, and on the phase before it.

    A group is one task, or parallel neighbours. Barriers keep the number of edges as small as that of tasks.
    """
    found: Edges = {}
    group: list[str] = []
    before: tuple[str, ...] = ()
    phases: list[list[str]] = []
    gate: tuple[str, ...] = ()
    last: PlanTask | None = None
    for task in tasks:
        if last is None or task.phase != last.phase:
            gate = _barrier(found, phases[-1]) if phases else ()
            before, group = (), []
            phases.append([])
        elif not (task.free or (task.parallel and last.parallel)):
            before, group = _barrier(found, group), []
        waits = (*(gate if task.after_phase else ()), *(before if ordered and not task.free else ()))
        if waits:
            found[task.id] = waits
        group.append(task.id)
        phases[-1].append(task.id)
        last = task
    return found


def _barrier(edges: Edges, members: list[str]) -> tuple[str, ...]:
    """Return the node that waits for all members: the only one, or a barrier that is added to `edges`."""
    if len(members) < 2:
        return tuple(members)
    name = f"{BARRIER}{members[0]}{BARRIER}{members[-1]}"
    edges[name] = tuple(members)
    return (name,)


def _turned_around(written: Edges) -> set[str]:
    """Return the tasks that an earlier task depends on: their place in the document implies no order."""
    place = {name: at for at, name in enumerate(written)}
    found: set[str] = set()
    for name, before in written.items():
        todo = [one for one in before if place[one] > place[name]] if before else []
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += [other for other in written[one] if place[other] > place[name]]
    return found


def circles(edges: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Return a shortest circle for each knot of circular dependencies, as ids in order."""
    left = _in_circles(edges)
    found: list[list[str]] = []
    seen: set[str] = set()
    for name in edges:
        if name in left and name not in seen:
            path = _way_back(edges, name)
            if path:
                found.append(path)
                seen |= set(path)
    return found


def _in_circles(edges: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the ids that remain when, again and again, those without a dependency among the others are taken away."""
    return set(edges) - set(sorted_nodes(edges))


def _way_back(edges: Mapping[str, tuple[str, ...]], name: str) -> list[str]:
    """Return the shortest circle through a task, empty for none."""
    behind: dict[str, str] = {}
    todo = deque([name])
    while todo:
        at = todo.popleft()
        for one in edges[at]:
            if one == name:
                path = [at]
                while path[-1] != name:
                    path.append(behind[path[-1]])
                return path[::-1]
            if one not in behind:
                behind[one] = at
                todo.append(one)
    return []


def sorted_nodes(edges: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the nodes so that each stands behind what it waits for, without those of circles and behind them."""
    left = {name: len(set(before)) for name, before in edges.items()}
    followers: dict[str, list[str]] = {}
    for name, before in edges.items():
        for one in set(before):
            followers.setdefault(one, []).append(name)
    todo = deque(name for name, count in left.items() if not count)
    found: list[str] = []
    while todo:
        name = todo.popleft()
        found.append(name)
        for one in followers.get(name, ()):
            left[one] -= 1
            if not left[one]:
                todo.append(one)
    return found


def sorted_ids(graph: TaskGraph) -> list[str]:
    """Return the ids so that each stands behind what it waits for; those of circles stand last."""
    found = [name for name in sorted_nodes(graph.waits_for) if not name.startswith(BARRIER)]
    known = set(found)
    return found + [name for name in graph.tasks if name not in known]


def waves(graph: TaskGraph, *, open_only: bool = False) -> list[list[str]]:
    """Return the ids in waves: all of a wave may run once the waves before are done.

    `open_only` leaves out what is closed. Circles, and what waits for them or for a missing task, are in no wave.
    """
    tasks = graph.tasks
    free: dict[str, int] = {}  # the first wave in which a follower may run
    found: list[list[str]] = []
    for name in sorted_nodes(graph.waits_for):
        before = graph.waits_for[name]
        level = max((free.get(one, -1) for one in before), default=0)
        if name in graph.missing or (before and min(free.get(one, -1) for one in before) < 0):
            continue
        if name.startswith(BARRIER) or (open_only and tasks[name].state in CLOSED):
            free[name] = level
            continue
        free[name] = level + 1
        found += [[] for _ in range(level + 1 - len(found))]
        found[level].append(name)
    return [sorted(wave, key=graph.place.__getitem__) for wave in found]


def ready(graph: TaskGraph) -> list[str]:
    """Return the ids of open tasks that wait for no task and have no open children, in document order."""
    met = _met(graph)
    left = [(name, task) for name, task in graph.tasks.items() if name not in met]
    parents = {task.parent for _, task in left}
    return [
        name
        for name, task in left
        if task.state not in NOT_STARTABLE
        and met.issuperset(graph.waits_for[name])
        and not (name in parents or name in graph.missing)
    ]


def _met(graph: TaskGraph) -> set[str]:
    """Return the nodes that hold nothing up: closed tasks, and barriers whose members are met."""
    met = {name for name, task in graph.tasks.items() if task.state in CLOSED}
    barriers = [one for one in graph.waits_for if one not in graph.tasks]
    met.update(one for one in barriers if met.issuperset(graph.waits_for[one]))
    return met


def next_ids(graph: TaskGraph) -> list[str]:
    """Return the ready ids, the best first: priority, then how many tasks wait for it alone, then document order."""
    tasks, found = graph.tasks, ready(graph)
    power = dict.fromkeys(found, 0)
    for before in graph.written.values():
        waits = [one for one in before if tasks[one].state not in CLOSED] if before else ()
        if len(waits) == 1 and waits[0] in power:
            power[waits[0]] += 1
    return sorted(found, key=lambda one: (tasks[one].priority or float("inf"), -power[one]))
