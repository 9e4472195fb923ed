"""Rows of a file that its writer has written again: they count once."""

from __future__ import annotations

from array import array
from binascii import a2b_base64, b2a_base64, crc32
from collections import Counter, deque

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.monitoring.model import Memory

    Row = dict[str, float]

MOST = 1024  # rows that are remembered
MOST_NAMES = 256


def _packed(marks: list[int]) -> str:
    return b2a_base64(array("I", marks[-MOST:]).tobytes(), newline=False).decode()


def _unpacked(text: str) -> list[int]:
    return array("I", a2b_base64(text)).tolist()


def _mark(row: Row, names: set[str] | None = None) -> int:
    """Return a checksum of a row, or of its columns in `names`."""
    return crc32(repr(sorted(one for one in row.items() if names is None or one[0] in names)).encode())


class Known:
    """The memory of the rows of a file: checksums of the newest, their columns, the furthest step.

    A row that comes again in a rewritten file is not new, in any order and with any further columns.
    """

    def __init__(self, kept: Memory) -> None:
        self._kept = kept
        self._rows: deque[Row] = deque(maxlen=MOST)
        self._count = 0
        self._names: dict[str, None] = dict.fromkeys(kept.get("names", ()))
        self._old: Counter[int] | None = None
        self._old_names: set[str] = set()

    @property
    def is_anew(self) -> bool:
        """True while the file is read again from its start."""
        return self._old is not None

    def begin_anew(self) -> None:
        """Expect the known rows again from now on."""
        kept = self._kept
        if "old" not in kept:
            kept["old"] = [kept.get("known", ""), kept.get("rows", 0), kept.get("furthest")]
            kept.update(known="", rows=0)
        self._old = Counter(_unpacked(kept["old"][0]))
        self._old_names = {*kept.get("names", ())}

    def forget(self) -> None:
        """Forget all rows: another file has taken the path, or the file was emptied."""
        for key in ("known", "names", "rows", "furthest", "old"):
            self._kept.pop(key, None)
        self._names, self._old = {}, None

    def meet(self, row: Row) -> bool:
        """Record a row; return True when it is new."""
        self._rows.append(row)
        self._count += 1
        is_old = self._old is not None and self._is_old(row, self._old)
        if not row.keys() <= self._names.keys() and len(self._names) < MOST_NAMES:
            self._names.update(dict.fromkeys(row))
        step = row.get("step")
        if step is not None:
            self._kept["furthest"] = max(step, self._kept.get("furthest") or step)
        return not is_old

    def _is_old(self, row: Row, old: Counter[int]) -> bool:
        mark = _mark(row, self._old_names)
        if old[mark] > 0:
            old[mark] -= 1
            return True
        _, rows, furthest = self._kept["old"]
        step = row.get("step")
        return rows > MOST and step is not None and furthest is not None and step <= furthest

    def save(self, *, is_all_read: bool) -> None:
        """Store the memory in `kept`."""
        if self._count:
            marks = [*_unpacked(self._kept.get("known", "")), *map(_mark, self._rows)]
            self._kept.update(known=_packed(marks), names=[*self._names])
            self._kept["rows"] = self._kept.get("rows", 0) + self._count
            self._rows.clear()
            self._count = 0
        if is_all_read:
            self._kept.pop("old", None)


def met_all(kept: Memory, rows: Iterable[Row]) -> None:
    """Record the rows of an earlier run."""
    known = Known(kept)
    for row in rows:
        known.meet(row)
    known.save(is_all_read=True)
