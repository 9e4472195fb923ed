"""Expected trouble that ends a script with one line."""

from __future__ import annotations

FAILED = 1
USAGE = 2
RETRY_LATER = 75


class Trouble(Exception):  # noqa: N818 - trouble is the word: the world's, not a bug of ours
    """A line for the person, naming the next move, and the exit code that goes with it."""

    def __init__(self, line: str, code: int = FAILED) -> None:
        super().__init__(line)
        self.exit_code = code
