"""The tasks.json of task-master: one value, the status, is edited in the bytes."""

from __future__ import annotations

import json

from executor.plan.formats import json_spans
from executor.plan.formats.model import DONE, FAILED, STARTED, Finding, MarkError, PlanDocument
from executor.plan.formats.task_master_tasks import STATES, is_open, list_path, read_document, text_of
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from executor.plan.formats.model import Files, PlanTask, TaskMark

_LIST = lazy_regex.pattern(rb'"tasks"[ \t\r\n]*:[ \t\r\n]*\[')
MARKS = {DONE: "done", FAILED: "blocked", STARTED: "in-progress"}


class TaskMaster:
    """Plans of task-master, with tags or in the legacy form."""

    name = "task-master"
    marks: Mapping[str, str] = {state: f'"status": "{word}"' for state, word in MARKS.items()}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for JSON whose first task has no file and no slug; without a task the name decides."""
        if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{" or b'"tasks"' not in data:
            return False
        found, first = first_task(data)
        if not found:
            return path.rpartition("/")[2] == "tasks.json" and bool(_LIST.search(data))
        return isinstance(first, dict) and "id" in first and not {"file", "slug"} & first.keys()

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return no patterns: the file stands alone."""
        return ()

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks of all tags; a file that is not JSON has none, and a finding."""
        try:
            tasks, findings = json_spans.uncollected(lambda: read_document(path, json_spans.decoded(files[path])))
        except (ValueError, RecursionError) as wrong:
            return PlanDocument(self.name, findings=(unreadable(path, wrong),))
        return PlanDocument(self.name, tuple(tasks), tuple(findings))

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return the file with the task's `status`, and its `updatedAt` where it has one, changed."""
        word = MARKS.get(mark.state)
        if word is None:
            raise MarkError(f"{path}: task-master has no status for {mark.state}")
        if task.ambiguous or not task.line:
            raise MarkError(f"{path}: task {task.id}: {task.ambiguous or 'it has no status that could be changed'}")
        try:
            return _marked(path, json_spans.decoded(files[path]), task, word, mark.time_utc)
        except (ValueError, RecursionError) as wrong:
            raise MarkError(f"{path}: task {task.id}: {wrong}") from None


def unreadable(path: str, wrong: Exception) -> Finding:
    """Return the finding for a file that is not JSON, at the line where it stops being it."""
    return Finding(path, getattr(wrong, "lineno", 1), "unreadable", f"not JSON: {wrong}")


def first_task(data: bytes) -> tuple[bool, object]:
    """Return the first element of a list of tasks in a JSON file; (False, None) where there is none."""
    try:
        found = json_spans.spans(json_spans.decoded(data), is_open)
        return next(((True, value) for path, _, _, _, value in found if path[-2:-1] == ("tasks",)), (False, None))
    except (ValueError, RecursionError):
        return False, None


def _marked(path: str, text: str, task: PlanTask, word: str, time_utc: str) -> Files:
    value, start = _place(path, text, task)
    if STATES.get(value.get("status", "")) == STATES[word]:
        return {}
    values = {"status": word}
    if time_utc and isinstance(value.get("updatedAt"), str):
        values["updatedAt"] = time_utc
    edits = json_spans.placed(text, start, {name: json.dumps(new) for name, new in values.items()})
    changed = json_spans.edited(text, edits)
    if json_spans.value_at(changed, start) != {**value, **values}:
        raise MarkError(f"{path}: task {task.id}: the change could not be read again; the file stays as it is")
    return {path: changed.encode()}


def _place(path: str, text: str, task: PlanTask) -> tuple[dict[str, Any], int]:
    """Return the task's object as it is now, and its offset."""
    tag = f"{task.section}:"
    name, parent = task.id.removeprefix(tag), task.parent.removeprefix(tag)
    wanted = list_path(task.section)
    found = json_spans.spans(text, lambda one: one == wanted[: len(one)])
    rows = ((value, start) for at, _, start, _, value in found if len(at) > len(wanted) and at[:-1] == wanted)
    value, start = _only(path, task, rows, parent or name)
    if parent:
        below = json_spans.members(text, start)["subtasks"].start
        parts = ((json_spans.value_at(text, one.start), one.start) for one in json_spans.elements(text, below))
        value, start = _only(path, task, parts, name.removeprefix(f"{parent}."))
    if text_of(value) != task.text:
        raise MarkError(f"{path}: task {task.id} has changed since it was read: {quoted(value.get('title'))}")
    return value, start


def _only(path: str, task: PlanTask, rows: Iterable[tuple[Any, int]], name: str) -> tuple[dict[str, Any], int]:
    found = [(value, start) for value, start in rows if isinstance(value, dict) and str(value.get("id")) == name]
    if len(found) != 1:
        raise MarkError(f"{path}: task {task.id} is {'no longer there' if not found else 'there more than once'}")
    return found[0]
