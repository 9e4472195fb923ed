"""The `.tasks` folder: manifest.json is the truth, task files, metrics.json and updates follow it."""

from __future__ import annotations

from collections import Counter

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
from executor.plan.formats.model import BLOCKED, OPEN, STARTED, MarkError, PlanDocument, PlanTask
from executor.plan.formats.task_master import first_task, unreadable
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.formats.dot_tasks_manifest import Entry
    from executor.plan.formats.model import Files, TaskMark
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
        folder = folder_of(path, files)
        task_files = {one.id: read_task_file(folder, files, one) for one in manifest.entries}
        tasks = [*_tasks(path, manifest, task_files), *_deferred(path, manifest)]
        found = findings(path, manifest, task_files)
        metrics = f"{folder}metrics.json"
        found += metrics_findings(metrics, files[metrics], manifest) if metrics in files else ()
        by_id = {one.id: one for one in manifest.entries}
        found += update_findings(path, unapplied(updates(files, folder), values_by_id(manifest)), by_id)
        key, ids = critical_path(manifest)
        project = manifest.data.get("project")
        title = str(project.get("name", "")) if isinstance(project, dict) else ""
        line = manifest.line(key) if key else 0
        return PlanDocument(self.name, tuple(tasks), tuple(found), title=title, critical_path=ids, critical_line=line)

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


def _tasks(path: str, manifest: Manifest, task_files: Mapping[str, TaskFile | None]) -> Iterator[PlanTask]:
    phase_of = {one: name for name, ids in phases(manifest).items() for one in ids}
    count = Counter(one.id for one in manifest.entries)
    nth: Counter[str] = Counter()
    template = PlanTask("", "", file=path)
    graph = manifest.data.get("dependency_graph")
    for entry in manifest.entries:
        task = _task(template, entry, task_files[entry.id], phase_of.get(entry.id, ""))
        if not task.depends_on and isinstance(graph, dict) and dependencies(entry.value) is None:
            node = graph.get(entry.id)
            task = task.replace(depends_on=(dependencies(node) if isinstance(node, dict) else None) or ())
        if count[entry.id] > 1:
            nth[entry.id] += 1
            task = task.replace(nth=nth[entry.id], ambiguous=f"the id stands {count[entry.id]} times")
        yield task


def _task(template: PlanTask, entry: Entry, file: TaskFile | None, phase: str) -> PlanTask:
    value = entry.value
    own = dependencies(value)
    if own is None and file:
        own = dependencies(file.metadata.data)
    demand = file.demand if file else str(value.get("description") or "")
    title = str(value.get("title") or value.get("slug") or entry.id)
    tags = value.get("tags")
    task = template.replace(
        id=entry.id,
        title=title,
        state=entry.state or OPEN,
        line=entry.line,
        depends_on=own or (),
        phase=phase or str(value.get("phase") or ""),
        section=phase or str(value.get("phase") or ""),
        tags=tuple(str(one) for one in tags) if isinstance(tags, list) else (),
        priority=priority_of(value.get("priority")),
        estimate_h=number_of(value.get("estimated_hours")),
        text=f"{title}\n{demand}".strip(),
        ambiguous=_ambiguity(entry),
    )
    if file is None:
        return task
    notes = (*file.scenarios, *(f"risk: {one}" for one in file.risks))
    return task.replace(criteria=tuple(box.text for box in file.criteria), notes=notes)


def _ambiguity(entry: Entry) -> str:
    if not entry.id:
        return "it has no id"
    return "" if entry.state else f"unknown status {quoted(entry.value.get('status'))}"


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
    now = _task(task, entry, read_task_file(folder_of(path, files), files, entry), "")
    if now.text != task.text:
        raise MarkError(f"{path}: task {task.id} has changed since it was read: {quoted(now.title)}")
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
