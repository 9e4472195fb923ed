"""What is waited for, on a screen: one line that is replaced, or now and then a line of its own."""

from __future__ import annotations

import time

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.cli.output.transcript import Screen

AGAIN_S = 60.0


class Waiting:
    """Shows what a job's start waits for; where lines stay, a changed one at most once a minute."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._said = ""
        self._next_s = 0.0

    def __call__(self, what: str, until: str) -> None:
        """Show it, with the time that is left."""
        if self._screen.live:
            self._screen.passing(f"       {what}, {until}")
        elif what != self._said and time.monotonic() >= self._next_s:
            self._said, self._next_s = what, time.monotonic() + AGAIN_S
            self._screen.say(f"[BACKGROUND] · {what}, {until}")
