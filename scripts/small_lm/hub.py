"""Texts of a data set of the Hugging Face hub, through the package `datasets`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from small_lm.errors import RETRY_LATER, USAGE, Trouble
from small_lm.text_files import picked, refuse_absent, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from small_lm.settings import Text


@dataclass(frozen=True)
class HubRows:
    """The rows of a split as documents; `table` is what `datasets.load_dataset` returned."""

    name: str
    column: str
    table: Any = field(repr=False)
    path: Path | None = None
    is_rows = True

    def length(self) -> int:
        """Return the number of rows with a text."""
        return sum(1 for _ in self.rows())

    def pieces(self) -> Iterator[str]:
        """Yield all rows."""
        yield from self.rows()

    def rows(self) -> Iterator[str]:
        """Yield the texts that are not empty; the table is memory-mapped."""
        for number, row in enumerate(self.table, 1):
            value = row[self.column]
            if value is not None and not isinstance(value, str):
                raise Trouble(f"{self.name}, row {number}: {self.column!r} is no text: {str(value)[:40]}", USAGE)
            if value:
                yield sound(value)


def sources(chosen: Text) -> list[HubRows]:
    """Return the split of the data set that settings name; it is fetched once, then read from datasets' own cache."""
    name = f"text.hub={chosen.hub}"
    if chosen.held_out:
        raise Trouble(f"{name} has no files for text.held_out: the last text.val_share of its rows is held out", USAGE)
    table = loaded(load_dataset(), name, chosen)
    refuse_absent(name, [chosen.column], list(table.column_names))
    found = HubRows(name, chosen.column, table)
    if not found.length():
        raise Trouble(f"{name}: no row has a text in column {chosen.column!r}: set text.column", USAGE)
    return [found]


def records(chosen: Text, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number and values by column of a split of a data set."""
    table = loaded(load_dataset(), chosen.hub, chosen)
    refuse_absent(chosen.hub, columns, list(table.column_names), "")
    for number, row in enumerate(table, 1):
        yield number, picked(row, columns)


def load_dataset() -> Callable[..., Any]:
    """Return the function of `datasets`; raise Trouble if it is not installed."""
    try:
        from datasets import load_dataset as load
    except ImportError as error:
        raise Trouble("text.hub needs datasets: pip install datasets, or use text.files", USAGE) from error
    function: Callable[..., Any] = load
    return function


def loaded(load: Callable[..., Any], name: str, chosen: Text) -> Any:
    """Load a split; raise Trouble for one that is not there, and for a hub out of reach."""
    try:
        return load(chosen.hub, chosen.subset or None, split=chosen.split)
    except ValueError as error:  # a subset, a split or a form of data that is not there
        raise Trouble(f"{name}: {brief(error)}: set text.subset or text.split", USAGE) from error
    except Exception as error:  # its own errors, those of the hub's client and of the network share no base
        line = f"{name} cannot be loaded ({brief(error)}): check the name and the network, or use text.files"
        raise Trouble(line, RETRY_LATER if is_out_of_reach(error) else USAGE) from error


def is_out_of_reach(error: Exception) -> bool:
    """Return True for an error of the network, after which another attempt may help."""
    return isinstance(error, (ConnectionError, TimeoutError)) or "offline" in type(error).__name__.lower()


def brief(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
