"""Tells when an agent goes round in circles."""

from __future__ import annotations

from collections import deque

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

MOST_WRONG = 5  # turns in a row that could not be used: no call, an unknown tool, bad input, a cut call
WINDOW = 12
SAME_TOLD = 3
MOST_SAME = 6


class RepetitionDetector:
    """Counts turns that could not be used, and the same calls with the same answers."""

    def __init__(self) -> None:
        self._wrong = 0
        self._done: deque[Hashable] = deque(maxlen=WINDOW)

    def turned(self, *, usable: bool, doing: Hashable) -> str:
        """Take a turn; return why the work must end, empty when it may go on. `doing` is what was called and said."""
        self._wrong = 0 if usable else self._wrong + 1
        self._done.append(doing)
        if self._wrong >= MOST_WRONG:
            return f"{self._wrong} turns in a row could not be used"
        same = self._done.count(doing)
        return f"it did the same {same} times with the same result" if same >= MOST_SAME else ""

    def warning(self, doing: Hashable) -> str:
        """Return what the agent is told before it is ended for repeating itself."""
        same = self._done.count(doing)
        if same < SAME_TOLD:
            return ""
        return f"[You have done this {same} times with the same result. Do something else, or call done and say why.]"
