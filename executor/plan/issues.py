"""What is wrong in the definitions, told by the path where it stands."""

from __future__ import annotations

from executor.errors import Problem
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Path = tuple[str | int, ...]

SHOWN_CHARS = 40


class ValidationIssue(Record):
    """One thing wrong at a path of the loaded data, for example ("step_1_setup", "pre_flight", 0, "timeout")."""

    path: Path
    message: str
    severity: str = "error"


def problem_of(flaw: ValidationIssue, file: str, place: tuple[int, int] = (0, 0)) -> Problem:
    """Return the flaw as a problem at (line, column) of a file, on one printable line."""
    message = flaw.message if flaw.message.isprintable() else ascii(flaw.message)[1:-1]
    return Problem(file, message, spelled(flaw.path), *place, flaw.severity)


class ValidationIssueError(Exception):
    """The data at one path cannot become a value."""

    def __init__(self, flaw: ValidationIssue) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def spelled(path: Path) -> str:
    """`step_1_setup.pre_flight[0].timeout`; a key that is no plain word is quoted and cut."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{_word(part)}" for part in path]
    return "".join(parts).removeprefix(".")


def _word(key: str) -> str:
    return key if len(key) <= 2 * SHOWN_CHARS and key.replace("_", "").replace("-", "").isalnum() else shown(key)


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, on one line, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X` for the nearest known word, or nothing when none is near."""
    import difflib

    near = difflib.get_close_matches(word[: 2 * SHOWN_CHARS], list(known), n=1)
    return f"; did you mean {near[0]}" if near else ""


def not_defined(number: int, numbers: Sequence[int]) -> str:
    """Say that a step is missing, and which defined ones (ascending numbers) stand nearest."""
    if not numbers:
        return f"step {number} is not defined: the plan has no step"
    from bisect import bisect_left

    place = bisect_left(numbers, number)
    near = min(numbers[max(0, place - 1) : place + 1], key=lambda other: abs(other - number))
    return f"step {number} is not defined; nearest: {near}"
