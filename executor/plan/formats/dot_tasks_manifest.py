"""The manifest.json of a `.tasks` folder: entries, states, phases, and what it counts."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from executor.plan.formats import json_spans
from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, FAILED, OPEN, STARTED
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

WORDS = {
    OPEN: ("pending", "todo", "to_do", "open", "not_started", "ready", "planned", "backlog"),
    STARTED: ("in_progress", "started", "active", "doing", "review", "in_review"),
    DONE: ("completed", "complete", "done"),
    FAILED: ("failed",),
    BLOCKED: ("blocked", "on_hold", "deferred"),
    CANCELLED: ("cancelled", "canceled", "skipped"),
}
STATES = {word: state for state, words in WORDS.items() for word in words}
WRITTEN = {DONE: "completed", STARTED: "in_progress", FAILED: "blocked"}
COUNTERS = {"completed": DONE, "in_progress": STARTED, "pending": OPEN, "blocked": BLOCKED}
_STATUS = '"status"'
_OPEN_PATHS = ((), ("tasks",))


class Entry(Record):
    """An entry of the manifest: its value, the offset of its object, the line of its status (0 without one).

    `state` is empty for an unknown word; a task with something in `blocked_by` is blocked.
    """

    value: Mapping[str, Any]
    start: int
    line: int
    id: str
    state: str


class Manifest(Record):
    """A manifest as it was read; `data` holds everything but the entries."""

    text: str
    data: Mapping[str, Any]
    entries: tuple[Entry, ...]

    def line(self, *path: str) -> int:
        return json_spans.line_of(self.text, path)


def state_of(word: Any) -> str:
    """Return the state that a status stands for, empty for an unknown one."""
    if not isinstance(word, str):
        return ""
    return STATES.get(word) or STATES.get(re.sub(r"[ -]+", "_", word.strip().lower()), "")


@lru_cache(maxsize=2)
def manifest_of(data: bytes) -> Manifest:
    """Return the manifest, of the same bytes the same one. Raises ValueError for what is not a JSON object."""
    text = json_spans.decoded(data)
    rest: dict[str, Any] = {}
    entries = []
    line, at = 1, 0
    for path, _, start, end, value in json_spans.spans(text, lambda path: path in _OPEN_PATHS):
        if path[:1] == ("tasks",) and len(path) == 2 and isinstance(value, dict):
            place = _status_offset(text, start, end, value)
            if place:
                line, at = line + text.count("\n", at, place), place
            state = state_of(value.get("status", "pending"))
            state = BLOCKED if state == OPEN and value.get("blocked_by") else state
            entries.append(Entry(value, start, line if place else 0, _id(value), state))
        elif path:
            rest[str(path[0])] = value
        else:
            raise ValueError("the document is no object")
    return Manifest(text, rest, tuple(entries))


def _status_offset(text: str, start: int, end: int, value: Mapping[str, Any]) -> int:
    """Return the offset of the key `status` of an entry, 0 where it has none."""
    if "status" not in value:
        return 0
    at = text.find(_STATUS, start, end)
    if at >= 0 and text.find(_STATUS, at + 1, end) < 0 and text[at - 1] != "\\":
        return at
    places = [
        key for path, key, _, _, _ in json_spans.spans_at(text, start, lambda one: not one) if path == ("status",)
    ]
    return places[-1]


def written_word(manifest: Manifest, state: str) -> str:
    """Return the status that is written for a state: the usual word, unless the manifest uses another one alone."""
    used = [str(entry.value.get("status")) for entry in manifest.entries]
    usual = "done" if state == DONE and any("slug" in entry.value for entry in manifest.entries) else WRITTEN[state]
    others = [word for word in used if state_of(word) == state_of(usual)]
    return usual if usual in others or not others else others[0]


# What entries say


def dependencies(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the ids that an entry or the metadata of a file depends on, None where it says nothing."""
    found = value.get("depends_on", value.get("dependencies"))
    if found is None and not {"depends_on", "dependencies"} & value.keys():
        return None
    if isinstance(found, str):
        return tuple(re.findall(r"[\w.-]+", found)) if found.lower() not in ("none", "-", "") else ()
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def priority_of(value: Any) -> int:
    """Return 1 for the most urgent: of `P1-MVP`, `P1`, 1 or `high`; 0 where there is none."""
    words = {"critical": 1, "high": 2, "medium": 3, "low": 4}
    number = re.match(r"[Pp]?(\d+)", str(value))
    return max(1, int(number[1])) if number else words.get(str(value).lower(), 0)


def number_of(value: Any) -> float:
    """Return a number as it stands or as a text begins with one, 0 for anything else."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)", str(value)) if not isinstance(value, bool) else None
    return float(found[1]) if found else 0.0


def phases(manifest: Manifest) -> dict[str, list[str]]:
    """Return the ids that each phase lists, in the forms `phases` and `mvp.phases` have: a list or an object."""
    mvp = manifest.data.get("mvp")
    found: dict[str, list[str]] = {}
    for holder in (manifest.data, mvp if isinstance(mvp, dict) else {}):
        listed = holder.get("phases")
        rows = listed.items() if isinstance(listed, dict) else enumerate(listed or ()) if listed else ()
        for key, value in rows:
            if isinstance(value, dict) and isinstance(value.get("tasks"), list):
                found[str(value.get("name", key))] = [_id(one) for one in value["tasks"]]
    return found


def deferred(manifest: Manifest) -> dict[str, dict[str, str]]:
    """Return id -> title of the deferred tasks, by category."""
    holder = manifest.data.get("deferred_tasks")
    categories = holder.get("categories") if isinstance(holder, dict) else None
    return {
        str(name): {_id(one): str(one.get("title", _id(one))) if isinstance(one, dict) else _id(one) for one in rows}
        for name, value in (categories.items() if isinstance(categories, dict) else ())
        for rows in [value.get("tasks") if isinstance(value, dict) else value]
        if isinstance(rows, list)
    }


def _id(value: Any) -> str:
    found = value.get("id") if isinstance(value, dict) else value
    return "" if found is None else str(found)


def critical_path(manifest: Manifest) -> tuple[str, tuple[str, ...]]:
    """Return the key of the critical path and its ids."""
    for key in ("critical_path", "critical_path_mvp"):
        found = manifest.data.get(key)
        if isinstance(found, list):
            return key, tuple(_id(one) for one in found)
    return "", ()


def counted(states: Iterable[str]) -> dict[str, int]:
    """Return the figures of `stats` for these states."""
    count = Counter(states)
    return {"total_tasks": count.total(), **{name: count[state] for name, state in COUNTERS.items()}}
