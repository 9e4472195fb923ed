"""The figures of metrics.json in a `.tasks` folder."""

from __future__ import annotations

import json
from datetime import datetime

from executor.plan.formats import json_spans
from executor.plan.formats.dot_tasks_manifest import counted, number_of, phases, state_of
from executor.plan.formats.model import DONE
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from executor.plan.formats.dot_tasks_manifest import Manifest
    from executor.plan.formats.task_files import TaskFile

    Values = Sequence[Mapping[str, Any]]


def figures(values: Values, files: Iterable[TaskFile], reworked: int) -> dict[str, float]:
    """Return the figures of `project_metrics` for entries of a manifest.

    Ratios are in percent. `reworked` is the number of tasks that were started or failed more than once. Estimates and
    actual figures are sums over the completed tasks. Coverage counts the ticked criteria of their files.
    """
    done = [value for value in values if state_of(value.get("status")) == DONE]
    count = counted(state_of(value.get("status")) for value in values)
    boxes = [box for file in files for box in file.criteria if box.mark]
    durations = [hours for value in done if (hours := number_of(value.get("actual_hours")) or _duration_h(value)) > 0]
    tokens = {key: sum(number_of(value.get(key)) for value in done) for key in ("estimated_tokens", "actual_tokens")}
    return {
        "total_tasks": count["total_tasks"],
        "completed_tasks": count["completed"],
        "in_progress_tasks": count["in_progress"],
        "pending_tasks": count["pending"],
        "blocked_tasks": count["blocked"],
        "progress_percentage": _percent(len(done), len(values)),
        "estimated_hours": round(sum(number_of(value.get("estimated_hours")) for value in done), 2),
        "actual_hours": round(sum(number_of(value.get("actual_hours")) for value in done), 2),
        "estimated_tokens": int(tokens["estimated_tokens"]),
        "actual_tokens": int(tokens["actual_tokens"]),
        "token_percentage": _percent(tokens["actual_tokens"], tokens["estimated_tokens"]),
        "average_duration_hours": round(sum(durations) / len(durations), 2) if durations else 0.0,
        "rework_percentage": _percent(reworked, len(done)),
        "criteria_coverage_percentage": _percent(sum(box.done for box in boxes), len(boxes)),
    }


def milestones(manifest: Manifest, values: Values) -> dict[str, dict[str, Any]]:
    """Return for each phase its number of tasks, how many are completed, and when the last one was."""
    by_id = {str(value.get("id")): value for value in values}
    listed = phases(manifest)
    placed = {one for ids in listed.values() for one in ids}
    for name, value in by_id.items():
        if value.get("phase") is not None and name not in placed:
            listed.setdefault(str(value["phase"]), []).append(name)
    found = {}
    for name, ids in listed.items():
        done = [by_id[one] for one in ids if one in by_id and state_of(by_id[one].get("status")) == DONE]
        last = max((str(value.get("completed_at") or "") for value in done), default="")
        complete = {"completed_at": last} if last and len(done) == len(ids) else {}
        found[name] = {"total": len(ids), "completed": len(done), **complete}
    return found


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _duration_h(value: Mapping[str, Any]) -> float:
    """Return the hours from `started_at` to `completed_at`, 0 where one of them is no time."""
    try:
        started, ended = (datetime.fromisoformat(str(value.get(key))) for key in ("started_at", "completed_at"))
        return max(0.0, (ended - started).total_seconds() / 3600)
    except (ValueError, TypeError):
        return 0.0


def with_figures(text: str, project: Mapping[str, Any], phase: Mapping[str, Any], history: Mapping[str, Any]) -> str:
    """Return metrics.json with its figures changed and the task's row added to its history, once.

    Keys that other tools have written stay as they are. Raises ValueError for what is not a JSON object.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("no object")  # noqa: TRY004 - as for text that is not JSON
    start = json_spans.start_of(text)
    for key, values in (("project_metrics", project), ("phase_milestones", phase)):
        if isinstance(data.get(key), dict):
            at = json_spans.members(text, start)[key].start
            new = {name: one for name, one in values.items() if data[key].get(name) != one}
            text = json_spans.edited(text, json_spans.placed(text, at, _written(new)))
        else:
            text = json_spans.edited(text, json_spans.placed(text, start, _written({key: values})))
    rows = data.get("task_completion_history")
    if not history or (isinstance(rows, list) and any(_same(one, history) for one in rows)):
        return text
    if isinstance(rows, list):
        at = json_spans.members(text, start)["task_completion_history"].start
        return json_spans.edited(text, json_spans.appended(text, at, history))
    return json_spans.edited(text, json_spans.placed(text, start, _written({"task_completion_history": [history]})))


def _same(row: Any, history: Mapping[str, Any]) -> bool:
    return isinstance(row, dict) and all(row.get(key) == history[key] for key in ("task_id", "completed_at"))


def _written(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
