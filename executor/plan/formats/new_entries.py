"""Tasks that are added to JSON or as files of their own: task-master, `.tasks` folders, Backlog.md."""

from __future__ import annotations

import re

from executor.plan.formats import json_spans
from executor.plan.formats.addition import next_id
from executor.plan.formats.dot_tasks_changes import folder_of
from executor.plan.formats.dot_tasks_manifest import manifest_of
from executor.plan.formats.model import MarkError
from executor.plan.formats.task_master_tasks import list_path
from executor.plan.scaffold import text as yaml_text
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.formats.addition import NewTask
    from executor.plan.formats.dot_tasks_manifest import Manifest
    from executor.plan.formats.model import Files, PlanDocument, PlanTask

FIRST: Mapping[str, Any] = {"id": "T000", "file": "tasks/T000.md", "depends_on": []}  # like which the first task is
EXTENSIONS = (".md", ".yaml", ".yml")


def slug(title: str) -> str:
    """Return a title as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[:50] or "task"


# task-master


def task_master(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return tasks.json with a task at the end of its list, or a subtask behind a subtask; `section` is the tag."""
    try:
        return _task_master(path, json_spans.decoded(files[path]), document, new)
    except (ValueError, KeyError, RecursionError) as wrong:
        raise MarkError(f"{path}: {wrong}") from None


def _task_master(path: str, text: str, document: PlanDocument, new: NewTask) -> Files:
    tag, values, start = _list_of(path, text, document, new)
    used = [str(one.get("id")) for one in values if isinstance(one, dict)]
    number = max((int(one) for one in used if one.isdecimal()), default=0) + 1
    is_text = bool(values) and isinstance(values[-1].get("id"), str)
    fields: dict[str, Any] = {"id": str(number) if is_text else number, "title": new.title}
    fields |= {"description": "", "details": "", "testStrategy": "", "status": "pending", "dependencies": []}
    is_part = bool(new.after and new.after.parent)
    edits = json_spans.appended(text, start, fields if is_part else {**fields, "priority": "medium", "subtasks": []})
    if not is_part and tag:
        at = json_spans.members(text, json_spans.members(text, json_spans.start_of(text))[tag].start)
        known = json_spans.value_at(text, at["metadata"].start) if "metadata" in at else {}
        if isinstance(known, dict) and isinstance(known.get("taskCount"), int):
            edits += json_spans.placed(text, at["metadata"].start, {"taskCount": str(known["taskCount"] + 1)})
    return {path: json_spans.edited(text, edits).encode()}


def _list_of(path: str, text: str, document: PlanDocument, new: NewTask) -> tuple[str, list[Any], int]:
    """Return the tag, the tasks and the offset of the list that gets the new task."""
    top = json_spans.start_of(text)
    data = json_spans.value_at(text, top)
    tags = list(dict.fromkeys(task.section for task in document.tasks))
    tag = new.after.section if new.after else next((one for one in tags if one == new.section), tags[0] if tags else "")
    if new.section and tag != new.section:
        raise MarkError(f"{path}: --section {new.section}: must be one of the tags {', '.join(filter(None, tags))}")
    at, value = top, data
    for key in list_path(tag):
        at, value = json_spans.members(text, at)[str(key)].start, value[key]
    if new.after and new.after.parent:
        wanted = new.after.parent.removeprefix(f"{tag}:")
        place = next(at for at, one in enumerate(value) if str(one.get("id")) == wanted)
        parent = json_spans.elements(text, at)[place].start
        return tag, value[place]["subtasks"], json_spans.members(text, parent)["subtasks"].start
    return tag, value, at


# .tasks


