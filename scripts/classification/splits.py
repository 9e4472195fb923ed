"""The split into training, validation and test rows, by a hash of the package's name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from classification.rows import Row

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
BOUNDS = ((70, TRAIN), (85, VALIDATION), (100, TEST))  # percent: 70, 15, 15


def part_of(package: str) -> str:
    """Return the part that a package belongs to; it depends on the name alone."""
    at = int.from_bytes(hashlib.sha256(package.encode()).digest()[:8], "big") % 100
    return next(part for bound, part in BOUNDS if at < bound)


def split(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each part, in their order."""
    found: dict[str, list[Row]] = {part: [] for part in PARTS}
    for row in rows:
        found[part_of(row.package)].append(row)
    return found
