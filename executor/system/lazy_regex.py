"""Regular expressions that are compiled at first use: a read verb uses few of those that it imports."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, AnyStr, cast
else:

    def cast(_: str, value: object) -> object:
        """Return the value: typing is slow to import."""
        return value


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a stand-in for `re.compile(text, flags)` with the same attributes."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))


class _LazyPattern:
    """A pattern that is compiled at first use; each attribute is looked up once."""

    def __init__(self, text: Any, flags: int) -> None:
        self._given = (text, flags)

    def __getattr__(self, name: str) -> Any:
        text, flags = self._given
        value = getattr(re.compile(text, flags), name)
        self.__dict__[name] = value
        return value
