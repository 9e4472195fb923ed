"""Rows of numbers from lines of metrics: JSON Lines, CSV, columns."""

from __future__ import annotations

from math import isfinite

from executor.monitoring.metrics.blanks import with_nans
from executor.monitoring.metrics.json_objects import line_in, numbers, objects
from executor.monitoring.metrics.log_text import shorn
from executor.monitoring.metrics.name_value_pairs import STEPS, pairs
from executor.monitoring.metrics.number_spelling import number
from executor.monitoring.metrics.tables import (
    COMMENTS,
    HEADING,
    columns_row,
    csv_row,
    separator_of,
    split_cells,
)
from executor.monitoring.rules.columns import is_loss
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory

    Row = dict[str, float]

RANKS = {name: rank for rank, name in enumerate(STEPS)}
LINES = ("jsonl", "ndjson", "json")
TABLES = ("csv", "tsv")


def form_of(name: str, line: str) -> str:
    """Return the form of a file by its name, else by its first line."""
    ending = name.lower().rpartition(".")[2]
    if ending in LINES or (line.lstrip().startswith("{") and objects(line)):
        return "jsonl"
    if ending in TABLES:
        return "csv" if any(sign in line for sign in "\t;,|") or not line[:1].isdigit() else "columns"
    cells = split_cells(line, separator_of(line))
    words = all(cell and " " not in cell and number(cell) is None for cell in cells)
    headed = len(cells) > 1 and words and not line.startswith(COMMENTS) and any(map(HEADING.search, cells))
    return "csv" if headed and not pairs(line) else "columns"


def read_rows(form: Memory, line: str, columns: list[str]) -> list[Row]:
    """Return the rows of a line, one for each object in it; `form` remembers header, separator, step column."""
    if form["kind"] == "csv":
        return [csv_row(form, line, columns)]
    if "{" in line:
        found = objects(line)
        if found:
            return [object_row(form, whole, columns) for whole in found]
    return [] if form["kind"] == "jsonl" else [columns_row(form, shorn(line), columns)]


def object_row(form: Memory, whole: dict[str, Any], columns: list[str]) -> Row:
    """Return the numbers of an object by the path of their names, with those of a log line inside it."""
    row, empty = numbers(whole)
    if not any(is_loss(name) or _last(name) in RANKS for name in row):
        inner = line_in(whole)
        if inner:
            inside = form.setdefault("inside", {"kind": "columns"})
            return {**row, **{name: value for one in read_rows(inside, inner, columns) for name, value in one.items()}}
    return with_nans(form, row, empty)


def _last(name: str) -> str:
    return name.replace(".", "/").rpartition("/")[2].lower()


def with_step(form: Memory, row: Row, asked: str) -> Row:
    """Return the row with its step under `step`: the column `asked`, else the most likely one of the file.

    A fraction of an epoch is no step: `form["no_step"]` is set, and `form["lost_step"]` when that is new.
    """
    name = asked or _step_column(form, row)
    if name not in row:
        return row
    if not asked and _last(name) == "epoch" and isfinite(row[name]) and row[name] % 1:
        form.update(no_step=True, lost_step=True)
        return row
    step = row.pop(name)
    row.pop("step", None)
    return {"step": step, **row} if isfinite(step) else row


def _step_column(form: Memory, row: Row) -> str:
    best: str = form.get("step", "")
    if best != STEPS[0]:
        ranks = {name: RANKS[last] for name in row if (last := _last(name)) in RANKS}
        if best:
            ranks[best] = RANKS[_last(best)]
        best = form["step"] = min(ranks, key=lambda name: ranks[name], default="")
    is_none = form.get("no_step") and _last(best) == "epoch"
    return "" if is_none else best
