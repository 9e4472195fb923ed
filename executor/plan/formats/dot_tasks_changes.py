"""Changes of a `.tasks` folder by an update."""

from __future__ import annotations

import json

from executor.plan.formats import json_spans
from executor.plan.formats.dot_tasks_figures import figures, milestones, with_figures
from executor.plan.formats.dot_tasks_manifest import Manifest, counted, manifest_of, state_of
from executor.plan.formats.dot_tasks_updates import Update, reworked, updates
from executor.plan.formats.model import DONE, STARTED, MarkError
from executor.plan.formats.task_files import TaskFile, marked, task_file
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.formats.dot_tasks_manifest import Entry
    from executor.plan.formats.model import Files


def folder_of(path: str, files: Files) -> str:
    """Return the beginning of the paths of the plan's other files: empty where they are relative to its folder."""
    folder = path[: path.rfind("/") + 1]
    return folder if any(name.startswith(folder) and name != path for name in files) else ""


def values_by_id(manifest: Manifest) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a manifest by their ids."""
    return {one.id: one.value for one in manifest.entries}


def _file_path(folder: str, files: Files, entry: Entry) -> str:
    """Return the path of an entry's task file: the one that it names, else one that begins with its id."""
    named = entry.value.get("file")
    if isinstance(named, str):
        return f"{folder}{named.removeprefix('./').removeprefix('.tasks/')}"
    start = f"{folder}tasks/{entry.id}"
    return next((name for name in files if name.startswith(start) and name[len(start)] in "-_."), "")


def read_task_file(folder: str, files: Files, entry: Entry) -> TaskFile | None:
    """Return an entry's task file, None when it is not there or not UTF-8."""
    path = _file_path(folder, files, entry)
    try:
        return task_file(path, files[path]) if path in files else None
    except ValueError:
        return None


def applied(path: str, files: Files, update: Update) -> Files:
    """Return the files that an update changes: task file, metrics, copy of a completed task, manifest."""
    manifest = manifest_of(files[path])
    entry = next(one for one in manifest.entries if one.id == update.task_id)
    folder = folder_of(path, files)
    values = _new_values(update)
    if "file" not in entry.value:  # the dialect with slugs has no times: its keys alone are changed
        values = {name: one for name, one in values.items() if name in entry.value}
    changed: dict[str, bytes] = {}
    file = read_task_file(folder, files, entry)
    if file:
        text = marked(file, {name: str(one) for name, one in values.items()}, update.proven)
        changed[file.path] = text.encode()
    now = [{**one.value, **values} if one is entry else one.value for one in manifest.entries]
    metrics = f"{folder}metrics.json"
    if metrics in files:
        try:
            changed[metrics] = _metrics(folder, {**files, **changed}, manifest, now, update)
        except (ValueError, RecursionError):
            pass  # figures that cannot be read stay as they are: reading the plan reports it
    copies = f"{folder}completed/"
    if file and update.state == DONE and any(name.startswith(copies) for name in files):
        changed[copies + file.path.rpartition("/")[2]] = changed[file.path]
    changed[path] = _manifest(path, manifest, entry, values, now)
    return {name: data for name, data in changed.items() if files.get(name) != data}


def _new_values(update: Update) -> dict[str, Any]:
    """Return the values that an update gives the entry of its task."""
    if update.state == STARTED:
        return {"status": update.new_status, "started_at": update.timestamp}
    if update.state != DONE:
        return {"status": update.new_status}
    counted_values = {"actual_hours": update.hours, "actual_tokens": update.tokens}
    done = {"status": update.new_status, "completed_at": update.timestamp, "completed_by": update.agent_id}
    return done | {name: one for name, one in counted_values.items() if one}


def _metrics(folder: str, files: Files, manifest: Manifest, now: list[Mapping[str, Any]], update: Update) -> bytes:
    pairs = zip(manifest.entries, now, strict=True)
    done_files = [read_task_file(folder, files, one) for one, value in pairs if state_of(value.get("status")) == DONE]
    project = figures(now, [one for one in done_files if one], reworked([*updates(files, folder), update]))
    value = next(one for one in now if str(one.get("id")) == update.task_id)
    kept = ("completed_at", "completed_by", "estimated_hours", "actual_hours", "estimated_tokens", "actual_tokens")
    history = {"task_id": update.task_id, **{key: value[key] for key in kept if value.get(key) is not None}}
    text = json_spans.decoded(files[f"{folder}metrics.json"])
    return with_figures(text, project, milestones(manifest, now), history if update.state == DONE else {}).encode()


def _manifest(
    path: str, manifest: Manifest, entry: Entry, values: Mapping[str, Any], now: list[Mapping[str, Any]]
) -> bytes:
    text = manifest.text
    new = {name: json.dumps(one, ensure_ascii=False) for name, one in values.items()}
    edits = json_spans.placed(text, entry.start, new, after="status")
    stats = manifest.data.get("stats")
    if isinstance(stats, dict):
        at = json_spans.members(text, json_spans.start_of(text))["stats"].start
        count = counted(state_of(one.get("status", "pending")) for one in now)
        edits += json_spans.placed(
            text, at, {key: str(count[key]) for key in count if stats.get(key, count[key]) != count[key]}
        )
    data = json_spans.edited(text, edits).encode()
    if [one.value for one in manifest_of(data).entries] != now:
        raise MarkError(f"{path}: task {entry.id}: the change could not be read again; no file is changed")
    return data
