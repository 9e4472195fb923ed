"""Frozen records without the import cost of dataclasses."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object):  # noqa: ANN201 - the run-time twin of typing's marker
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Record:
    """A frozen record: its annotations are its fields in order, its class attributes their defaults.

    `dataclasses` costs 9 ms of start-up on top of PyYAML (docs/adr/0003), so a read verb would spend a third of
    its time on it; type checkers see a frozen dataclass all the same.
    """

    _fields: tuple[str, ...] = ()
    _names: frozenset[str] = frozenset()
    _defaults: dict[str, Any]

    def __init_subclass__(cls) -> None:
        own = tuple(name for name in cls.__dict__.get("__annotations__", ()) if not name.startswith("_"))
        cls._fields = (*(name for name in cls._fields if name not in own), *own)
        cls._names = frozenset(cls._fields)
        cls._defaults = {name: getattr(cls, name) for name in cls._fields if hasattr(cls, name)}

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        given = self.__dict__
        given.update(zip(fields, values, strict=False))
        given.update(named)
        if len(given) != len(values) + len(named) or not given.keys() <= self._names:
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}, each at most once")
        if len(given) < len(fields):
            self._fill(fields)

    def _fill(self, fields: tuple[str, ...]) -> None:
        given = self.__dict__
        given.update(self._defaults | given)
        if len(given) < len(fields):
            missing = next(name for name in fields if name not in given)
            raise TypeError(f"{type(self).__name__} needs a value for {missing!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self).__name__, tuple(self.__dict__[name] for name in self._fields)))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({inner})"

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields changed."""
        if not changes.keys() <= self._names:
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self._fields)}")
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(changes)
        return copy

    def asdict(self) -> dict[str, Any]:
        """Return the fields in order; nested values stay values."""
        return {name: self.__dict__[name] for name in self._fields}
