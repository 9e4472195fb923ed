"""Contradictions between the parts of a `.tasks` folder."""

from __future__ import annotations

import json

from executor.plan.formats.dot_tasks_manifest import counted, dependencies, number_of, phases, state_of
from executor.plan.formats.model import DONE, Finding
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from executor.plan.formats.dot_tasks_manifest import Entry, Manifest
    from executor.plan.formats.dot_tasks_updates import Update
    from executor.plan.formats.task_files import TaskFile

METRICS = {"total_tasks": "total_tasks", "completed_tasks": "completed", "in_progress_tasks": "in_progress"}


def findings(path: str, manifest: Manifest, files: Mapping[str, TaskFile | None]) -> list[Finding]:
    """Return the findings of a manifest and its task files; `files` has None for a file that is not there."""
    found = [*_counts(path, manifest), *_graph(path, manifest), *_phases(path, manifest)]
    for entry in manifest.entries:
        if entry.id in files:
            found += _entry_findings(path, entry, files[entry.id])
    return found


def _entry_findings(path: str, entry: Entry, file: TaskFile | None) -> Iterator[Finding]:
    if file is None and not entry.value.get("file"):
        return
    if file is None:
        message = f"{entry.id}: its file {quoted(entry.value.get('file'))} is not there: add it, or correct the name"
        yield Finding(path, entry.line, "missing-file", message)
        return
    if file.metadata.problem:
        message = f"{entry.id}: its metadata cannot be read, so its status is not changed: {file.metadata.problem}"
        yield Finding(file.path, 1, "unreadable", message)
    yield from _against_file(path, entry, file)
    still_open = [box for box in file.criteria if box.mark and not box.done]
    if entry.state == DONE and still_open:
        message = (
            f"{entry.id} is {entry.value.get('status')}, but of its acceptance criteria {len(still_open)} of "
            f"{len(file.criteria)} are open: tick what was proven, or open the task"
        )
        line = file.text.count("\n", 0, still_open[0].offset) + 1
        yield Finding(file.path, line, "done-with-open-criteria", message)


def _against_file(path: str, entry: Entry, file: TaskFile) -> Iterator[Finding]:
    data = file.metadata.data
    rows = [
        ("id", entry.id, str(data.get("id", entry.id))),
        ("status", entry.value.get("status"), data.get("status", entry.value.get("status"))),
        ("title", entry.value.get("title"), data.get("title", entry.value.get("title"))),
        ("dependencies", dependencies(entry.value), dependencies(data)),
    ]
    for key, here, there in rows:
        if here is None or there is None or here == there or (key == "status" and state_of(here) == state_of(there)):
            continue
        if key == "dependencies" and sorted(here) == sorted(there):
            continue
        line = file.metadata.line(file.text, "depends_on" if "depends_on" in data else key)
        values = f"{_shown(there)} in the file, {_shown(here)} in {path}"
        message = f"{entry.id}: {key} {values}: the manifest counts; make them equal"
        yield Finding(file.path, line, "manifest-against-file", message)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else quoted(value)


def _counts(path: str, manifest: Manifest) -> Iterator[Finding]:
    listed = counted(state_of(entry.value.get("status", "pending")) for entry in manifest.entries)
    stats = manifest.data.get("stats")
    for key, stated in stats.items() if isinstance(stats, dict) else ():
        if key in listed and number_of(stated) != listed[key]:
            message = f"stats.{key} is {quoted(stated)}, the tasks listed give {listed[key]}"
            yield Finding(path, manifest.line("stats", key), "count", message)
    mvp = manifest.data.get("mvp")
    in_phases = len({one for ids in phases(manifest).values() for one in ids})
    if isinstance(mvp, dict) and "total_tasks" in mvp and number_of(mvp["total_tasks"]) != in_phases:
        message = f"mvp.total_tasks is {quoted(mvp['total_tasks'])}, its phases list {in_phases}"
        yield Finding(path, manifest.line("mvp", "total_tasks"), "count", message)
    estimates = {entry.id: number_of(entry.value.get("estimated_hours")) for entry in manifest.entries}
    for key, phase in _phase_rows(mvp):
        hours = sum(estimates.get(str(one), 0.0) for one in phase.get("tasks") or ())
        if hours and number_of(phase.get("hours")) and hours != number_of(phase["hours"]):
            message = (
                f"phase {quoted(phase.get('name', key))} has {quoted(phase['hours'])} hours, its tasks sum to {hours:g}"
            )
            yield Finding(path, manifest.line("mvp", "phases"), "hours", message)


