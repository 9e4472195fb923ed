"""Searches with the patterns of a plan, each under a limit of CPU time."""

from __future__ import annotations

import signal

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern
    from typing import Self, TypeVar

    T = TypeVar("T")

LIMIT_S = 0.5


class TooSlowError(Exception):
    """A search took longer than LIMIT_S of CPU time."""


class TimedPattern:
    """A pattern whose searches end within LIMIT_S of CPU time, else with TooSlowError.

    `re` holds the interpreter during a search, but in the main thread it handles signals: a timer ends it there.
    """

    def __init__(self, pattern: Pattern[str]) -> None:
        self._pattern = pattern

    @property
    def text(self) -> str:
        """The text of the pattern."""
        return self._pattern.pattern

    def search(self, text: str) -> Match[str] | None:
        """Return the first match in a text."""
        return _run_timed(lambda: self._pattern.search(text))

    def among(self, lines: tuple[str, ...]) -> list[str]:
        """Return the lines that match, all within one limit."""
        return _run_timed(lambda: [line for line in lines if self._pattern.search(line)])


def _run_timed(work: Callable[[], T]) -> T:
    """Call a function in the main thread under a timer of CPU time; TooSlowError at its end."""
    with _Timer() as timer:
        try:
            found = work()
            timer.armed = False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    return found


class _Timer:
    """A one-shot timer whose signal raises TooSlowError as long as it is armed."""

    armed = True

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGVTALRM, self._ring)
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.armed = False
        signal.signal(signal.SIGVTALRM, self._before)

    def _ring(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise TooSlowError
