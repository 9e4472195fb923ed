"""Tasks, subtasks and counts as a tasks.json of task-master declares them."""

from __future__ import annotations

import json
import re
from collections import Counter
from operator import itemgetter

from executor.plan.formats import json_spans
from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN, STARTED, Finding, PlanTask
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Values = list[dict[str, Any]]

STATES = {
    "pending": OPEN,
    "in-progress": STARTED,
    "review": STARTED,
    "done": DONE,
    "completed": DONE,
    "blocked": BLOCKED,
    "deferred": BLOCKED,
    "cancelled": CANCELLED,
}
PRIORITIES = {"critical": 1, "high": 2, "medium": 3, "low": 4}
MAIN_TAGS = ("", "master", "default")  # the tasks of the first one that is there have ids without a tag
_STATUS = '"status"'
_TEXTS = ("description", "details", "testStrategy")
_COLON = re.compile(r"[ \t\r\n]*:").match
_USUAL = itemgetter("id", "title", "status", "dependencies", "priority", *_TEXTS)
_COUNTS = ("taskCount", "completedCount")
_ORDER = ("status", "subtasks")
_LISTS = frozenset(("acceptanceCriteria", "relevantFiles", "tags"))
_IN_TASK = ((), ("subtasks",))


def is_open(path: json_spans.Path) -> bool:
    """Return True for the document, a tag, and a list of tasks; in the legacy form the list has no tag."""
    return len(path) < 2 or (len(path) == 2 and path[1] == "tasks")


def list_path(tag: str) -> json_spans.Path:
    """Return the path of a tag's list of tasks; the tag is "" in the legacy form."""
    return (tag, "tasks") if tag else ("tasks",)


def read_document(path: str, text: str) -> tuple[list[PlanTask], list[Finding]]:
    """Return tasks and findings. Raises ValueError for text that is not JSON."""
    document = json.loads(text.removeprefix("\ufeff"))
    lists = _lists(document)
    lines = _key_lines(text)
    tasks = _all_tasks(path, lists, lines)
    if len(lines) != len([task for task in tasks if task.line]) or ("\\" in text and "\\u00" in text):
        tasks = _all_tasks(path, lists, [line for tag in lists for line in _walked_lines(text, tag)])
    if len({task.id for task in tasks}) < len(tasks):
        tasks = _with_doubled(tasks)
    return tasks, [*_count_findings(path, text, document, lists)]


def text_of(value: dict[str, Any]) -> str:
    """Return the parts of a task that say what it asks for."""
    get = value.get
    return f"{get('title', '')}\n{get('description') or ''}\n{get('details') or ''}\n{get('testStrategy') or ''}"


def _lists(document: Any) -> dict[str, Values]:
    """Return the tasks of each tag in document order; the legacy form has one list, under the tag ""."""
    if not isinstance(document, dict):
        return {}
    if isinstance(document.get("tasks"), list):
        return {"": _objects(document["tasks"])}
    return {
        tag: _objects(value["tasks"])
        for tag, value in document.items()
        if isinstance(value, dict) and isinstance(value.get("tasks"), list)
    }


def _objects(values: Any) -> Values:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


# Tasks


def _all_tasks(path: str, lists: dict[str, Values], lines: list[int]) -> list[PlanTask]:
    """Return the tasks of all tags; `lines` are those of their statuses in document order."""
    main = next((tag for tag in MAIN_TAGS if tag in lists), next(iter(lists), ""))
    places = iter(lines)
    found: list[PlanTask] = []
    for tag, values in lists.items():
        template = PlanTask("", "", file=path, section=tag)
        found += _tag_tasks(values, template, "" if tag == main else f"{tag}:", places)
    return found


def _tag_tasks(values: Values, template: PlanTask, prefix: str, lines: Iterator[int]) -> list[PlanTask]:
    """Return the tasks of a tag; one with all usual keys and no subtasks is made without further look-ups."""
    found: list[PlanTask] = []
    for value in values:
        try:
            name, title, status, before, priority, description, details, strategy = _USUAL(value)
            state = STATES[status]
        except (KeyError, TypeError):
            found += _family(value, template, prefix, lines)
            continue
        if not title or before.__class__ is not list or value.get("subtasks") or not _LISTS.isdisjoint(value):
            found += _family(value, template, prefix, lines)
            continue
        task = template.replace()
        fields = task.__dict__
        fields["id"] = f"{prefix}{name}"
        fields["title"] = str(title)
        fields["state"] = state
        fields["line"] = next(lines, 0)
        if before:
            fields["depends_on"] = tuple([f"{prefix}{one}" for one in before])
        fields["priority"] = PRIORITIES.get(priority, 0) if priority.__class__ is str else 0
        fields["text"] = f"{title}\n{description or ''}\n{details or ''}\n{strategy or ''}"
        found.append(task)
    return found


