"""Numbers in the rows of tables: CSV, columns between blanks, boxes drawn with bars."""

from __future__ import annotations

import re
from math import isfinite

from executor.monitoring.metrics.blanks import SURE, SURE_OF_EMPTY, with_nans
from executor.monitoring.metrics.json_objects import NOTHING
from executor.monitoring.metrics.name_value_pairs import PAIR, pairs
from executor.monitoring.metrics.number_spelling import COUNTS, comma_of, number
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from executor.monitoring.model import Memory

    Row = dict[str, float]

LONGEST = 1 << 16
MOST_BOX = 256  # rows of a box with a name and a number each
MOST_OPEN = 20  # lines that one cell in quotes may have
COMMENTS = ("#", "//", "%", ";;")
BARS = "|│┃║"
HEADING = re.compile(r"(?i)step|iter|epoch|batch|loss|acc|lr|time|ppl|perplexity|reward|score|norm|token|error|metric")
_RULE = re.compile(r"[\s|│┃║+:=\-_*~\u2500-\u257f\u2550-\u256c]{3,}")
_ENGLISH = re.compile(r"[+-]?\d*\.(?:\d{1,2}|\d{4,})(?:e[+-]?\d+)?", re.IGNORECASE)
_POINTS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_BORDERS = re.compile(r"[│┃║]")
_WIDE = re.compile(r"\s{2,}|\t")
_SHORT_NAMES = {"#": "step", "E": "epoch"}  # spaCy's


# CSV


