"""The `.tasks` folder: manifest.json is the truth, task files, metrics.json and updates follow it."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from executor.plan.formats import json_spans
from executor.plan.formats.dot_tasks_changes import applied, folder_of, read_task_file, values_by_id
from executor.plan.formats.dot_tasks_findings import findings, metrics_findings, update_findings
from executor.plan.formats.dot_tasks_manifest import (
    WRITTEN,
    Manifest,
    critical_path,
    deferred,
    dependencies,
    manifest_of,
    number_of,
    phases,
    priority_of,
    state_of,
    written_word,
)
from executor.plan.formats.dot_tasks_updates import unapplied, update_for, updates
from executor.plan.formats.lazy_task import LazyDocument, lazy_tasks
from executor.plan.formats.model import BLOCKED, OPEN, STARTED, MarkError, PlanDocument, PlanTask
from executor.plan.formats.task_master import first_task, unreadable
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from executor.plan.formats.dot_tasks_manifest import Entry
    from executor.plan.formats.model import Files, Finding, TaskMark
    from executor.plan.formats.task_files import TaskFile


class DotTasks:
    """Plans in a `.tasks` folder; with slugs in place of files, too."""

    name = ".tasks"
    marks: Mapping[str, str] = {state: f'"status": "{word}"' for state, word in WRITTEN.items()}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for JSON whose first task has a file or a slug; without a task the name decides."""
        if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{" or b'"tasks"' not in data:
            return False
        found, first = first_task(data)
        if not found:
            return path.rpartition("/")[2] == "manifest.json"
        return isinstance(first, dict) and "id" in first and bool({"file", "slug"} & first.keys())

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return the patterns of task files, metrics, updates and copies of completed tasks."""
        return ("tasks/*", "metrics.json", "updates/*.json", "completed/*")

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks of the manifest, then the deferred ones."""
        try:
            document: PlanDocument = json_spans.uncollected(lambda: self._read(path, files))
        except (ValueError, RecursionError) as wrong:
            return PlanDocument(self.name, findings=(unreadable(path, wrong),))
        return document

    def _read(self, path: str, files: Files) -> PlanDocument:
        manifest = manifest_of(files[path])
        source = TaskSource(path, files, manifest)
        key, ids = critical_path(manifest)
        project = manifest.data.get("project")
        return LazyDocument(
            lambda: (*lazy_tasks(source, source.fields_of_all()), *_deferred(path, manifest)),
            lambda: tuple(json_spans.uncollected(lambda: [*_findings(source)])),
            format=self.name,
            title=str(project.get("name", "")) if isinstance(project, dict) else "",
            critical_path=ids,
            critical_line=manifest.line(key) if key else 0,
        )

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return the changed files in the order of their writing: update, task file, metrics, manifest.

        A task that is in progress by another run is refused. Criteria are ticked where the mark says that they were
        proven. metrics.json and copies in completed/ are kept up where they are there.
        """
        if mark.state not in WRITTEN:
            raise MarkError(f"{path}: .tasks has no status for {mark.state}")
        try:
            manifest = manifest_of(files[path])
            entry = _entry(path, files, manifest, task)
            word = written_word(manifest, mark.state)
            if _is_marked(path, files, entry, mark, word):
                return {}
            update = update_for(task, mark, word, entry.value)
            return {f"{folder_of(path, files)}{update.path()}": update.written(), **applied(path, files, update)}
        except (ValueError, RecursionError) as wrong:
            raise MarkError(f"{path}: task {task.id}: {wrong}") from None


# Reading


class TaskSource:
    """The tasks of a manifest: a method for each field of a task."""

    def __init__(self, path: str, files: Files, manifest: Manifest) -> None:
        self.path, self.bytes_of, self.manifest = path, files, manifest
        self.folder = folder_of(path, files)
        self.entries = manifest.entries
        self.phase_of = {one: name for name, ids in phases(manifest).items() for one in ids}
        self._read: dict[int, TaskFile | None] = {}

    def fields_of_all(self) -> dict[str, Sequence[Any]]:
        """Return the fields that are cheaper to derive for all tasks at once, by name."""
        ids = [one.id for one in self.entries]
        return {"id": ids, "state": [one.state or OPEN for one in self.entries], "file": [self.path] * len(ids)}

    @cached_property
    def count(self) -> Counter[str]:
        return Counter(one.id for one in self.entries)

    def task_file(self, place: int) -> TaskFile | None:
        """Return the file of a task, None where there is none that can be read."""
        if place not in self._read:
            self._read[place] = read_task_file(self.folder, self.bytes_of, self.entries[place])
        return self._read[place]

    def title(self, place: int) -> str:
        return _title(self.entries[place])

    def line(self, place: int) -> int:
        return self.entries[place].line

    def nth(self, place: int) -> int:
        own = self.entries[place].id
        return [one.id for one in self.entries[: place + 1]].count(own) if self.count[own] > 1 else 1

    def depends_on(self, place: int) -> tuple[str, ...]:
        """Return the dependencies of the entry, else of its file, else of the graph."""
        entry = self.entries[place]
        own = dependencies(entry.value)
        if own is None and (file := self.task_file(place)):
            own = dependencies(file.metadata.data)
        graph = self.manifest.data.get("dependency_graph")
        if own or not isinstance(graph, dict) or dependencies(entry.value) is not None:
            return own or ()
        node = graph.get(entry.id)
        return (dependencies(node) if isinstance(node, dict) else None) or ()

    def phase(self, place: int) -> str:
        entry = self.entries[place]
        return self.phase_of.get(entry.id, "") or str(entry.value.get("phase") or "")

    section = phase

    def tags(self, place: int) -> tuple[str, ...]:
        tags = self.entries[place].value.get("tags")
        return tuple(str(one) for one in tags) if isinstance(tags, list) else ()

    def priority(self, place: int) -> int:
        return priority_of(self.entries[place].value.get("priority"))

    def estimate_h(self, place: int) -> float:
        return number_of(self.entries[place].value.get("estimated_hours"))

    def text(self, place: int) -> str:
        return _text(self.entries[place], self.task_file(place))

    def criteria(self, place: int) -> tuple[str, ...]:
        file = self.task_file(place)
        return tuple(box.text for box in file.criteria) if file else ()

    def notes(self, place: int) -> tuple[str, ...]:
        file = self.task_file(place)
        return (*file.scenarios, *(f"risk: {one}" for one in file.risks)) if file else ()

    def ambiguous(self, place: int) -> str:
        entry = self.entries[place]
        if self.count[entry.id] > 1:
            return f"the id stands {self.count[entry.id]} times"
        if not entry.id:
            return "it has no id"
        return "" if entry.state else f"unknown status {quoted(entry.value.get('status'))}"


def _title(entry: Entry) -> str:
    return str(entry.value.get("title") or entry.value.get("slug") or entry.id)


def _text(entry: Entry, file: TaskFile | None) -> str:
    """Return all that a task asks for: its title, and its file or its description."""
    demand = file.demand if file else str(entry.value.get("description") or "")
    return f"{_title(entry)}\n{demand}".strip()


def _findings(source: TaskSource) -> Iterator[Finding]:
    """Yield the contradictions between the manifest, the task files, the figures and the updates."""
    manifest, files, folder = source.manifest, source.bytes_of, source.folder
    by_id = {one.id: source.task_file(place) for place, one in enumerate(source.entries)}
    yield from findings(source.path, manifest, by_id)
    metrics = f"{folder}metrics.json"
    if metrics in files:
        yield from metrics_findings(metrics, files[metrics], manifest)
    pending = unapplied(updates(files, folder), values_by_id(manifest))
    yield from update_findings(source.path, pending, {one.id: one for one in manifest.entries})


def _deferred(path: str, manifest: Manifest) -> Iterator[PlanTask]:
    known = {one.id for one in manifest.entries}
    for category, rows in deferred(manifest).items():
        for name, title in rows.items():
            if name not in known:
                yield PlanTask(name, title, state=BLOCKED, file=path, section=f"deferred: {category}", text=title)


# Writing


def _entry(path: str, files: Files, manifest: Manifest, task: PlanTask) -> Entry:
    """Return the task's entry as it is now."""
    if task.ambiguous or not task.line:
        raise MarkError(f"{path}: task {task.id}: {task.ambiguous or 'it has no status that could be changed'}")
    found = [one for one in manifest.entries if one.id == task.id]
    if len(found) != 1:
        raise MarkError(f"{path}: task {task.id} is {'no longer there' if not found else 'there more than once'}")
    entry = found[0]
    if _text(entry, read_task_file(folder_of(path, files), files, entry)) != task.text:
        raise MarkError(f"{path}: task {task.id} has changed since it was read: {quoted(_title(entry))}")
    return entry


def _is_marked(path: str, files: Files, entry: Entry, mark: TaskMark, word: str) -> bool:
    """Return True when the mark stands already; MarkError for a task that another run has claimed."""
    state = state_of(entry.value.get("status"))
    known = [one for one in updates(files, folder_of(path, files)) if one.task_id == entry.id]
    claim = known[-1] if known and known[-1].state == STARTED else None
    is_own = claim is not None and claim.run == mark.task_id
    if state == STARTED and not is_own and (claim or mark.state == STARTED):
        agent = claim.agent_id if claim else "an agent that left no update"
        since = entry.value.get("started_at") or (claim.timestamp if claim else "an unknown time")
        raise MarkError(f"{path}: task {entry.id} is claimed by {agent} since {since}")
    return state == state_of(word)