def _phase_rows(mvp: Any) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    rows = mvp.get("phases") if isinstance(mvp, dict) else None
    pairs = rows.items() if isinstance(rows, dict) else enumerate(rows) if isinstance(rows, list) else ()
    return [(key, value) for key, value in pairs if isinstance(value, dict)]


def _graph(path: str, manifest: Manifest) -> Iterator[Finding]:
    graph = manifest.data.get("dependency_graph")
    depends = {entry.id: set(dependencies(entry.value) or ()) for entry in manifest.entries}
    blocks: dict[str, set[str]] = {name: set() for name in depends}
    for name, before in depends.items():
        for one in before & blocks.keys():
            blocks[one].add(name)
    sources = [(entry.id, entry.value, entry.line, "its entry") for entry in manifest.entries]
    for name, value in graph.items() if isinstance(graph, dict) else ():
        if isinstance(value, dict):
            line = manifest.line("dependency_graph", name)
            sources.append((name, value, line, "dependency_graph"))
    for name, value, line, where in sources:
        for key, known in (("depends_on", depends), ("blocks", blocks)):
            stated = value.get(key)
            if not isinstance(stated, list) or (where == "its entry" and key == "depends_on"):
                continue
            if name in known and {str(one) for one in stated} != known[name]:
                there, here = ", ".join(map(str, stated)) or "none", ", ".join(sorted(known[name])) or "none"
                message = f"{name}: {key} {there} in {where}, {here} by depends_on of the tasks: make them equal"
                yield Finding(path, line, "graph-against-tasks", message)


def _phases(path: str, manifest: Manifest) -> Iterator[Finding]:
    known = {entry.id for entry in manifest.entries}
    seen: dict[str, str] = {}
    line = manifest.line("phases") or manifest.line("mvp", "phases")
    for name, ids in phases(manifest).items():
        for one in ids:
            if one not in known:
                message = f"phase {name!r} lists {one}, which is no task here: add it, or take it from the phase"
                yield Finding(path, line, "phase", message)
            if one in seen:
                message = f"{one} is in the phases {seen[one]!r} and {name!r}: take it from one of them"
                yield Finding(path, line, "phase", message)
            seen.setdefault(one, name)
    own = {entry.id: str(entry.value["phase"]) for entry in manifest.entries if entry.value.get("phase") is not None}
    for name, phase in own.items():
        if name in seen and phase != seen[name] and phase in seen.values():
            message = f"{name}: its phase is {phase!r}, but {seen[name]!r} lists it: make them equal"
            yield Finding(path, next(one.line for one in manifest.entries if one.id == name), "phase", message)


def metrics_findings(path: str, data: bytes, manifest: Manifest) -> Iterator[Finding]:
    """Yield counts of metrics.json that the manifest does not bear out."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as wrong:
        yield Finding(path, getattr(wrong, "lineno", 1), "unreadable", f"not JSON: {wrong}")
        return
    stated = found.get("project_metrics") if isinstance(found, dict) else None
    listed = counted(state_of(entry.value.get("status", "pending")) for entry in manifest.entries)
    for key, name in METRICS.items():
        if isinstance(stated, dict) and number_of(stated.get(key, listed[name])) != listed[name]:
            line = data.count(b"\n", 0, max(0, data.find(f'"{key}"'.encode()))) + 1
            yield Finding(path, line, "count", f"{key} is {quoted(stated[key])}, the manifest lists {listed[name]}")


def update_findings(path: str, pending: Iterable[Update], entries: Mapping[str, Entry]) -> Iterator[Finding]:
    """Yield updates that the manifest does not have."""
    for update in pending:
        entry = entries[update.task_id]
        message = (
            f"{update.task_id} is {quoted(entry.value.get('status'))}, the update of {update.agent_id} at "
            f"{update.timestamp} says {quoted(update.new_status)}: it was not applied"
        )
        yield Finding(path, entry.line, "unapplied-update", message)