def dot_tasks(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return the task file, metrics.json and the manifest, in this order."""
    try:
        manifest = manifest_of(files[path])
        model = manifest.entries[-1].id if manifest.entries else "T000"
        name = next_id([*(task.id for task in document.tasks), *new.taken, model], model)
        return _with_entry(path, files, manifest, name, new)
    except (ValueError, KeyError, IndexError, RecursionError) as wrong:
        raise MarkError(f"{path}: {wrong}") from None


def _with_entry(path: str, files: Files, manifest: Manifest, name: str, new: NewTask) -> Files:
    folder, model = folder_of(path, files), manifest.entries[-1].value if manifest.entries else FIRST
    changed: dict[str, bytes] = {}
    entry: dict[str, Any] = {"id": int(name) if isinstance(model.get("id"), int) else name}
    if "file" in model:
        ending = next((one for one in EXTENSIONS if str(model["file"]).endswith(one)), ".md")
        entry |= {"title": new.title, "file": f"tasks/{name}-{slug(new.title).lower()}{ending}"}
        changed[f"{folder}{entry['file']}"] = _task_file(name, new.title).encode()
    else:
        entry |= {"slug": slug(new.title).lower(), **({"title": new.title} if "title" in model else {})}
    entry["status"] = "pending" if "file" in model else "todo"
    entry |= {key: model[key] for key in ("priority",) if key in model}
    entry |= {key: [] for key in ("depends_on", "dependencies", "blocks", "tags") if key in model}
    entry |= {"phase": new.section} if new.section else {}
    there = json_spans.members(manifest.text, json_spans.start_of(manifest.text))
    edits = json_spans.appended(manifest.text, there["tasks"].start, entry)
    if "stats" in there:
        edits += _one_more(manifest.text, there["stats"].start, ("total_tasks", "pending"))
    metrics = f"{folder}metrics.json"
    if metrics in files:
        text = json_spans.decoded(files[metrics])
        known = json_spans.members(text, json_spans.start_of(text))
        start = known["project_metrics"].start if "project_metrics" in known else -1
        more = _one_more(text, start, ("total_tasks", "pending_tasks")) if start >= 0 else []
        changed[metrics] = json_spans.edited(text, more).encode()
    changed[path] = json_spans.edited(manifest.text, edits).encode()
    return {name: one for name, one in changed.items() if files.get(name) != one}


def _one_more(text: str, at: int, keys: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Return the edits that count one more under those keys of an object that are there."""
    value = json_spans.value_at(text, at)
    known = {key: value.get(key) for key in keys} if isinstance(value, dict) else {}
    return json_spans.placed(text, at, {key: str(one + 1) for key, one in known.items() if type(one) is int})


def _task_file(name: str, title: str) -> str:
    return (
        f"---\nid: {name}\ntitle: {yaml_text(title)}\nstatus: pending\ndependencies: []\n---\n\n"
        "## Acceptance Criteria\n"
    )


# Backlog.md


def backlog(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return the file of the new task, beside those of the others and named like them."""
    model = new.after or document.tasks[-1]
    if new.section:
        raise MarkError(f"{path}: Backlog.md has no sections: leave out --section")
    name = next_id([*(task.id for task in document.tasks), *new.taken], model.id)
    folder, _, own = model.file.rpartition("/")
    lead = own[: len(model.id)] if own.lower().startswith(model.id.lower()) else name.lower()
    number = re.search(r"\d[\d.]*\Z", name)
    prefix = re.sub(r"\d[\d.]*\Z", "", lead) + (number[0] if number else "")
    file = f"{f'{folder}/' if folder and not folder.startswith('..') else ''}{prefix} - {slug(new.title)}.md"
    created = f"created_date: '{new.day}'\n" if new.day else ""
    text = (
        f"---\nid: {name}\ntitle: {yaml_text(new.title)}\nstatus: {_open_word(document, files)}\nassignee: []\n"
        f"{created}labels: []\ndependencies: []\n---\n\n## Description\n\n"
        "## Acceptance Criteria\n<!-- AC:BEGIN -->\n<!-- AC:END -->\n"
    )
    if file in files:
        raise MarkError(f"{file} is there already")
    return {file: text.encode()}


def _open_word(document: PlanDocument, files: Files) -> str:
    """Return the status of an open task as the others spell it."""
    words = (_status(files, task) for task in document.tasks if task.state == "open" and not task.ambiguous)
    return next((word for word in words if word.casefold() == "to do"), "To Do")


def _status(files: Files, task: PlanTask) -> str:
    found = re.search(rb"^status:[ \t]*['\"]?([^'\"#\r\n]+)", files.get(task.file, b""), re.MULTILINE)
    return found[1].decode("utf-8", "replace").strip() if found else ""
