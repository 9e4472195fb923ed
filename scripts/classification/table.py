"""The table of labelled packages: a file, the packaged sample, apt's lists, a data set of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classification import labelling, package_lists
from classification.pinned import SAMPLE, pinned
from classification.rows import Row, digest
from small_lm import hub, text_files
from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble
from small_lm.settings import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = ("package", "description", "section", "labels")
HUB = "hub:"  # hub:OWNER/NAME or hub:OWNER/NAME:SPLIT
NAMES = ("sample", "apt")
FEWEST_OF_APT = 1000  # rows; lists with fewer carry no tags


@dataclass(frozen=True)
class Table:
    """Rows in order of name; `origin` is sample, apt, file or hub, `note` is for a person."""

    rows: tuple[Row, ...]
    origin: str
    date: str = ""
    note: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of the rows."""
        return digest(self.rows)


def opened(data: str) -> Table:
    """Return the table that a setting names; apt's lists without debtags are replaced by the sample, which says so."""
    if data == "sample":
        return sample()
    if data == "apt":
        return of_apt(package_lists.LISTS)
    if data.startswith(HUB):
        return of_hub(data)
    path = Path(data)
    if path.is_dir():
        return of_apt(path)
    if not path.exists():
        near = did_you_mean(data, NAMES)
        raise Trouble(f"data={data}: no such file{near}; write sample, apt, a path or {HUB}OWNER/NAME", USAGE)
    return Table(checked(text_files.records(path, COLUMNS), str(path)), "file")


def sample(note: str = "") -> Table:
    """Return the packaged sample."""
    return Table(checked(text_files.records(SAMPLE, COLUMNS), str(SAMPLE)), "sample", pinned().date, note)


def of_apt(folder: Path) -> Table:
    """Return the table of apt's lists, filtered to the pinned labels; the sample where they hold no debtags."""
    packages = labelling.distinct(package_lists.read(folder)) if package_lists.files(folder) else []
    rows = tuple(labelling.labelled(packages, pinned().labels))
    if len(rows) < FEWEST_OF_APT:
        why = f"{folder} has {len(rows)} packages with debtags" if packages else f"{folder} has no package lists"
        return sample(f"{why}: the sample of {pinned().sample_rows} rows is used (apt-get update fetches the lists)")
    date = package_lists.date_of(folder)
    if digest(rows) == pinned().sha256:
        return Table(rows, "apt", date)
    note = f"these lists are of {date or 'an unknown day'}, the pinned ones of {pinned().date}"
    return Table(rows, "apt", date, f"{note}: compare scores within this table only")


def of_hub(data: str) -> Table:
    """Return a split of a data set of the hub."""
    name, _, split = data.removeprefix(HUB).partition(":")
    rows = hub.records(Text(hub=name, split=split or "train"), COLUMNS)
    return Table(checked(rows, name), "hub")


def checked(records: Iterable[tuple[int, dict[str, Any]]], origin: str) -> tuple[Row, ...]:
    """Return rows in order of name; raise Trouble with file and row number for a wrong one."""
    found: dict[str, tuple[int, Row]] = {}
    for number, record in records:
        row = row_of(record, f"{origin}, row {number}")
        if row.package in found:
            first = found[row.package][0]
            raise Trouble(f"{origin}, row {number}: {row.package!r} stands in row {first} too: remove one", USAGE)
        found[row.package] = (number, row)
    if not found:
        raise Trouble(f"{origin}: no rows", USAGE)
    return tuple(found[name][1] for name in sorted(found))


def row_of(record: dict[str, Any], where: str) -> Row:
    """Return a row; raise Trouble for a value that is none."""
    package, description, section = (text_of(record, column, where) for column in COLUMNS[:3])
    if not package or package != "".join(package.split()):
        raise Trouble(f"{where}: package must be a name without spaces, got {package!r}", USAGE)
    if not description:
        raise Trouble(f"{where}: {package} has no description", USAGE)
    return Row(package, description, section, labels_of(record["labels"], where))


def text_of(record: dict[str, Any], column: str, where: str) -> str:
    """Return the text in a column; raise Trouble if it is none."""
    value = record[column]
    if not isinstance(value, str):
        raise Trouble(f"{where}: {column} must be text, got {str(value)[:40]!r}", USAGE)
    return text_files.sound(value.strip())


def labels_of(value: Any, where: str) -> tuple[str, ...]:
    """Return labels in order: a list of them, or a text with spaces or commas between them."""
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Trouble(f"{where}: labels must be a list of texts, got {str(value)[:40]!r}", USAGE)
    refuse_unknown(names, where)
    return tuple(sorted(set(names)))


def refuse_unknown(names: Sequence[str], where: str) -> None:
    """Raise Trouble for a label that is not among the pinned ones."""
    for name in names:
        if name not in pinned().labels:
            near = did_you_mean(name, pinned().labels)
            raise Trouble(f"{where}: no label {name!r}{near}; classification/pinned.json lists them", USAGE)
