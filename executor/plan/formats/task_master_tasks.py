"""Tasks, subtasks and counts as a tasks.json of task-master declares them."""

from __future__ import annotations

import json
import re
from collections import Counter

from executor.plan.formats import json_spans
from executor.plan.formats.lazy_task import lazy_tasks
from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN, STARTED, Finding
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.plan.formats.model import PlanTask

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
_COLON = re.compile(r"[ \t\r\n]*:").match
_COUNTS = ("taskCount", "completedCount")
_ORDER = ("status", "subtasks")
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
    source = TaskSource(path, text, lists)
    tasks = [*lazy_tasks(source, {"id": source.ids})]
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


class TaskSource:
    """The tasks of a file in document order, each followed by its subtasks; a method for each field of a task."""

    def __init__(self, path: str, text: str, lists: dict[str, Values]) -> None:
        self.path, self.source, self.lists = path, text, lists
        self.values: Values = []
        self.ids: list[str] = []
        self.parents: list[int] = []  # the place of the parent, -1 for a task
        self.tags_of: list[str] = []
        self.main = next((tag for tag in MAIN_TAGS if tag in lists), next(iter(lists), ""))
        for tag, values in lists.items():
            self._add(tag, values)
        self.count = Counter(self.ids) if len(set(self.ids)) < len(self.ids) else None
        self._lines: list[int] | None = None

    def _add(self, tag: str, values: Values) -> None:
        prefix = self._prefix(tag)
        for value in values:
            name = f"{prefix}{value.get('id')}"
            place = len(self.values)
            self.values.append(value)
            self.ids.append(name)
            self.parents.append(-1)
            if value.get("subtasks"):
                parts = _objects(value["subtasks"])
                self.values += parts
                self.ids += [f"{name}.{one.get('id')}" for one in parts]
                self.parents += [place] * len(parts)
        self.tags_of += [tag] * (len(self.values) - len(self.tags_of))

    def _prefix(self, tag: str) -> str:
        return "" if tag == self.main else f"{tag}:"

    def id(self, place: int) -> str:
        return self.ids[place]

    def title(self, place: int) -> str:
        return str(self.values[place].get("title") or self.ids[place])

    def state(self, place: int) -> str:
        status = self.values[place].get("status", "pending")
        return STATES.get(status, OPEN) if isinstance(status, str) else OPEN

    def file(self, place: int) -> str:  # noqa: ARG002 - as the others
        return self.path

    def line(self, place: int) -> int:
        if self._lines is None:
            self._lines = _lines(self)
        return self._lines[place]

    def nth(self, place: int) -> int:
        return self.ids[: place + 1].count(self.ids[place]) if self.count and self.count[self.ids[place]] > 1 else 1

    def depends_on(self, place: int) -> tuple[str, ...]:
        """Return the dependencies: a subtask waits for what its task waits for, too; a short id is a sibling's."""
        listed = self.values[place].get("dependencies")
        own = [str(one) for one in listed] if isinstance(listed, list) else []
        prefix, parent = self._prefix(self.tags_of[place]), self.parents[place]
        if parent < 0:
            return tuple([f"{prefix}{one}" for one in own])
        name = self.ids[parent]
        siblings = {str(one.get("id")) for one in _objects(self.values[parent]["subtasks"])}
        waits = [f"{name}.{one}" if one in siblings else f"{prefix}{one}" for one in own]
        return (*waits, *(one for one in self.depends_on(parent) if not one.startswith(f"{name}.")))

    def parent(self, place: int) -> str:
        return self.ids[self.parents[place]] if self.parents[place] >= 0 else ""

    def section(self, place: int) -> str:
        return self.tags_of[place]

    def tags(self, place: int) -> tuple[str, ...]:
        return _texts(self.values[place].get("tags"))

    def priority(self, place: int) -> int:
        return PRIORITIES.get(str(self.values[place].get("priority")), 0)

    def files(self, place: int) -> tuple[str, ...]:
        return _texts(self.values[place].get("relevantFiles"))

    def criteria(self, place: int) -> tuple[str, ...]:
        return _texts(self.values[place].get("acceptanceCriteria"))

    def text(self, place: int) -> str:
        return text_of(self.values[place])

    def ambiguous(self, place: int) -> str:
        value = self.values[place]
        status = value.get("status", "pending")
        if self.count and self.count[self.ids[place]] > 1:
            return f"the id stands {self.count[self.ids[place]]} times"
        if not isinstance(status, str) or status not in STATES:
            return f"unknown status {quoted(status)}"
        return "" if isinstance(value.get("id"), int | str) else "it has no id"


def _texts(value: Any) -> tuple[str, ...]:
    """Return a list of texts or of objects with a path, or the lines of a text."""
    if isinstance(value, str):
        value = [line.strip(" -*") for line in value.splitlines()]
    found = [one.get("path", "") if isinstance(one, dict) else one for one in value or ()]
    return tuple(str(one) for one in found if one)


# Lines


def _lines(source: TaskSource) -> list[int]:
    """Return the line of the status of each task, 0 where it has none."""
    order = _status_order(source)
    found = _key_lines(source.source)
    text = source.source
    if len(found) != len(order) or ("\\" in text and "\\u00" in text):
        found = [line for tag in source.lists for line in _walked_lines(text, tag)]
    lines = [0] * len(source.values)
    for place, line in zip(order, found, strict=False):
        lines[place] = line
    return lines


def _status_order(source: TaskSource) -> list[int]:
    """Return the places of tasks with a status in the order in which the statuses stand."""
    order: list[int] = []
    late = -1  # a task whose status stands behind its subtasks
    for place, value in enumerate(source.values):
        if late >= 0 and source.parents[place] < 0:
            order.append(late)
            late = -1
        if "status" not in value:
            continue
        if value.get("subtasks") and [key for key in value if key in _ORDER][-1] == "status":
            late = place
        else:
            order.append(place)
    return order if late < 0 else [*order, late]


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
            inner = json_spans.spans_at(text, at, lambda one: not one)
            found.append(max(start for path, _, start, _, _ in inner if path == ("status",)))
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
