"""The side file of a plan: states and task ids that the plan's own format has no place for."""

from __future__ import annotations

import json
from hashlib import sha256

from executor.errors import SpecError
from executor.plan.formats.model import STATES, text_digest
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.formats.model import PlanDocument, PlanTask, TaskMark

FOLDER = ".do-tasks/plans"
VERSION = 1
_NONE: Mapping[str, Any] = {}


class SideState(Record):
    """The state of a task, the id of the attempt, its local time, and a note.

    `plan_state` is the state that the plan's file had behind the mark: once that differs, a person has changed it, and
    the plan counts. `digest` is that of the task's text when it was marked. `more` holds keys of other versions.
    """

    state: str
    task_id: str = ""
    time: str = ""
    note: str = ""
    plan_state: str = ""
    digest: str = ""
    more: Mapping[str, Any] = _NONE


class SideFile(Record):
    """The states of a plan's tasks by key; `plan` is its path in the project.

    `formerly` are the paths that it had before, `content` is the digest of all its tasks: by it a plan is known again
    after its file was renamed or moved.
    """

    plan: str
    tasks: Mapping[str, SideState] = _NONE
    version: int = VERSION
    more: Mapping[str, Any] = _NONE
    formerly: tuple[str, ...] = ()
    content: str = ""


_TEXTS = tuple(name for name in SideState("")._fields if name != "more")


def side_path(plan: str) -> str:
    """Return the path of a plan's side file in the project, from the plan's path in it, with slashes."""
    return f"{FOLDER}/{sha256(plan.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.json"


def key_of(task: PlanTask) -> str:
    """Return a task's key: its id, with its place among tasks of the same id behind the first."""
    return task.id if task.nth == 1 else f"{task.id}#{task.nth}"


def encoded(side: SideFile) -> bytes:
    """Return a side file as it is stored. Raises SpecError for one of a later version."""
    if side.version > VERSION:
        raise SpecError(f"{side_path(side.plan)}: version {side.version} is newer than this do-tasks; update do-tasks")
    tasks = {key: _written(state) for key, state in side.tasks.items()}
    known = {"formerly": [*side.formerly], "content": side.content}
    found = {key: one for key, one in known.items() if one}
    value = {"v": side.version, "plan": side.plan, **found, **side.more, "tasks": tasks}
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")


def _written(state: SideState) -> dict[str, Any]:
    return {**{name: getattr(state, name) for name in _TEXTS if getattr(state, name)}, **state.more}


def decoded(data: bytes, plan: str) -> SideFile:
    """Return the content of a side file, an empty one for no bytes. Raises SpecError for what is no side file."""
    path = side_path(plan)
    if not data:
        return SideFile(plan)
    try:
        value = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as wrong:
        raise SpecError(f"{path}: not JSON: {wrong}; put it aside, then mark the tasks again") from None
    tasks = value.get("tasks") if isinstance(value, dict) else None
    version = value.get("v") if isinstance(value, dict) else None
    if not isinstance(tasks, dict) or not isinstance(version, int):
        raise SpecError(f"{path}: no side file of a plan: `v` and `tasks` are missing; put it aside")
    more = {key: one for key, one in value.items() if key not in ("v", "plan", "tasks", "formerly", "content")}
    states = {key: _state(path, key, one) for key, one in tasks.items()}
    before = value.get("formerly")
    formerly = tuple(map(str, before)) if isinstance(before, list) else ()
    return SideFile(str(value.get("plan", plan)), states, version, more, formerly, str(value.get("content", "")))


def _state(path: str, key: str, value: Any) -> SideState:
    if not isinstance(value, dict) or value.get("state") not in STATES:
        raise SpecError(f"{path}: task {key} has no known state; remove its entry, then mark it again")
    texts = {name: str(value[name]) for name in _TEXTS if name in value}
    return SideState(**texts, more={name: one for name, one in value.items() if name not in _TEXTS})


def content_of(document: PlanDocument) -> str:
    """Return the digest of what a plan asks for: the ids and texts of its tasks, in any order."""
    return text_digest("\0".join(sorted(f"{task.id}\0{task.text}" for task in document.tasks)))


def moved_to(side: SideFile, plan: str) -> SideFile:
    """Return a side file for the path that its plan has now."""
    if side.plan == plan:
        return side
    before = dict.fromkeys((*side.formerly, side.plan))
    return side.replace(plan=plan, formerly=tuple(one for one in before if one != plan))


def with_mark(side: SideFile, task: PlanTask, mark: TaskMark) -> SideFile:
    """Return the side file with a mark, itself when the mark stands; `task` is as the plan has it behind the mark."""
    key = key_of(task)
    old = side.tasks.get(key, SideState(""))
    now = old.replace(state=mark.state, task_id=mark.task_id, note=mark.note)
    now = now.replace(plan_state=task.state, digest=text_digest(task.text))
    return side if now == old else side.replace(tasks={**side.tasks, key: now.replace(time=mark.time)})


def with_states(document: PlanDocument, side: SideFile) -> PlanDocument:
    """Return the plan with the states of the side file, where the plan's own are still those behind the mark."""
    tasks = []
    for task in document.tasks:
        known = side.tasks.get(key_of(task))
        tasks.append(task.replace(state=known.state) if known and known.plan_state == task.state else task)
    return document.replace(tasks=tuple(tasks))
