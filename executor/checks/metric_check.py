"""Check the last value of a metric, with the readers of the monitors."""

from __future__ import annotations

import json
import os
from math import inf

from executor.checks.fresh_files import SINCE, Fresh, grown_from, number, read_files
from executor.checks.project_worker import asked, no, text, yes
from executor.monitoring.metrics import json_files, json_objects, mlflow, rows
from executor.monitoring.metrics.log_text import plain
from executor.system.records import TYPE_CHECKING
from executor.system.text_files import MOST_BYTES, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from executor.checks.project_worker import Answer, Fields

BLOCK = 1 << 20
PARTS = (BLOCK, 16 * BLOCK, MOST_BYTES)  # of its end, one after another, until the name is found
MOST_HEADER = 30
ABSENT = object()
UNNAMED = [""]  # a number without a name is evidence of nothing
BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "below": ("below", lambda value, bound: value < bound),
    "above": ("above", lambda value, bound: value > bound),
    "equals": ("equal to", lambda value, bound: abs(value - bound) <= 1e-9 * abs(bound)),
    "min": ("at least", lambda value, bound: value >= bound),
    "max": ("at most", lambda value, bound: value <= bound),
}


def metric(asks: Any) -> Answer:
    """Options: name (may be dotted), file (any that a monitor reads), bounds as in BOUNDS, and those of SINCE."""
    fields = asked(asks, "", ("name", "file", *SINCE, *BOUNDS))
    name, bounds = text(fields, "name"), {key: number(fields, key) for key in BOUNDS if key in fields}
    wants = " and ".join(f"{BOUNDS[key][0]} {bound:g}" for key, bound in bounds.items())
    expected = f"{name} {wants or 'as a finite number'}"
    path = read_files(fields, expected)[0]
    row = last_row(path, name, fields)
    value = looked_up(row, name)
    if value is None:
        return no(expected, *missing(path, name, row, is_grown=grown_from(fields, path) > 0))
    got = f"{name} = {value} in {path}"
    if not abs(figure(value, name)) < inf:
        return no(expected, got, "only a finite number counts: read the log of the run")
    if all(BOUNDS[key][1](figure(value, name), bound) for key, bound in bounds.items()):
        return yes(expected, got)
    return no(expected, got, "the run did not reach it: read its log, or correct the bound")


def missing(path: str, name: str, row: Fields, *, is_grown: bool) -> tuple[str, str]:
    known = ", ".join(str(key) for key in [*scopes(row)[0]][:8]) or "nothing"
    where = f"the new rows of {path}" if is_grown else path
    return f"no {name} in {where}", f"write {name} there; its names: {known}"


def last_row(path: str, name: str, fields: Fields) -> Fields:
    """Return the last row with the name that MAIN has written, else its last row, else {}."""
    last: Fields = {}
    for found in parts_of(path, fields):
        for row in found:
            last = last or row
            if looked_up(row, name) is not None:
                return row
    return last


def parts_of(path: str, fields: Fields) -> Iterator[Iterable[Fields]]:
    """Yield the rows of a file, the last one first, of more and more of its end."""
    if mlflow.is_database(path):
        yield reversed([*mlflow.all_rows(path)])
        return
    size = os.stat(path).st_size
    behind = grown_from(fields, path)
    fresh = Fresh(fields, path)
    whole = read_text(path, behind) if size - behind <= PARTS[1] else ""
    content = json_objects.loaded(whole) if whole else None
    if isinstance(content, list | dict):
        yield [row for row in reversed(json_files.rows_of(content)) if fresh.is_news(json.dumps(row, sort_keys=True))]
        return
    head = first_lines(path)
    for length in PARTS:
        start = max(behind, size - length)
        yield line_rows(path, head, read_text(path, start, cut=start > behind), fresh)
        if start == behind:
            return


def first_lines(path: str) -> list[str]:
    with open(path, "rb") as file:
        lines = [plain(raw) for raw in file.read(BLOCK).splitlines()[: 4 * MOST_HEADER]]
    return [line for line in lines if line][:MOST_HEADER]


def line_rows(path: str, head: list[str], content: str, fresh: Fresh) -> Iterable[Fields]:
    """Return the rows of lines, the last one first."""
    lines = content.split("\n")
    form = {"kind": rows.form_of(path, head[0] if head else "")}
    form["metric"] = mlflow.name_of(path, head[0] if head else "")
    if form["kind"] == "jsonl":
        return objects_in(lines, fresh)
    if form["metric"]:
        return [mlflow.row_of(form["metric"], line) for line in reversed(lines) if fresh.is_news(line)]
    return [*table_rows(form, head, lines, fresh)][::-1]


def objects_in(lines: list[str], fresh: Fresh) -> Iterator[Fields]:
    for line in reversed(lines):
        if "{" in line and fresh.is_news(line):
            yield from reversed(json_objects.objects(plain(line.encode("utf-8", "replace"))))


def table_rows(form: dict[str, Any], head: list[str], lines: list[str], fresh: Fresh) -> Iterator[Fields]:
    for line in head:
        rows.read_rows(form, line, UNNAMED)
    for key in ("open", "box", "section"):
        form.pop(key, None)
    for line in lines:
        is_news, shown = fresh.is_news(line), plain(line.encode("utf-8", "replace"))
        for row in rows.read_rows(form, shown, UNNAMED) if shown.strip() else ():
            if row and is_news:
                yield {**row, **rows.with_step(form, dict(row), "")}


def scopes(row: Fields) -> list[Fields]:
    return [scope for scope in (row.get("metrics"), row) if isinstance(scope, dict)]


def looked_up(row: Fields, name: str) -> Any:
    """Return the value of a name (whole, dotted, with slashes) in `metrics` or at the top, None when missing."""
    for scope in scopes(row):
        for spelled in (name, name.replace(".", "/")):
            if spelled in scope:
                return shown(scope[spelled])
        value: Any = scope
        for part in name.replace("/", ".").split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return shown(value)
    return shown(flat(row).get(name.replace(".", "/"), ABSENT))


def flat(row: Fields) -> Fields:
    """Return the numbers of an object as a monitor reads them, the step under `step`."""
    form: dict[str, Any] = {"kind": "jsonl"}
    return dict(rows.with_step(form, rows.object_row(form, row, UNNAMED), ""))


def shown(value: Any) -> Any:
    """Return a value for a message: `null` for None, the item of a list of one, whole numbers without a point."""
    if value is ABSENT:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value == value // 1 and abs(value) < 1e15:
        return int(value)
    return "null" if value is None else value


def figure(value: Any, name: str) -> float:
    """Return a number; NaN for any other value."""
    number = json_objects.as_number(value, name)
    return float("nan") if number is None else number