def _family(value: dict[str, Any], template: PlanTask, prefix: str, lines: Iterator[int]) -> list[PlanTask]:
    """Return a task and its subtasks; the line of its status stands before or behind theirs."""
    name = f"{prefix}{value.get('id')}"
    before = tuple([f"{prefix}{one}" for one in _list(value, "dependencies")])
    parts = _objects(value.get("subtasks"))
    own_is_last = [key for key in value if key in _ORDER][-1:] == ["status"]
    line = 0 if own_is_last or "status" not in value else next(lines, 0)
    below = _subtasks(parts, template.replace(parent=name), prefix, before, lines)
    return [_task(value, template, name, next(lines, 0) if own_is_last else line, before), *below]


def _subtasks(
    parts: Values, template: PlanTask, prefix: str, before: tuple[str, ...], lines: Iterator[int]
) -> list[PlanTask]:
    """Return the subtasks of a task: each waits for what the task waits for, too; a short dependency is a sibling."""
    parent = template.parent
    siblings = {str(one.get("id")) for one in parts}
    inherited = tuple(one for one in before if not one.startswith(f"{parent}."))
    found = []
    for value in parts:
        own = [str(one) for one in _list(value, "dependencies")]
        waits = [f"{parent}.{one}" if one in siblings else f"{prefix}{one}" for one in own]
        line = next(lines, 0) if "status" in value else 0
        found.append(_task(value, template, f"{parent}.{value.get('id')}", line, (*waits, *inherited)))
    return found


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _task(value: dict[str, Any], template: PlanTask, name: str, line: int, before: tuple[str, ...]) -> PlanTask:
    get = value.get
    status = get("status", "pending")
    state = STATES.get(status) if isinstance(status, str) else None
    priority = get("priority")
    task = template.replace(
        id=name,
        title=str(get("title") or name),
        state=state or OPEN,
        line=line,
        depends_on=before,
        priority=PRIORITIES.get(priority, 0) if isinstance(priority, str) else 0,
        text=text_of(value),
    )
    if state is None or "id" not in value:
        task = task.replace(ambiguous=f"unknown status {quoted(status)}" if state is None else "it has no id")
    if _LISTS.isdisjoint(value):
        return task
    return task.replace(
        criteria=_texts(get("acceptanceCriteria")), files=_texts(get("relevantFiles")), tags=_texts(get("tags"))
    )


def _texts(value: Any) -> tuple[str, ...]:
    """Return a list of texts or of objects with a path, or the lines of a text."""
    if isinstance(value, str):
        value = [line.strip(" -*") for line in value.splitlines()]
    found = [one.get("path", "") if isinstance(one, dict) else one for one in value or ()]
    return tuple(str(one) for one in found if one)


def _with_doubled(tasks: list[PlanTask]) -> list[PlanTask]:
    """Return the tasks with those of one id numbered, and never marked."""
    count = Counter([task.id for task in tasks])
    nth: Counter[str] = Counter()
    found = []
    for task in tasks:
        nth[task.id] += 1
        if count[task.id] > 1:
            task = task.replace(nth=nth[task.id], ambiguous=f"the id stands {count[task.id]} times")  # noqa: PLW2901
        found.append(task)
    return found


# Lines


def _key_lines(text: str) -> list[int]:
    """Return the line of each key `status`.

    In JSON the bytes `"status"` before a colon are a key, unless a backslash stands before them. Keys of other objects
    are among them, and a key that is written with escapes is not: then the document has to be walked.
    """
    found = []
    line = counted = 0
    at = text.find(_STATUS)
    while at >= 0:
        line, counted = line + text.count("\n", counted, at), at
        end = at + len(_STATUS)
        if text[at - 1] != "\\" and _COLON(text, end):
            found.append(line + 1)
        at = text.find(_STATUS, end)
    return found


def _walked_lines(text: str, tag: str) -> Iterator[int]:
    wanted = list_path(tag)
    line, at = 1, 0
    for path, _, start, _, value in json_spans.spans(text, is_open):
        if path[:-1] == wanted and isinstance(value, dict):
            for place in _status_offsets(text, start):
                line, at = line + text.count("\n", at, place), place
                yield line


def _status_offsets(text: str, start: int) -> list[int]:
    """Return the offsets of the status of a task and its subtasks, in order; of a doubled key the last counts."""
    found: list[int] = []
    own: list[int] = []
    for path, _, at, _, value in json_spans.spans_at(text, start, lambda one: one in _IN_TASK):
        if path == ("status",):
            own = [at]
        elif path[:1] == ("subtasks",) and isinstance(value, dict) and "status" in value:
            found.append(at if len(path) == 1 else json_spans.members(text, at)["status"].start)
    return sorted(own + found)


# Counts


def _count_findings(path: str, text: str, document: Any, lists: dict[str, Values]) -> Iterator[Finding]:
    for tag, values in lists.items():
        stated = (document[tag] if tag else document).get("metadata")
        if not isinstance(stated, dict) or stated.keys().isdisjoint(_COUNTS):
            continue
        done = sum(STATES.get(str(one.get("status"))) == DONE for one in values)
        for key, counted in zip(_COUNTS, (len(values), done), strict=True):
            if stated.get(key, counted) != counted:
                line = json_spans.line_of(text, (*list_path(tag)[:-1], "metadata", key))
                message = f"{key} is {quoted(stated[key])}; {counted} are listed{f' under {tag}' if tag else ''}"
                yield Finding(path, line, "count", message)
