"""Tasks of Backlog.md: one file a task, in one folder; a mark changes values of its front matter."""

from __future__ import annotations

import re
from collections import Counter

from executor.plan.formats.dot_tasks_manifest import dependencies, priority_of
from executor.plan.formats.model import (
    BLOCKED,
    CANCELLED,
    DONE,
    OPEN,
    STARTED,
    Finding,
    MarkError,
    PlanDocument,
    PlanTask,
)
from executor.plan.formats.task_files import TaskFile, marked, task_file
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.formats.model import Files, TaskMark

WORDS = {
    OPEN: ("to do", "todo", "open", "draft", "backlog", "ready"),
    STARTED: ("in progress", "doing", "review", "in review", "testing"),
    DONE: ("done", "completed", "complete", "closed"),
    BLOCKED: ("blocked", "on hold"),
    CANCELLED: ("cancelled", "canceled", "won't do"),
}
STATES = {word: state for state, words in WORDS.items() for word in words}
MARKS = {DONE: "Done", STARTED: "In Progress"}
_ID = lazy_regex.pattern(r"[A-Za-z][A-Za-z0-9_]*-\d+(?:\.\d+)*\Z")
_STATUS = lazy_regex.pattern(rb"^status:[ \t]*['\"]?([^'\"#\r\n]+)", re.MULTILINE)
MOST_HEAD = 4096  # bytes in which front matter has its status
_KEYS = {"assignee", "created_date", "labels", "ordinal", "updated_date"}
_HEAD = lazy_regex.pattern(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(?:[^\n]*\n){0,40}?id[ \t]*:")


class BacklogMd:
    """The tasks of a folder; the plan's own file is any one of them."""

    name = "Backlog.md"
    marks: Mapping[str, str] = {state: f"status: {word}" for state, word in MARKS.items()}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for Markdown whose front matter has an id such as `BACK-7`, a status, and keys of the tool."""
        return _file(path, data) is not None

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return the patterns of the other tasks, and of those that the tool has moved away."""
        return ("*.md", "../completed/*.md")

    def read(self, path: str, files: Files) -> PlanDocument:  # noqa: ARG002 - the protocol has it
        """Return the tasks of all files, by their ordinal, then by their id."""
        found = [one for name, data in files.items() if (one := _file(name, data))]
        by_id = Counter(_id(one).casefold() for one in found)
        names = {_id(one).casefold(): _id(one) for one in found}
        nth: Counter[str] = Counter()
        tasks = []
        for file in sorted(found, key=_place):
            key = _id(file).casefold()
            nth[key] += 1
            task = _task(file, names)
            if by_id[key] > 1:
                task = task.replace(nth=nth[key], ambiguous=f"{by_id[key]} files have the id")
            tasks.append(task)
        return PlanDocument(self.name, tuple(tasks), tuple(one for file in found for one in _findings(file)))

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return the task's file with its status, its `updated_date` where it has one, and the proven criteria."""
        if mark.state not in MARKS:
            raise MarkError(f"{path}: Backlog.md has no status for {mark.state}")
        file = _file(task.file, files[task.file]) if task.file in files else None
        if task.ambiguous or file is None or _id(file) != task.id:
            raise MarkError(f"{task.file}: task {task.id}: {task.ambiguous or 'it is no longer there'}")
        now = _task(file, {})
        if now.text != task.text:
            raise MarkError(f"{task.file}: task {task.id} has changed since it was read: {quoted(now.title)}")
        if now.state == mark.state:
            return {}
        values = {"status": _word(files, mark.state)}
        if mark.time and file.metadata.data.get("updated_date"):
            values["updated_date"] = mark.time[: len(str(file.metadata.data["updated_date"]))]
        return {task.file: marked(file, values, mark.proven).encode()}


def _file(path: str, data: bytes) -> TaskFile | None:
    """Return a file when it is a task."""
    if not path.endswith(".md") or not _HEAD.match(data):
        return None
    try:
        file = task_file(path, data)
    except ValueError:
        return None
    found = file.metadata.data
    is_task = _ID.match(str(found.get("id"))) and {"title", "status"} <= found.keys() and _KEYS & found.keys()
    return file if is_task else None


def _id(file: TaskFile) -> str:
    return str(file.metadata.data["id"])


def _place(file: TaskFile) -> tuple[float, list[int], str]:
    ordinal = file.metadata.data.get("ordinal")
    numbers = [int(one) for one in re.findall(r"\d+", _id(file).rpartition("-")[2])]
    return (ordinal if isinstance(ordinal, int | float) else float("inf"), numbers, file.path)


def _state(file: TaskFile) -> str:
    """Return the state, empty for an unknown status."""
    return STATES.get(str(file.metadata.data.get("status")).strip().casefold(), "")


def _word(files: Files, state: str) -> str:
    """Return the status as the other tasks spell it, else as the tool does."""
    found = (_STATUS.search(data, 0, MOST_HEAD) for name, data in files.items() if name.endswith(".md"))
    words = Counter(one[1].decode("utf-8", "replace").strip() for one in found if one)
    same = [word for word in words if word.casefold() == MARKS[state].casefold()]
    return max(same, key=words.__getitem__) if same else MARKS[state]


def _task(file: TaskFile, names: Mapping[str, str]) -> PlanTask:
    data = file.metadata.data
    labels = data.get("labels")
    before = dependencies(data) or ()
    parent = str(data.get("parent_task_id") or _id(file).rpartition(".")[0])
    title = str(data.get("title"))
    state = _state(file)
    return PlanTask(
        _id(file),
        title,
        state=state or OPEN,
        file=file.path,
        line=file.metadata.line(file.text, "status"),
        depends_on=tuple(names.get(one.casefold(), one) for one in before),
        parent=names.get(parent.casefold(), parent),
        phase=str(data.get("milestone") or ""),
        tags=tuple(str(one) for one in labels) if isinstance(labels, list) else (),
        priority=priority_of(data.get("priority")),
        criteria=tuple(re.sub(r"^#\d+[ \t]+", "", box.text) for box in file.criteria),
        text=f"{title}\n{file.demand}".strip(),
        ambiguous="" if state else f"unknown status {quoted(data.get('status'))}",
    )


def _findings(file: TaskFile) -> Iterator[Finding]:
    still_open = [box for box in file.criteria if box.mark and not box.done]
    if _state(file) == DONE and still_open:
        line = file.text.count("\n", 0, still_open[0].offset) + 1
        message = (
            f"{_id(file)} is {file.metadata.data['status']}, but of its acceptance criteria {len(still_open)} of "
            f"{len(file.criteria)} are open: tick what was proven, or open the task"
        )
        yield Finding(file.path, line, "done-with-open-criteria", message)
