"""Blanks in rows of metrics: NaN where a number could not be written, nothing where none was taken."""

from __future__ import annotations

from math import nan

from executor.monitoring.metrics.name_value_pairs import CAN_BE_NAN, STEPS
from executor.monitoring.rules.columns import is_loss, is_validation
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.monitoring.model import Memory

    Row = dict[str, float]

MOST_KINDS = 8
SURE = 2  # rows of a kind after which a blank in the next row is a NaN
SURE_OF_EMPTY = 3  # the same for an empty cell between two commas
SIGN = "\x1f"


def with_nans(form: Memory, row: Row, blank: Sequence[str], least: int = SURE) -> Row:
    """Return a row with NaN for each blank that held a number in like rows: JSON without NaN writes null for it.

    `form` remembers the kinds of rows, each by the names of its numbers. A row with a further name, such as one of an
    evaluation, is of another kind, and so is a row before its column was ever filled.
    """
    kinds: dict[str, int] = form.setdefault("kinds", {})
    kind = SIGN.join(row)
    if kind not in kinds and blank and row:
        row = _filled(kinds, row, {*blank}, least)
        kind = SIGN.join(row)
    if kind in kinds or len(kinds) < MOST_KINDS:
        kinds[kind] = min(kinds.get(kind, 0) + 1, SURE_OF_EMPTY)
    return row


def _filled(kinds: dict[str, int], row: Row, blank: set[str], least: int) -> Row:
    for kind, count in kinds.items():
        names = kind.split(SIGN)
        missing = {*names} - {*row}
        if count >= least and missing and {*row} < {*names} and missing <= blank and _may_be(missing):
            return {name: row.get(name, nan) for name in names if name in row or _is_measured(name)}
    return row


def _may_be(missing: set[str]) -> bool:
    """Return True when these are columns that may become NaN, some of them of the training itself."""
    return any(map(_is_measured, missing)) and all(_is_measured(name) or is_validation(name) for name in missing)


def _is_measured(name: str) -> bool:
    last = name.lower().rpartition("/")[2]
    return last not in STEPS and not is_validation(name) and (is_loss(name) or CAN_BE_NAN.search(name) is not None)
