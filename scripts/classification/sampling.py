"""The packaged sample: rows in which each label occurs in each part of the split."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from classification.splits import TEST, TRAIN, VALIDATION, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from classification.rows import Row

SIZES = {TRAIN: 320, VALIDATION: 90, TEST: 90}
LEAST = {TRAIN: 8, VALIDATION: 3, TEST: 3}  # rows of each label, where the table has them


def sample(rows: Iterable[Row]) -> list[Row]:
    """Return a sample in order of name: rare labels first, then rows in the order of a hash."""
    found = [row for part, members in split(rows).items() for row in chosen(members, SIZES[part], LEAST[part])]
    return sorted(found, key=lambda row: row.package)


def chosen(rows: Iterable[Row], size: int, least: int) -> list[Row]:
    """Return `size` rows in which each label has `least` rows or more, if there are as many."""
    ordered = sorted(rows, key=order)
    kept: dict[str, Row] = {}
    counts: Counter[str] = Counter()
    totals = Counter(label for row in ordered for label in row.labels)
    for label in sorted(totals, key=lambda name: (totals[name], name)):
        for row in ordered:
            if counts[label] >= least or len(kept) >= size:
                break
            if label in row.labels and row.package not in kept:
                kept[row.package] = row
                counts.update(row.labels)
    for row in ordered:
        if len(kept) >= size:
            break
        kept.setdefault(row.package, row)
    return list(kept.values())


def order(row: Row) -> str:
    """Return the key of an order that has nothing to do with the name, nor with the split."""
    return hashlib.sha256(f"sample:{row.package}".encode()).hexdigest()
