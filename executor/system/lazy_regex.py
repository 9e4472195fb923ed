"""Regular expressions that are compiled at their first use: a read verb uses few of those that it imports."""

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
    """Return what `re.compile` returns, as far as its attributes are concerned."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))


class _LazyPattern:
    """A pattern that is not compiled yet; each attribute is looked up once."""

    def __init__(self, text: Any, flags: int) -> None:
        self._given = (text, flags)

    def __getattr__(self, name: str) -> Any:
        text, flags = self._given
        value = getattr(re.compile(text, flags), name)
        self.__dict__[name] = value
        return value
