"""One spot in loaded data, read as what should stand there."""

from __future__ import annotations

import re

from executor.plan.issues import ValidationIssue, ValidationIssueError
from executor.plan.patterns import SIZE, SPAN, YEAR_S
from executor.system.messages import did_you_mean, shown
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn, TypeVar

    from executor.plan.issues import Path

    T = TypeVar("T")

NAME_CHARS = 60
_UNITS_S = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Field:
    """Data with the path where it stands; what is absent or null takes the default."""

    __slots__ = ("data", "path")

    def __init__(self, data: Any, path: Path) -> None:
        self.data, self.path = data, path

    def __getitem__(self, key: str) -> Field:
        return Field(self.mapping().get(key), (*self.path, key))

    def refuse(self, message: str) -> NoReturn:
        """Raise ValidationIssueError for this spot."""
        raise ValidationIssueError(ValidationIssue(self.path, message))

    def mapping(self) -> Mapping[str, Any]:
        written: dict[str, Any] = self._typed(dict, "a mapping", {})
        return written

    def text(self, default: str = "") -> str:
        if self.data == "":
            self.refuse("must not be empty")
        return self._typed(str, "text", default)

    def choice(self, known: Sequence[str]) -> str:
        """Return the text, the first of `known` by default."""
        text = self.text(known[0])
        if text not in known:
            self.refuse(f"must be {' or '.join(known)}, got {shown(text)}{did_you_mean(text, known)}")
        return text

    def truth(self, default: bool) -> bool:  # noqa: FBT001 - the default of a switch
        return self._typed(bool, "true or false", default)

    def whole(self, default: int, *, least: int = 1) -> int:
        number = self._typed(int, "a whole number", default)
        if isinstance(number, bool) or number < least:
            self.refuse(f"must be a whole number of at least {least}, got {shown(number)}")
        return number

    def seconds(self, default: float) -> float:
        number = self._typed((int, float), "seconds, as a number", default)
        if isinstance(number, bool) or not 0 < number <= YEAR_S:
            self.refuse(f"must be seconds, above 0, got {shown(number)}")
        return float(number)

    def span(self, default: float, *, least: float) -> float:
        """Return seconds: a number, or text such as 90, 90s, 5m, 2h, 1d; `least` and a year are its bounds."""
        written: Any = default if self.data is None else self.data
        found = re.fullmatch(SPAN, written) if isinstance(written, str) and len(written) <= NAME_CHARS else None
        number = float(found[1]) * _UNITS_S[found[2]] if found else written
        plain = isinstance(number, int | float) and not isinstance(number, bool)
        if not plain or not least <= number <= YEAR_S:
            self.refuse(f"must be a time of at least {least:g} s, such as 90, 90s, 5m or 2h, got {shown(written)}")
        return float(number)

    def size(self, default: int) -> int:
        """Return bytes: a number, or 10MB (decimal), 10MiB or 10M (binary), as the core utilities count."""
        if not isinstance(self.data, str):
            return self.whole(default)
        found = re.fullmatch(SIZE, self.data)
        if not found or len(self.data) > NAME_CHARS:
            self.refuse(f"{shown(self.data)} is no size: write, for example, 100MB or 1GiB")
        base = 1000 if found[4] and not found[3] else 1024
        return int(float(found[1]) * base ** ("kmgt".find(found[2].lower()) + 1 if found[2] else 0))

    def items(self) -> list[Field]:
        return [Field(item, (*self.path, place)) for place, item in enumerate(self._typed(list, "a list", []))]

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() or item.refuse("must be text, got nothing") for item in self.items())

    def pattern(self) -> str:
        """Return a text that compiles as a regular expression."""
        text = self.text()
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as wrong:
            self.refuse(f"is no regular expression: {wrong}")
        return text

    def one_of(self, keys: Sequence[str]) -> str:
        """Return the one of these keys that is written here; refuse none, or several."""
        found = [key for key in keys if self.mapping().get(key) is not None]
        if len(found) > 1:
            self.refuse(f"has {' and '.join(found)}: keep one of them")
        return found[0] if found else self.refuse(f"needs one of {', '.join(keys)}")

    def _typed(self, kind: type[T] | tuple[type[T], ...], noun: str, default: T) -> T:
        if self.data is None:
            return default
        if not isinstance(self.data, kind):
            self.refuse(f"must be {noun}, got {shown(self.data)}")
        return self.data
