"""Parts of a report that declares tasks by ranges."""

from __future__ import annotations

from executor.system.records import Record


class Phase(Record):
    """A phase: its number and name as written, its ids, and the count and hours beside them (-1 for none)."""

    key: str
    name: str
    line: int
    ids: tuple[str, ...] = ()
    count: int = -1
    hours: tuple[float, float] = (-1.0, -1.0)
    story: str = ""
    priority: int = 0


class Declared(Record):
    """A task of a range or of an item of its own."""

    id: str
    line: int
    phase: str = ""
    section: str = ""
    title: str = ""
    parallel: bool = False


class Group(Record):
    """Tasks that may run in parallel, with the number that the report gives (-1 for none)."""

    ids: tuple[str, ...]
    line: int
    count: int = -1
    sequential: int = -1
    others: tuple[str, ...] = ()
