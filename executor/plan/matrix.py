"""The cells of a step: one for each combination of the values that its matrix lists."""

from __future__ import annotations

from itertools import product
from math import prod

from executor.plan.issues import ValidationIssue
from executor.plan.params import read, text_of
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from executor.plan.params import Param, Value

    Matrix = Mapping[str, Sequence[Any]]

MOST_CELLS = 1000


class Cell(Record):
    """One combination: its name, such as `lr=0.1,seed=1`, and the values."""

    name: str
    values: Mapping[str, Value]


def cells_of(matrix: Matrix, params: Mapping[str, Param]) -> tuple[Cell, ...]:
    """Return the cells in order: the last parameter changes first."""
    rows = [[read(params[name], value) for value in values] for name, values in matrix.items()]
    return tuple(_cell(dict(zip(matrix, values, strict=True))) for values in product(*rows))


def _cell(values: Mapping[str, Value]) -> Cell:
    return Cell(",".join(f"{name}={text_of(value)}" for name, value in values.items()), values)


def matrix_issues(main: object, params: Mapping[str, Param] | None) -> Iterator[ValidationIssue]:
    """Yield the faults of a step's matrix, by path inside the step."""
    matrix = main.get("matrix") if isinstance(main, dict) else None
    if not isinstance(main, dict) or not isinstance(matrix, dict):
        return
    path = ("main", "matrix")
    if main.get("mode", "normal") != "normal" or not ("script" in main or "command" in main):
        yield ValidationIssue(path, "needs a script or a command, and mode: normal: each cell is a run of it")
    if not all(isinstance(values, list) for values in matrix.values()) or params is None:
        return
    if prod(map(len, matrix.values())) > MOST_CELLS:
        yield ValidationIssue(path, f"has more than {MOST_CELLS} cells")
    for name, values in matrix.items():
        if name not in params:
            known = did_you_mean(name, params) or (f"; known: {', '.join(params)}" if params else "")
            yield ValidationIssue((*path, name), f"no such parameter in settings.params{known}")
            continue
        for place, value in enumerate(values):
            yield from _value_issues((*path, name, place), params[name], value)
        if len({*map(repr, values)}) < len(values):
            yield ValidationIssue((*path, name), "names a value twice")


def _value_issues(path: tuple[str | int, ...], param: Param, value: object) -> Iterator[ValidationIssue]:
    try:
        read(param, value)
    except ValueError as error:
        yield ValidationIssue(path, str(error))
