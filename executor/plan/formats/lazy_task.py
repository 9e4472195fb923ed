"""Tasks and documents that are derived when they are read: of 10,000 tasks mostly a few fields are needed."""

from __future__ import annotations

import gc

from executor.plan.formats.model import PlanDocument, PlanTask
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from executor.plan.formats.model import Finding


class LazyTask(PlanTask):
    """A task by its place in a source, which has a method for each field; a field is derived once."""

    __slots__ = ("_place", "_source")

    def __init__(self, source: object, place: int) -> None:
        _SET_SOURCE(self, source)
        _SET_PLACE(self, place)

    def _complete(self) -> dict[str, Any]:
        for name in self._fields:
            getattr(self, name)
        return self.__dict__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlanTask):
            return NotImplemented
        theirs = other._complete() if isinstance(other, LazyTask) else other.__dict__
        return self._complete() == theirs

    def __hash__(self) -> int:
        self._complete()
        return super().__hash__()

    def __repr__(self) -> str:
        return repr(self.plain())

    def plain(self) -> PlanTask:
        """Return the task with all fields derived."""
        return PlanTask(**self._complete())

    def replace(self, **changes: Any) -> PlanTask:  # type: ignore[override]
        """Return a plain copy with these fields changed."""
        return self.plain().replace(**changes)

    def asdict(self) -> dict[str, Any]:
        """Return all fields in order."""
        return self.plain().asdict()


class _Field:
    """A field that its task's source derives; the value then lies in the task itself and is found first."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, task: LazyTask | None, owner: type) -> Any:
        if task is None:
            return getattr(PlanTask, self.name, "")
        derive = getattr(task._source, self.name, None)  # type: ignore[attr-defined]  # noqa: SLF001 - of its own class
        value = derive(task._place) if derive else getattr(PlanTask, self.name)  # type: ignore[attr-defined]  # noqa: SLF001
        task.__dict__[self.name] = value
        return value


_SET_SOURCE = LazyTask.__dict__["_source"].__set__
_SET_PLACE = LazyTask.__dict__["_place"].__set__
for _name in PlanTask._fields:
    setattr(LazyTask, _name, _Field(_name))


def lazy_tasks(source: object, fields: Mapping[str, Sequence[Any]]) -> tuple[PlanTask, ...]:
    """Return a task for each place; `fields` are those that are cheap to derive for all of them at once."""
    names = tuple(fields)
    derived = {*names, *(name for name in PlanTask._fields if hasattr(source, name))}
    usual = {name: getattr(PlanTask, name) for name in PlanTask._fields if name not in derived}
    was_on = gc.isenabled()
    gc.disable()  # so many new objects would be searched for circles again and again
    try:
        made = []
        for place, values in enumerate(zip(*fields.values(), strict=True)):
            task = LazyTask(source, place)
            task.__dict__.update(usual)
            task.__dict__.update(zip(names, values, strict=True))
            made.append(task)
        return tuple(made)
    finally:
        if was_on:
            gc.enable()


class LazyDocument(PlanDocument):
    """A plan whose tasks, and findings where they take long, are made when they are read first."""

    __slots__ = ("_make",)

    def __init__(
        self,
        make: Callable[[], tuple[PlanTask, ...]],
        make_findings: Callable[[], tuple[Finding, ...]] | None = None,
        **fields: Any,
    ) -> None:
        makers = {"tasks": make} | ({"findings": make_findings} if make_findings else {})
        known = {name: getattr(PlanDocument, name, "") for name in self._fields if name not in makers}
        self.__dict__.update(known | fields)
        _SET_MAKE(self, makers)

    def plain(self) -> PlanDocument:
        """Return the plan with its tasks made."""
        return PlanDocument(**{name: getattr(self, name) for name in self._fields})

    def __eq__(self, other: object) -> bool:
        return self.plain() == (other.plain() if isinstance(other, LazyDocument) else other)

    def __hash__(self) -> int:
        return hash(self.plain())

    def __repr__(self) -> str:
        return repr(self.plain())

    def replace(self, **changes: Any) -> PlanDocument:  # type: ignore[override]
        """Return a plain copy with these fields changed."""
        return self.plain().replace(**changes)

    def asdict(self) -> dict[str, Any]:
        """Return all fields in order."""
        return self.plain().asdict()


class _Made:
    """A field of a document that is made once."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, document: LazyDocument | None, owner: type) -> tuple[Any, ...]:
        if document is None:
            return ()
        made: tuple[Any, ...] = document._make[self.name]()  # type: ignore[attr-defined]
        document.__dict__[self.name] = made
        return made


_SET_MAKE = LazyDocument.__dict__["_make"].__set__
for _name in ("tasks", "findings"):
    setattr(LazyDocument, _name, _Made(_name))
