"""Metrics in the store of MLflow: one file for each metric, or a database."""

from __future__ import annotations

import os
import re
from contextlib import closing
from math import inf, nan

from executor.monitoring.metrics.number_spelling import number
from executor.system import safe_open
from executor.system.files import size_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.monitoring.model import Memory

    Row = dict[str, float]

MAGIC = b"SQLite format 3\0"
ENDINGS = (".db", ".sqlite", ".sqlite3")
MOST_ROWS = 5_000
HUGE = 1.7e308  # MLflow writes infinity as about this
WAIT_S = 0.2
_PATH = re.compile(r"(?:^|/)metrics/(.+)$")
_LINE = re.compile(r"\d{12,14}\s\S{1,40}\s-?\d{1,15}")
_NEW = "SELECT rowid, key, value, step, is_nan, run_uuid FROM metrics WHERE rowid > ? ORDER BY rowid LIMIT ?"
_NEWEST = _NEW.replace("WHERE rowid > ? ORDER BY rowid", "ORDER BY rowid DESC")
_LAST = "SELECT coalesce(max(rowid), 0) FROM metrics"


def name_of(path: str, line: str) -> str:
    """Return the name of the metric in a file such as `mlruns/0/ID/metrics/loss`, empty for another file."""
    hit = _PATH.search(path)
    return hit[1] if hit and _LINE.fullmatch(line) else ""


def row_of(name: str, line: str) -> Row:
    """Return the row of a line: time in ms, value, step."""
    parts = line.split()
    value, step = (number(part) for part in parts[1:]) if len(parts) == 3 else (None, None)
    return {} if value is None or step is None else {"step": step, name: value}


def is_database(path: str) -> bool:
    """Return True when a file is an SQLite database."""
    return path.endswith(ENDINGS) and safe_open.read_start(path, len(MAGIC)) == MAGIC


def database_rows(path: str, kept: Memory, began_ns: int) -> Iterator[Row]:
    """Yield the new rows of MLflow's table, one for each step; ValueError for a database without the table.

    No lock is taken, so the writer never waits; a database that is being written is left for the next look.
    """
    status = os.stat(path)
    version, size = [status.st_ino, status.st_size, status.st_mtime_ns], size_of(f"{path}-wal")
    kept["gained"] = 0
    if kept.get("seen") == [*version, size] or size_of(f"{path}-journal"):
        return
    is_old = "rowid" not in kept and max(status.st_mtime_ns, _changed(f"{path}-wal")) < began_ns
    way = "mode=ro" if size else "mode=ro&nolock=1"  # with a write-ahead log readers never block the writer
    found = _select(path, way, *((_LAST, ()) if is_old else (_NEW, (kept.get("rowid", 0), MOST_ROWS))))
    if found is None:
        return
    if size_of(f"{path}-journal"):
        return
    kept.update(seen=[*version, size], rowid=found[-1][0] if found else kept.get("rowid", 0))
    kept["gained"] = 0 if is_old else len(found)
    yield from () if is_old else _joined(found)


def all_rows(path: str) -> Iterator[Row]:
    """Yield the newest rows of a database of MLflow, at most MOST_ROWS; none while it is being written."""
    try:
        yield from _joined((_select(path, "mode=ro", _NEWEST, (MOST_ROWS,)) or [])[::-1])
    except ValueError:
        return


def _select(path: str, way: str, query: str, values: tuple[int, ...]) -> list[Any] | None:
    """Return the rows of a query, None while the database is being written; ValueError without MLflow's table."""
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?{way}", uri=True, timeout=WAIT_S)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise ValueError("an SQLite database without MLflow's table metrics") from None
        return None


def _quoted(path: str) -> str:
    """Return a path escaped for a URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _joined(found: list[Any]) -> Iterator[Row]:
    row: Row = {}
    at = None
    for _, key, value, step, is_nan, run in found:
        if at != (step, run) and row:
            yield row
            row = {}
        at = (step, run)
        row.setdefault("step", float(step))
        row[key] = nan if is_nan else value if abs(value) < HUGE else inf if value > 0 else -inf
    if row:
        yield row


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
