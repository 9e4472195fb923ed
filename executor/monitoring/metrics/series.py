"""One file of metrics, read from the end of the last look."""

from __future__ import annotations

import os
from binascii import crc32
from collections import deque
from sys import intern

from executor.monitoring.metrics import blanks, json_files, json_objects, mlflow, rows
from executor.monitoring.metrics.log_text import plain
from executor.monitoring.metrics.seen_rows import Known, met_all
from executor.system import safe_open
from executor.system.file_tail import SHORT_BYTES, FileTail
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from executor.monitoring.metrics.rows import Row
    from executor.monitoring.model import Memory, ProbeContext

EVENTS = "tfevents"
PARTS = frozenset({"train", "training", "val", "valid", "validation", "eval", "test", "dev"})
PACKED = "is packed: name a file that is written as it grows"
BINARY = "is no text: let the training write JSON Lines or CSV beside it"
REFUSED = {
    **dict.fromkeys((".gz", ".zst", ".xz", ".bz2", ".zip", ".lz4", ".tar", ".tgz"), PACKED),
    **dict.fromkeys((".parquet", ".feather", ".arrow", ".npz", ".npy", ".pkl", ".pickle", ".h5", ".xlsx"), BINARY),
    **dict.fromkeys((".pt", ".pth", ".safetensors", ".ckpt", ".mdb", ".rdb", ".sst"), BINARY),
    ".wandb": "is W&B's own binary log: name files/output.log or files/wandb-summary.json beside it",
}
PRIME_BYTES = 1 << 17  # of the content of an earlier run, to recognise its rows
MOST_HEADER = 30  # lines that are searched for a header


def is_object(data: bytes) -> bool:
    """Return True when a line without an end is a whole JSON object: a part of one is no valid JSON."""
    text = data.strip(b"\0 \t")
    return text.startswith(b"{") and text.endswith(b"}") and bool(json_objects.objects(plain(text)))


def _is_drawn_again(form: Memory, row: Row) -> bool:
    """Return True when a bar shows the same numbers as before."""
    shown, form["shown"] = form.get("shown"), crc32(repr(row).encode())
    return bool(shown == form["shown"])


