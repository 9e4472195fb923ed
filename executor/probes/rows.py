"""Lines of metrics become rows of numbers: JSON Lines, CSV, columns."""

from __future__ import annotations

import json
import re
from math import inf, isfinite, nan

from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from executor.readings import Memory

    Row = dict[str, float]

STEPS = ("step", "global_step", "_step", "iteration", "iter", "update", "batch", "epoch")
DEEPEST = 8
LONGEST = 1 << 16
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE)
_BARE = re.compile(r"(?<=[\s:,\[])([+-]?)(?:(nan)|inf(?:inity)?)(?=[\s,}\]])", re.IGNORECASE)
_ODD = re.compile(r"([+-]?)(?:nan\(\w*\)|1\.#(?:QNAN|SNAN|IND|NAN)\w*|1\.#(INF)\w*)", re.IGNORECASE)
_HEADING = re.compile(r"(?i)step|iter|epoch|batch|loss|acc|lr|time|ppl|perplexity|reward|score|norm|token|error|metric")
_PAIR = re.compile(
    r"""(?:(?<![\w./-])(?P<part>train|training|val|valid|validation|eval|test|dev)[\ _/]+)?
    (?<![\w./-])(?P<name>[A-Za-z_][\w./-]*)["']?
    (?:\s*(?P<said>[=:])\s*|\s+)["']?
    (?P<number>[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?))(?!\w|\.\d)""",
    re.IGNORECASE | re.VERBOSE,
)
_CAN_BE_NAN = re.compile(r"(?i)(loss|norm|lr|ppl|perplexity|grad\w*|acc\w*|score|reward|rate)$")


def number(text: str) -> float | None:
    """Return the number that a text spells, None for other text."""
    try:
        return float(text)
    except ValueError:
        odd = _ODD.fullmatch(text.strip())
        return None if odd is None else float(f"{odd[1]}inf") if odd[2] else nan


def form_of(name: str, line: str) -> str:
    """Return the form of a file by its name, else by its first line."""
    ending = name.lower().rpartition(".")[2]
    if ending in ("jsonl", "ndjson", "json") or isinstance(_loaded(line), dict):
        return "jsonl"
    if ending in ("csv", "tsv"):
        return "csv"
    cells = split_cells(line, separator_of(line))
    words = all(cell and " " not in cell and number(cell) is None for cell in cells)
    headed = len(cells) > 1 and words and not line.startswith("#") and any(map(_HEADING.search, cells))
    return "csv" if headed and not _PAIR.search(line) else "columns"


def plain(raw: bytes) -> str:
    """Return a line as text, empty for one that is none."""
    try:
        line = raw.strip(b"\0\r ").rpartition(b"\r")[2].decode("utf-8")
    except UnicodeDecodeError:
        return ""
    line = _COLOUR.sub("", line) if "\x1b" in line else line
    return line.lstrip("\ufeff") if line.replace("\t", " ").lstrip("\ufeff").isprintable() else ""


def read_row(form: Memory, line: str, columns: list[str]) -> Row:
    """Return the numbers of a line by column, {} for one without; `form` remembers header, separator, step column."""
    return _READERS[form["kind"]](form, line, columns)


def _json_row(form: Memory, line: str, columns: list[str]) -> Row:
    row: Row = {}
    if line.startswith("{"):
        _flatten(_loaded(line), "", row, DEEPEST)
    return row


def _loaded(line: str) -> Any:
    """Return what a line of JSON holds; nan and inf may be written as other languages do."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        mended = _BARE.sub(lambda hit: f"{hit[1].strip('+')}{'NaN' if hit[2] else 'Infinity'}".replace("-N", "N"), line)
    try:
        return json.loads(mended) if mended != line else None
    except (ValueError, RecursionError):
        return None


def _flatten(said: Any, name: str, row: Row, depth: int) -> None:
    if isinstance(said, dict):
        for key, inner in said.items() if depth else ():
            _flatten(inner, f"{name}/{key}" if name else key, row, depth - 1)
    elif isinstance(said, int | float) and not isinstance(said, bool):
        row[name] = _as_float(said)
    elif isinstance(said, str) and _NOT_FINITE.fullmatch(said):
        row[name] = float(said)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def separator_of(line: str) -> str:
    """Return which of tab, semicolon and comma parts a line."""
    return max("\t;,", key=line.count)


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line of CSV; what stands in quotes is one cell."""
    if '"' in line:
        parts = line.split('"')
        line = "".join(part if at % 2 else part.replace(separator, "\x1f") for at, part in enumerate(parts))
        separator = "\x1f"
    return [cell.strip() for cell in line.split(separator)]


