"""Features, labels and sections of a table as tensors, by part of the split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from classification import features, table
from classification.pinned import class_of, pinned
from classification.splits import split
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from classification.rows import Row
    from classification.table import Table

CACHED = 2  # data sets that a process keeps: the trials of a study mostly use one


@dataclass(frozen=True)
class Part:
    """The rows of a part: ids (rows, features), labels (rows, labels) of 0 and 1, sections (rows,)."""

    ids: Tensor
    labels: Tensor
    sections: Tensor

    def __len__(self) -> int:
        return len(self.sections)


@dataclass(frozen=True)
class Dataset:
    """The parts of a table by name; `digest` identifies the rows."""

    parts: dict[str, Part]
    digest: str
    note: str


def prepared(data: str, buckets: int, ngrams: int) -> Dataset:
    """Return the data set of a setting; it is read once in a process as long as a file does not change."""
    path = Path(data)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _prepared(data, buckets, ngrams, changed)


@lru_cache(maxsize=CACHED)
def _prepared(data: str, buckets: int, ngrams: int, changed: int) -> Dataset:
    found = table.opened(data)
    rows = parts_of(found, data)
    parts = {name: part_of(members, buckets, ngrams) for name, members in rows.items()}
    return Dataset(parts, found.digest, found.note)


def parts_of(found: Table, data: str) -> dict[str, list[Row]]:
    """Return the rows of each part; raise Trouble for a part without rows."""
    rows = split(found.rows)
    for name, members in rows.items():
        if not members:
            raise Trouble(f"data={data}: {len(found.rows)} rows leave none for {name}: add rows", USAGE)
    return rows


def part_of(rows: Sequence[Row], buckets: int, ngrams: int) -> Part:
    """Return the tensors of some rows."""
    return Part(features.matrix(rows, buckets, ngrams), labels_of(rows), sections_of(rows))


def labels_of(rows: Sequence[Row]) -> Tensor:
    """Return the labels of rows, (rows, labels), 0 or 1."""
    labels = pinned().labels
    return torch.tensor([[float(label in row.labels) for label in labels] for row in rows])


def sections_of(rows: Sequence[Row]) -> Tensor:
    """Return the class of each row's section, (rows,)."""
    sections = pinned().sections
    return torch.tensor([sections.index(class_of(row.section)) for row in rows])
