"""Files with one JSON text, rewritten as a whole: indented objects, lists, states of a trainer."""

from __future__ import annotations

import json
import os
import re

from executor.monitoring.metrics import json_objects
from executor.monitoring.metrics.log_text import decoded
from executor.system import safe_open
from executor.system.file_tail import BLOCK_BYTES
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory

MOST_ROWS = 20_000
_FLAT = re.compile(r"\{[^{}]{1,4000}\}")
_TOTALS = ("max_steps", "total_steps")


def is_one_text(head: bytes) -> bool | None:
    """Return True when a file is one JSON text over several lines, by its start; None while it is too short."""
    text = decoded(head).lstrip()
    if not text:
        return None
    if text[0] not in "[{":
        return False
    first, end, rest = text.partition("\n")
    whole = json_objects.loaded(first)
    if isinstance(whole, list):
        return bool(whole) and isinstance(whole[0], dict)
    if isinstance(whole, dict):
        return False
    return _goes_on(first.strip(), rest.lstrip()[:1]) if end else None


def _goes_on(first: str, then: str) -> bool:
    """Return True when a first line begins a JSON text, by the character that follows."""
    if first.startswith("["):
        return first == "[" or first[1:].lstrip()[:1] == "{"
    return first == "{" and then == '"' if len(first) == 1 else first[1:].lstrip()[:1] == '"' and then not in ("{", "")


def rows_in(path: str, kept: Memory) -> list[dict[str, Any]] | None:
    """Return the objects of a file that are rows, [] when it did not change, None while it is incomplete.

    Of a file longer than a block only the flat objects at its end are returned.
    """
    status = os.stat(path)
    version = [status.st_ino, status.st_size, status.st_mtime_ns]
    kept["gained"] = 0
    if kept.get("seen") == version:
        return None if kept.get("half") else []
    kept.update(gained=status.st_size, seen=version, at=status.st_size, behind=False)
    text = decoded(safe_open.read_end(path, BLOCK_BYTES))
    if status.st_size > BLOCK_BYTES:
        found = [json_objects.loaded(one[0]) for one in _FLAT.finditer(text)]
        return [one for one in found if isinstance(one, dict)]
    whole = json_objects.loaded(text)
    kept["half"] = not isinstance(whole, list | dict)
    return None if kept["half"] else rows_of(whole)[-MOST_ROWS:]


def rows_of(whole: Any) -> list[dict[str, Any]]:
    """Return the rows of a JSON value: the objects of a list, of a history, or the one object."""
    if isinstance(whole, list):
        return [one for one in whole if isinstance(one, dict)]
    if isinstance(whole.get("log_history"), list):  # of transformers' trainer_state.json
        rows = rows_of(whole["log_history"])
        totals = {name: whole[name] for name in _TOTALS if isinstance(whole.get(name), int)}
        return [{**row, **totals} for row in rows]
    if whole and all(isinstance(one, dict) and {"steps", "values"} <= {*one} for one in whole.values()):
        return _of_series(whole)
    return _of_columns(whole) or [whole]


def _of_series(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of {name: {steps: [...], values: [...]}}, as sacred writes it."""
    rows: dict[Any, dict[str, Any]] = {}
    for name, one in whole.items():
        for step, value in zip(one["steps"], one["values"], strict=False):
            rows.setdefault(json.dumps(step), {"step": step})[name] = value
    return [*rows.values()]


def _of_columns(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of {name: [...], name: [...]}, as of the history of Keras."""
    lists = {name: one for name, one in whole.items() if isinstance(one, list) and len(one) > 1}
    length = max(map(len, lists.values()), default=0)
    if not lists or any(isinstance(value, list | dict) for one in lists.values() for value in one):
        return []
    return [{name: one[at] for name, one in lists.items() if at < len(one)} for at in range(length)]
