"""Files of texts: plain ones, and rows of CSV, JSON Lines and Parquet."""

from __future__ import annotations

import codecs
import csv
import functools
import json
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from small_lm import chat
from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from small_lm.settings import Text

    Records = Iterator[tuple[int, dict[str, Any]]]
    Reader = Callable[[Path, Sequence[str], str], Records]

PIECE = 1 << 16  # characters that are read at once
ROWS = 1000  # of Parquet that are read at once
COLUMN_ADVICE = "; set text.column"


class Source(Protocol):
    """One document in pieces, or a document a row."""

    @property
    def path(self) -> Path | None:
        """The file; None for rows of the hub."""

    @property
    def is_rows(self) -> bool:
        """True if each row is a document."""

    def length(self) -> int:
        """Return the number of characters of a document, or of rows."""

    def pieces(self) -> Iterator[str]:
        """Yield a document in pieces."""

    def rows(self) -> Iterator[str]:
        """Yield the rows, each a document."""


@dataclass(frozen=True)
class Plain:
    """A file that is one document."""

    path: Path
    is_rows = False

    def length(self) -> int:
        """Return the number of characters; raise Trouble for a file that is not UTF-8."""
        return sum(map(len, self.pieces()))

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces, with line ends of one kind."""
        with self.path.open(encoding="utf-8-sig") as file:
            yield from read_pieces(file, self.path)

    def rows(self) -> Iterator[str]:
        """Yield the whole text."""
        yield "".join(self.pieces())


@dataclass(frozen=True)
class Rows:
    """A file whose rows are documents: the texts of one column."""

    path: Path
    column: str
    read: Reader
    parse: Callable[[Path, int, Any], str]
    is_rows = True

    def length(self) -> int:
        """Return the number of rows with a text; raise Trouble if there is none."""
        count = sum(1 for _ in self.rows())
        if not count:
            raise Trouble(f"{self.path}: no row has a text in column {self.column!r}: set text.column, or another file")
        return count

    def pieces(self) -> Iterator[str]:
        """Yield all rows."""
        yield from self.rows()

    def rows(self) -> Iterator[str]:
        """Yield the texts that are not empty."""
        for number, record in self.read(self.path, (self.column,), COLUMN_ADVICE):
            text = self.parse(self.path, number, record[self.column])
            if text:
                yield text


File = Plain | Rows


def opened(path: Path, chosen: Text) -> File:
    """Return the file at a path by the kind that its ending names."""
    read = READERS.get(path.suffix.lower())
    if chosen.kind == "chat":
        if read not in (json_rows, parquet_rows):
            raise Trouble(f"{path}: text.kind=chat reads .jsonl and .parquet: set text.files", USAGE)
        return Rows(path, chat.COLUMN if chosen.column == type(chosen)().column else chosen.column, read, chat.row)
    return Rows(path, chosen.column, read, text_of) if read else Plain(path)


def text_of(path: Path, number: int, value: Any) -> str:
    """Return the text of a row; an empty one if it has none."""
    if value is not None and not isinstance(value, str):
        raise Trouble(f"{path}, row {number}: it is no text: {str(value)[:40]}: set text.column", USAGE)
    return sound(value or "")


def sound(text: str) -> str:
    """Return a text in which half a surrogate pair is U+FFFD: no tokenizer takes it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if has_surrogate(text) else text


def has_surrogate(text: str) -> bool:
    """Return True if a text cannot be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def read_pieces(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the text of an open file in pieces; raise Trouble with the byte that is not UTF-8."""
    try:
        yield from iter(functools.partial(file.read, PIECE), "")
    except UnicodeDecodeError as error:
        raise Trouble(f"{path} is not UTF-8 at byte {bad_byte(path)}: convert it with iconv") from error


def bad_byte(path: Path) -> int:
    """Return the place of the first byte that is not UTF-8."""
    decoder, at = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        for block in iter(functools.partial(file.read, PIECE), b""):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return at - pending + error.start
            at += len(block)
    return at - len(decoder.getstate()[0])


def records(path: Path, columns: Sequence[str]) -> Records:
    """Yield row number and values by column; raise Trouble for a file of another kind or without a column."""
    read = READERS.get(path.suffix.lower())
    if not read:
        raise Trouble(f"{path}: no file of rows; its ending must be one of {', '.join(READERS)}", USAGE)
    if not path.is_file():
        raise Trouble(f"{path}: no such file", USAGE)
    return read(path, columns, "")


# Rows: each reader yields (row number, values by column); `advice` ends the message on a column that is not there


def csv_rows(path: Path, columns: Sequence[str], advice: str) -> Records:
    """Read a CSV or TSV file with a header."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(lines(file, path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            refuse_absent(path, columns, list(rows.fieldnames or ()), advice)
            for number, row in enumerate(rows, 2):
                yield number, picked(row, columns)
        except csv.Error as error:
            raise Trouble(f"{path}, row {rows.line_num}: no CSV ({error})", USAGE) from error


def json_rows(path: Path, columns: Sequence[str], advice: str) -> Records:
    """Read JSON Lines: an object a line, or, where one column is read, a text a line."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(lines(file, path), 1):
            if line.strip():
                yield number, cells(f"{path}, line {number}", line, columns, advice)


def cells(where: str, line: str, columns: Sequence[str], advice: str) -> dict[str, Any]:
    """Return the values of the columns in a line of JSON."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise Trouble(f"{where}: no JSON ({error})", USAGE) from error
    if isinstance(row, str) and len(columns) == 1:
        return {columns[0]: row}
    if not isinstance(row, dict):
        raise Trouble(f"{where}: {'neither an object nor a text' if len(columns) == 1 else 'no object'}", USAGE)
    refuse_absent(where, columns, list(row), advice)
    return picked(row, columns)


def parquet_rows(path: Path, columns: Sequence[str], advice: str) -> Records:
    """Read a Parquet file with pyarrow."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise Trouble(f"{path} needs pyarrow: pip install pyarrow, or convert it to .jsonl", USAGE) from error
    try:
        with parquet.ParquetFile(path) as file:
            refuse_absent(path, columns, file.schema_arrow.names, advice)
            batches = (batch.to_pylist() for batch in file.iter_batches(ROWS, columns=list(columns)))
            yield from enumerate((row for batch in batches for row in batch), 1)
    except ArrowException as error:
        raise Trouble(f"{path} is no Parquet ({str(error).splitlines()[0]})", USAGE) from error


def picked(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return the values of some columns."""
    return {column: row[column] for column in columns}


def lines(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines of an open file; raise Trouble with the byte that is not UTF-8."""
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise Trouble(f"{path} is not UTF-8 at byte {bad_byte(path)}: convert it with iconv") from error


def refuse_absent(
    where: Path | str, wanted: Sequence[str], columns: Sequence[str], advice: str = COLUMN_ADVICE
) -> None:
    """Raise Trouble if a wanted column is not there."""
    for column in wanted:
        if column not in columns:
            there = ", ".join(map(str, columns)) or "nothing"
            near = did_you_mean(column, map(str, columns))
            raise Trouble(f"{where}: no column {column!r}{near}; there are: {there}{advice}", USAGE)


READERS: dict[str, Reader] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".parquet": parquet_rows,
}
