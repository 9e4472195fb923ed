"""Numbers in JSON objects, by the path of their names."""

from __future__ import annotations

import json
import re
from math import inf

from executor.monitoring.metrics.number_spelling import COUNTS, LONGEST, number
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Row = dict[str, float]

DEEPEST = 8
MOST_OBJECTS = 64  # of a line
TEXTS = ("log", "message", "msg", "text", "event", "line")  # keys under which a log collector keeps the line
NOTHING = ("", "null", "none", "na", "n/a", "nil", "<na>", "undefined")
_BARE = re.compile(r"(?<=[\s:,\[])([+-]?)(?:(nan)|inf(?:inity)?)(?=[\s,}\]])", re.IGNORECASE)
_START = re.compile(r"\{\s*[\"}]")
_DECODER = json.JSONDecoder()


def loaded(line: str) -> Any:
    """Return the value of a JSON text, None for invalid JSON; nan and inf of other languages are accepted."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        mended = _mended(line)
    try:
        return json.loads(mended) if mended != line else None
    except (ValueError, RecursionError):
        return None


def _mended(line: str) -> str:
    return _BARE.sub(lambda hit: f"{hit[1].strip('+')}{'NaN' if hit[2] else 'Infinity'}".replace("-N", "N"), line)


def objects(line: str) -> list[dict[str, Any]]:
    """Return the objects in a line in order, with any text around them."""
    whole = loaded(line) if line.startswith("{") else None
    if isinstance(whole, dict):
        return [whole]
    found, mended = [*_objects(line)], _mended(line)
    return found if mended == line else max(found, [*_objects(mended)], key=len)


def _objects(line: str) -> Iterator[dict[str, Any]]:
    at = 0
    for _ in range(MOST_OBJECTS):
        start = _START.search(line, at)
        if start is None:
            return
        try:
            whole, at = _DECODER.raw_decode(line, start.start())
        except (ValueError, RecursionError):
            return
        if isinstance(whole, dict):
            yield whole


def numbers(whole: dict[str, Any]) -> tuple[Row, list[str]]:
    """Return the numbers of an object by the path of their names, and the names without a value."""
    row: Row = {}
    empty: list[str] = []
    _flatten(whole, "", row, empty, DEEPEST)
    return row, empty


def _flatten(value: Any, name: str, row: Row, empty: list[str], depth: int) -> None:
    if isinstance(value, dict):
        for key, inner in value.items() if depth else ():
            _flatten(inner, f"{name}/{key}" if name else key, row, empty, depth - 1)
    elif isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict):
        _flatten(value[0], name, row, empty, depth and depth - 1)
    elif value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        empty.append(name)
    elif (found := as_number(value, name)) is not None:
        row[name] = found


def as_number(value: Any, name: str) -> float | None:
    """Return a number, or the number in a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _as_float(value)
    if isinstance(value, str) and len(value) <= LONGEST:
        return number(value, counts=bool(COUNTS.search(name)))
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def line_in(whole: dict[str, Any]) -> str:
    """Return the line that a log collector has put into an object, empty without one."""
    text = next((whole[key] for key in TEXTS if isinstance(whole.get(key), str)), "")
    return str(text).strip()
