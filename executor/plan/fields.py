"""One spot in loaded data, read as what should stand there."""

from __future__ import annotations

import math
import re

from executor.plan.issues import ValidationIssue, ValidationIssueError
from executor.system.quantities import SIZE_HINT, TIME_HINT, YEAR_S, parse_duration, parse_size
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn, TypeVar

    from executor.plan.issues import Path

    T = TypeVar("T")

NAME_CHARS = 60


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
            self.refuse(f"must be {' or '.join(known)}, got {quoted(text)}{did_you_mean(text, known)}")
        return text

    def truth(self, default: bool) -> bool:  # noqa: FBT001 - the default of a switch
        return self._typed(bool, "true or false", default)

    def whole(self, default: int, *, least: int = 1) -> int:
        number = self._typed(int, "a whole number", default)
        if isinstance(number, bool) or number < least:
            self.refuse(f"must be a whole number of at least {least}, got {quoted(number)}")
        return number

    def seconds(self, default: float) -> float:
        """Return a time above 0, in seconds."""
        return self._within_a_year(default, math.ulp(0.0), f"{TIME_HINT}, above 0 and at most 365d")

    def wait(self, default: float) -> float:
        """Return a time, in seconds; 0 is one."""
        return self._within_a_year(default, 0.0, f"{TIME_HINT}, at most 365d")

    def _within_a_year(self, default: float, least: float, noun: str) -> float:
        number = parse_duration(default if self.data is None else self.data)
        if number is None or not least <= number <= YEAR_S:
            self.refuse(f"must be {noun}, got {quoted(self.data)}")
        return float(number)

    def size(self, default: int) -> int:
        """Return bytes, at least 1."""
        number = parse_size(default if self.data is None else self.data)
        if number is None or number < 1 or (number != int(number) and not isinstance(self.data, str)):
            self.refuse(f"must be {SIZE_HINT}, above 0, got {quoted(self.data)}")
        return int(number)

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
            self.refuse(f"must be {noun}, got {quoted(self.data)}")
        return self.data
