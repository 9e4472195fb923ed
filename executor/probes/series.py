"""One file of metrics, read on from where the last look ended."""

from __future__ import annotations

import os
from binascii import crc32
from collections import deque
from sys import intern

from executor.probes import objects, rows, tail
from executor.probes.spoken import several
from executor.probes.text import plain
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.probes.rows import Row
    from executor.readings import Memory, Place

EVENTS = "tfevents"
PARTS = frozenset({"train", "training", "val", "valid", "validation", "eval", "test", "dev"})
PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip")


def is_object(data: bytes) -> bool:
    """Tell whether a line without end is a whole JSON object: nothing that is cut short reads as one."""
    text = data.strip(b"\0 \t")
    return text.startswith(b"{") and text.endswith(b"}") and bool(objects.objects(plain(text)))


def _is_drawn_again(form: Memory, row: Row) -> bool:
    """Tell whether a bar only shows the numbers again that it showed before."""
    shown, form["shown"] = form.get("shown"), crc32(repr(row).encode())
    return bool(shown == form["shown"])


class Series:
    """A file with what earlier looks know of it; `count`, `bytes` and `trouble` tell of this look."""

    def __init__(self, path: str, kept: Memory, wants: dict[str, Any], place: Place) -> None:
        self.count = 0
        self.bytes = 0
        self.trouble = ""
        self._path = path
        self._kept = kept
        self._wants = wants
        self._place = place

    def new_rows(self, most: int) -> deque[Row]:
        """Return the newest rows of those that no look has seen."""
        new: deque[Row] = deque(maxlen=most)
        try:
            for row in self._wanted():
                self.count += 1
                new.append(row)
        except OSError as error:
            self.trouble = f"{self._name()}: {error.strerror}"
        self.bytes = self._kept.get("gained", 0)
        self._pass_known(new)
        self._kept["rows"] = self._kept.get("rows", 0) + self.count
        self._kept["last"] = next((row["step"] for row in reversed(new) if "step" in row), self._kept.get("last"))
        return new

    def _name(self) -> str:
        return os.path.relpath(self._path, self._place.root)

    def _pass_known(self, new: deque[Row]) -> None:
        """Drop what was seen before, of a file that its writer writes anew as a whole."""
        if not self._kept.pop("anew", False):
            return
        before, last = self._kept.pop("rows", 0), self._kept.get("last")
        known = before if last is None and before <= self.count else 0
        known = max((at + 1 for at, row in enumerate(new) if row.get("step") == last is not None), default=known)
        for _ in range(min(known, len(new))):
            new.popleft()
            self.count -= 1

    def _wanted(self) -> Iterator[Row]:
        columns = {*self._wants.get("columns", ())}
        for row in self._rows():
            wanted = {intern(name): row[name] for name in row if not columns or name in columns or name == "step"}
            if wanted:
                yield wanted

    def _rows(self) -> Iterator[Row]:
        if self._path.endswith(PACKED):
            self.trouble = f"{self._name()} is packed: name a file that is written as it grows"
            return iter(())
        if EVENTS in os.path.basename(self._path) or self._wants.get("format") == "tensorboard":
            return self._event_rows()
        return self._text_rows()

    def _text_rows(self) -> Iterator[Row]:
        columns = [*self._wants.get("columns", ())]
        lines = tail.lines(self._path, self._kept, self._place.began_ns, ended=self._place.ended, is_whole=is_object)
        for raw in lines:
            line = plain(raw)
            form = self._form(line, columns) if line else {}
            for row in rows.read_rows(form, line, columns) if line else ():
                if row and not (raw.endswith(b"\r") and _is_drawn_again(form, row)):
                    yield rows.with_step(form, row, self._wants.get("step", ""))

    def _form(self, line: str, columns: list[str]) -> Memory:
        """Return what is known of the file's form; its first line, which may be a header, tells it first."""
        form: Memory = self._kept.setdefault("form", {})
        if "kind" not in form:
            midway = self._kept.pop("midway", False) and plain(tail.first_line(self._path).rstrip(b"\n"))
            form["kind"] = self._wants.get("format") or rows.form_of(self._path, midway or line)
            if midway:
                rows.read_rows(form, midway, columns)
        return form

    def _event_rows(self) -> Iterator[Row]:
        from executor.probes import tensorboard

        part = os.path.basename(os.path.dirname(self._path))
        before = f"{part}/" if part in PARTS else ""
        for step, scalars in tensorboard.scalars(self._path, self._kept, self._place.began_ns):
            yield {"step": step, **{before + name: value for name, value in scalars.items()}}
        damaged = self._kept.get("damaged", 0)
        self.trouble = f"{self._name()} is damaged in {several(damaged, 'place')}" if damaged else ""