def _csv_row(form: Memory, line: str, columns: list[str]) -> Row:
    separator = form.setdefault("separator", separator_of(line))
    cells = split_cells(line, separator)
    values = [number(cell.replace(",", ".") if separator == ";" else cell) for cell in cells]
    names = form.get("names")
    if not any(value is not None for value in values):
        if names is None or {*names} & {*cells}:
            form["names"] = cells
        return {}
    if names is None:
        names = form["names"] = default_names(values, columns)
    return _named(names, values)


def _columns_row(form: Memory, line: str, columns: list[str]) -> Row:
    if len(line) > LONGEST:
        return {}
    cells = [cell for cell in re.split(r"[\s,;|]+", line.lstrip("#")) if cell]
    values = [number(cell) for cell in cells]
    names = _names_for(form, cells, values, columns)
    row = _pairs(line) if not names else {} if line.startswith("#") else _named(names, values)
    if not row and any(map(_HEADING.search, cells)):
        form["heading"] = cells
    return row


def _names_for(form: Memory, cells: list[str], values: list[float | None], columns: list[str]) -> list[str]:
    """Return the names of the columns of a line, [] for one that is not made of columns."""
    heading: list[str] = form.get("heading", [])
    if all(value is None for value in values):
        return []
    if len(heading) == len(cells) and (None not in values or not _PAIR.search(" ".join(cells))):
        return heading
    if None in values:
        return []
    if len(form.get("names", ())) != len(cells):
        form["names"] = default_names(values, columns)
    names: list[str] = form["names"]
    return names


def default_names(values: list[float | None], columns: list[str]) -> list[str]:
    """Return names for columns without a header: those asked for, else a first whole number is the step."""
    if columns:
        return [*columns, *(f"column_{at + 1}" for at in range(len(columns), len(values)))]
    first = values[0]
    counts = len(values) > 1 and first is not None and isfinite(first) and first == int(first)
    known = ["step", "loss"] if counts else ["loss"]
    return [*known, *(f"column_{at + 1}" for at in range(len(known), len(values)))]


def _named(names: Iterable[str], values: Iterable[float | None]) -> Row:
    return {name: value for name, value in zip(names, values, strict=False) if value is not None and name}


def _pairs(line: str) -> Row:
    """Return the numbers that follow a name: `step=12 loss=0.3`, `iter 12: train loss 0.3`."""
    row: Row = {}
    for hit in _PAIR.finditer(line):
        value = float(hit["number"])
        if isfinite(value) or hit["said"] or _CAN_BE_NAN.search(hit["name"]):
            row[f"{hit['part']}_{hit['name']}" if hit["part"] else hit["name"]] = value
    return row


_READERS: Mapping[str, Callable[[Memory, str, list[str]], Row]] = {
    "jsonl": _json_row,
    "csv": _csv_row,
    "columns": _columns_row,
}


def with_step(form: Memory, row: Row, asked: str) -> Row:
    """Return the row with its step under `step`; without a name asked for, the best known column of the file is it."""
    name = asked or _step_column(form, row)
    if name not in row:
        return row
    step = row.pop(name)
    row.pop("step", None)
    return {"step": step, **row} if isfinite(step) else row


def _step_column(form: Memory, row: Row) -> str:
    best: str = form.get("step", "")
    if best != STEPS[0]:
        ranks = {name: STEPS.index(last) for name in row if (last := name.rpartition("/")[2].lower()) in STEPS}
        if best:
            ranks[best] = STEPS.index(best.rpartition("/")[2].lower())
        best = form["step"] = min(ranks, key=lambda name: ranks[name], default="")
    return best
