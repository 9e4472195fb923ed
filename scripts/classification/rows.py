"""A row of the table, its digest and its line in a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Row:
    """A package with its labels, which are in order."""

    package: str
    description: str
    section: str
    labels: tuple[str, ...]


def digest(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of rows, one after the other, as lines of JSON."""
    found = hashlib.sha256()
    for row in rows:
        found.update(line(row).encode())
    return found.hexdigest()


def line(row: Row) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(asdict(row), ensure_ascii=False) + "\n"