def separator_of(line: str) -> str:
    """Return the separator of a line: tab, semicolon, bar or comma."""
    return max("\t;,|", key=line.count)


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line of CSV; a quoted text is one cell."""
    if '"' in line:
        parts = line.split('"')
        line = "".join(part if at % 2 else part.replace(separator, "\x1f") for at, part in enumerate(parts))
        separator = "\x1f"
    return [cell.strip() for cell in line.split(separator)]


def csv_row(form: Memory, line: str, columns: list[str]) -> Row:
    """Return the numbers of a line of CSV under the names of its header."""
    line = _whole(form, line)
    if not line.strip() or _RULE.fullmatch(line):
        return {}
    if line.lstrip().startswith(COMMENTS):
        form.setdefault("comment", line.lstrip("#/%; "))
        return {}
    separator = form.get("separator") or separator_of(line)
    cells = split_cells(line, separator)
    values = _values(cells, separator, line, form.get("names", ()))
    if not any(value is not None for value in values):
        _take_header(form, cells, separator)
        return {}
    names = form.get("names") or _guessed(form, cells, values, columns, separator)
    row = _named(names, values)
    form["rowed"] = True
    empty = [(name, cell) for name, cell in zip(names, cells, strict=False) if cell.lower() in NOTHING and name]
    least = SURE if any(cell for _, cell in empty) else SURE_OF_EMPTY
    return with_nans(form, row, [name for name, _ in empty], least)


def _whole(form: Memory, line: str) -> str:
    """Return a line joined with the lines before it of the same quoted cell; empty while the cell is open."""
    if "open" not in form and line.count('"') % 2 == 0:
        return line
    held = [*form.pop("open", ()), line]
    whole = "\x1f".join(held)
    if whole.count('"') % 2 == 0:
        return whole.replace("\x1f", " ")
    if len(held) > MOST_OPEN or len(whole) > LONGEST:
        return line.replace('"', "")
    form["open"] = held
    return ""


def _values(cells: Sequence[str], separator: str, line: str, names: Sequence[str]) -> list[float | None]:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        pass
    if separator == ";" and "," in line and not any(map(_ENGLISH.fullmatch, cells)):
        return _numbers([_german(cell) for cell in cells], names, "decimal")
    return _numbers(cells, names, comma_of(line))


def _numbers(cells: Sequence[str], names: Sequence[str], comma: str) -> list[float | None]:
    """Return the number in each cell; the name of the column may decide the meaning of a comma."""
    named = [*names, *[""] * (len(cells) - len(names))]
    pairs_of = zip(cells, named, strict=False)
    return [number(cell, comma=comma, counts=bool(COUNTS.search(name))) for cell, name in pairs_of]


def _german(cell: str) -> str:
    """Return a number without the points between its thousands."""
    return cell.replace(".", "") if _POINTS.fullmatch(cell) else cell


def _take_header(form: Memory, cells: list[str], separator: str) -> None:
    """Keep a line of words as the header, unless a header with other names is in use."""
    names = form.get("names")
    if names is None or form.get("guessed") or not form.get("rowed") or {*names} & {*cells}:
        form.update(names=cells, separator=separator, guessed=len(cells) == 1)
        form.pop("kinds", None)


def _guessed(form: Memory, cells: list[str], values: list[float | None], columns: list[str], sep: str) -> list[str]:
    """Return names for a first row without a header: those of a comment before it, else default names."""
    titles = [cell for cell in re.split(rf"[\s{sep}]+", form.get("comment", "")) if cell]
    is_heading = len(titles) == len(cells) and not any(number(one) is not None for one in titles)
    names = titles if is_heading and not any(columns) else default_names(values, columns)
    form.update(names=names, separator=sep, guessed=not is_heading)
    return names


def default_names(values: Sequence[float | None], columns: list[str]) -> list[str]:
    """Return names for columns without a header: those of the plan, else a first whole number is the step."""
    if columns:
        return [*columns, *(f"column_{at + 1}" for at in range(len(columns), len(values)))]
    first = values[0]
    counts = len(values) > 1 and first is not None and isfinite(first) and first == int(first)
    known = ["step", "loss"] if counts else ["loss"]
    return [*known, *(f"column_{at + 1}" for at in range(len(known), len(values)))]


def _named(names: Iterable[str], values: Iterable[float | None]) -> Row:
    return {name: value for name, value in zip(names, values, strict=False) if value is not None and name}


# Columns and boxes


def columns_row(form: Memory, line: str, columns: list[str]) -> Row:
    """Return the numbers of a log line: the row of a table, or numbers after their names."""
    if len(line) > LONGEST or not line.strip():
        return {}
    if _RULE.fullmatch(line):
        return _closed(form)
    line = line if line.isascii() else _BORDERS.sub("|", line)
    bare = line.strip()
    if bare[0] == bare[-1] == "|" and len(bare) > 2:
        return _box_row(form, [cell.strip() for cell in bare[1:-1].split("|")])
    return _plain_row(form, line, columns)


def _closed(form: Memory) -> Row:
    """Return the numbers of a box of names and numbers at its end."""
    box: Row = form.pop("box", {})
    form.pop("section", None)
    return {name: float(value) for name, value in box.items()}


def _box_row(form: Memory, cells: list[str]) -> Row:
    heading = form.get("heading", ())
    names = heading if len(heading) == len(cells) else ["", cells[0]]
    values = _numbers(cells, names, comma_of(" ".join(cells)))
    if len(cells) == 2 and values[0] is None and (values[1] is not None or cells[0].endswith("/")):
        return _box_pair(form, cells[0], values[1])
    if all(value is None for value in values):
        form["heading"] = cells
        return {}
    return _named(heading, values) if len(heading) == len(cells) else pairs("|".join(cells))


def _box_pair(form: Memory, name: str, value: float | None) -> Row:
    """Add a line of a box of names and numbers; a name alone is the section of those below it."""
    if value is None:
        form["section"] = name
        return {}
    name, box = form.get("section", "") + name, form.setdefault("box", {})
    done = _closed(form) if name in box or len(box) >= MOST_BOX else {}
    form.setdefault("box", {})[name] = value if isfinite(value) else str(value)
    return done


def _plain_row(form: Memory, line: str, columns: list[str]) -> Row:
    is_comment = line.startswith("#")
    cells = _cells(form, line.lstrip("#"))
    heading = form.get("heading", ())
    values = _numbers(cells, heading if len(heading) == len(cells) else (), comma_of(line))
    names = _names_for(form, cells, values, columns)
    row = pairs(line) if not names else {} if is_comment else _named(names, values)
    if not row and any(map(HEADING.search, cells)):
        form["heading"] = [_SHORT_NAMES.get(cell, cell.rstrip(":")) for cell in _heading_cells(line.lstrip("#"))]
    return row


def _heading_cells(line: str) -> list[str]:
    """Return the names of columns, split at bars, else at two blanks when names contain one, else at blanks."""
    if "|" in line:
        return [cell for cell in (one.strip() for one in line.split("|")) if cell]
    wide = [cell for cell in _WIDE.split(line.strip()) if cell]
    is_wide = len(wide) > 2 and any(" " in cell for cell in wide) and not any(number(one) is not None for one in wide)
    return wide if is_wide else [cell for cell in re.split(r"[\s,;]+", line) if cell]


def _cells(form: Memory, line: str) -> list[str]:
    """Return the cells of a line, as many as the heading has when that is possible."""
    count = len(form.get("heading", ()))
    by_blanks = line.split()
    if count > 1 and len(by_blanks) == count and "," in line:
        return by_blanks
    return [cell for cell in re.split(r"[\s,;|]+", line) if cell]


def _names_for(form: Memory, cells: list[str], values: list[float | None], columns: list[str]) -> list[str]:
    """Return the names of the columns of a line, [] for a line that is no row."""
    heading: list[str] = form.get("heading", [])
    if all(value is None for value in values):
        return []
    if len(heading) == len(cells) and (None not in values or not PAIR.search(" ".join(cells))):
        return heading
    if None in values or any("%" in cell for cell in cells):
        return []
    if len(form.get("names", ())) != len(cells):
        form["names"] = default_names(values, columns)
    names: list[str] = form["names"]
    return names