class Series:
    """A file of metrics with the state of earlier looks; `count`, `bytes` and `trouble` are of this look.

    `lost_step` is True when the column used as step turned out to be none.
    """

    def __init__(self, path: str, kept: Memory, options: dict[str, Any], job: ProbeContext) -> None:
        self.count = 0
        self.bytes = 0
        self.trouble = ""
        self._path = path
        self._kept = kept
        self._options = options
        self._job = job

    @property
    def lost_step(self) -> bool:
        return bool(self._kept.get("form", {}).pop("lost_step", False))

    def new_rows(self, most: int) -> deque[Row]:
        """Return the newest of the rows that no look has seen."""
        new: deque[Row] = deque(maxlen=most)
        self._kept["gained"] = 0
        try:
            for row in self._news():
                self.count += 1
                new.append(row)
        except OSError as error:
            self.trouble = f"{self._name()}: {error.strerror}"
        except ValueError as error:
            self.trouble = f"{self._name()} is {error}"
        self.bytes = self._kept["gained"]
        return new

    def _name(self) -> str:
        return os.path.relpath(self._path, self._job.root)

    def _news(self) -> Iterator[Row]:
        """Yield the new rows of the file; a database and event files only grow."""
        ending = os.path.splitext(self._path)[1].lower()
        if ending in REFUSED:
            self.trouble = f"{self._name()} {REFUSED[ending]}"
        elif EVENTS in os.path.basename(self._path) or self._options.get("format") == "tensorboard":
            yield from self._wanted(self._event_rows())
        elif mlflow.is_database(self._path):
            yield from self._wanted(mlflow.database_rows(self._path, self._kept, self._job.began_ns))
        elif self._is_one_text():
            yield from self._whole_rows()
        else:
            yield from self._line_rows()

    def _wanted(self, found: Iterable[Row]) -> Iterator[Row]:
        columns = {*self._options.get("columns", ())}
        for row in found:
            wanted = {intern(name): row[name] for name in row if not columns or name in columns or name == "step"}
            if wanted:
                yield wanted

    # Lines

    def _line_rows(self) -> Iterator[Row]:
        self._prime()
        known = Known(self._kept)
        for row in self._wanted(self._text_rows(self._kept, self._job.began_ns, ended=self._job.ended)):
            self._turn(known)
            if known.meet(row):
                yield row
        self._turn(known)
        known.save(is_all_read=not self._kept.get("behind"))

    def _turn(self, known: Known) -> None:
        """Update the memory of rows when the file was rewritten or replaced."""
        kept = self._kept
        if kept.pop("turned", False):
            known.save(is_all_read=False)
            known.begin_anew()
        if kept.pop("anew", False):
            known.save(is_all_read=False)
            is_other = os.path.islink(self._path) or 2 * kept["seen"][1] <= kept.get("was", 0)
            known.forget() if is_other else known.begin_anew()
        elif "old" in kept and not known.is_anew:
            known.begin_anew()

    def _prime(self) -> None:
        """Record the rows of an earlier run before the first look of this one: they are not new when they return."""
        if "at" in self._kept:
            return
        status = os.stat(self._path)
        if status.st_mtime_ns >= self._job.began_ns or not status.st_size:
            return
        at = max(0, status.st_size - PRIME_BYTES)
        past: Memory = {"at": at, "midway": at > 0, "broken": at > 0}
        met_all(self._kept, [*self._wanted(self._text_rows(past, 0, ended=True))])
        self._kept["form"] = past.get("form", {})

    def _text_rows(self, kept: Memory, began_ns: int, *, ended: bool) -> Iterator[Row]:
        columns = [*self._options.get("columns", ())]
        for raw in FileTail(self._path, kept, began_ns=began_ns).lines(ended=ended, is_whole=is_object):
            line = plain(raw)
            if not line:
                continue
            form = self._form(kept, line, columns)
            for row in self._rows_of(form, line, columns):
                if row and not (raw.endswith(b"\r") and _is_drawn_again(form, row)):
                    yield rows.with_step(form, row, self._options.get("step", ""))

    def _rows_of(self, form: Memory, line: str, columns: list[str]) -> list[Row]:
        if form["kind"] == "mlflow":
            return [mlflow.row_of(form["metric"], line)]
        return rows.read_rows(form, line, columns)

    def _form(self, kept: Memory, line: str, columns: list[str]) -> Memory:
        """Return the known form of the file; at first it is found by its first lines, which may be a header."""
        form: Memory = kept.setdefault("form", {})
        if "kind" in form:
            return form
        first = (
            [plain(raw) for raw in safe_open.read_start(self._path, SHORT_BYTES).splitlines()[:-1]]
            if kept.pop("midway", False)
            else [line]
        )
        first = [one for one in first if one][:MOST_HEADER] or [line]
        form["metric"] = mlflow.name_of(self._path, first[0])
        form["kind"] = self._options.get("format") or (
            "mlflow" if form["metric"] else rows.form_of(self._path, first[0])
        )
        if first[0] is not line and form["kind"] != "jsonl":
            _learn_header(form, first, columns)
        return form

    # One text

    def _is_one_text(self) -> bool:
        if self._options.get("format"):
            return False
        form: Memory = self._kept.setdefault("form", {})
        if form.get("one") is None and "kind" not in form:
            form["one"] = json_files.is_one_text(safe_open.read_start(self._path, SHORT_BYTES))
            if not form["one"] and "half" in self._kept:  # it was one text before
                for key in ("half", "at", "seen", "behind"):
                    self._kept.pop(key, None)
                self._kept.update(anew=True, was=0)
        return bool(form.get("one"))

    def _whole_rows(self) -> Iterator[Row]:
        is_old = "seen" not in self._kept and os.stat(self._path).st_mtime_ns < self._job.began_ns
        found = json_files.rows_in(self._path, self._kept)
        if found is None:
            self.trouble = f"{self._name()} is no whole text of JSON: cut short, or being written"
            self._kept["form"].pop("one")
        if not found:
            return
        known = Known(self._kept)
        known.begin_anew()
        for row in self._wanted(map(self._object_row, found)):
            if known.meet(row) and not is_old:
                yield row
        known.save(is_all_read=True)

    def _object_row(self, whole: dict[str, Any]) -> Row:
        row, empty = json_objects.numbers(whole)
        form = self._kept["form"]
        return rows.with_step(form, blanks.with_nans(form, row, empty), self._options.get("step", ""))

    # Event files

    def _event_rows(self) -> Iterator[Row]:
        from executor.monitoring.metrics import tensorboard

        part = os.path.basename(os.path.dirname(self._path))
        before = f"{part}/" if part in PARTS else ""
        for step, scalars in tensorboard.scalars(self._path, self._kept, self._job.began_ns):
            yield {"step": step, **{before + name: value for name, value in scalars.items()}}
        damaged = self._kept.get("damaged", 0)
        self.trouble = f"{self._name()} is damaged in {counted(damaged, 'place')}" if damaged else ""


def _learn_header(form: Memory, first: Iterable[str], columns: list[str]) -> None:
    """Read the names in the first lines of a file whose reading begins in the middle."""
    for line in first:
        rows.read_rows(form, line, columns)
        if form.get("names") and form.get("rowed"):
            break
    for key in ("open", "box", "section", "rowed", "kinds", "shown"):
        form.pop(key, None)
