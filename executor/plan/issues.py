"""Issues of the definitions, each with its path."""

from __future__ import annotations

from executor.errors import Problem
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import QUOTED_CHARS, did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.plan.step_ids import StepId

    Path = tuple[str | int, ...]


class ValidationIssue(Record):
    """One thing wrong at a path of the loaded data, for example ("step_1_setup", "pre_flight", 0, "timeout")."""

    path: Path
    message: str
    severity: str = "error"


def problem_of(issue: ValidationIssue, file: str, place: tuple[int, int] = (0, 0)) -> Problem:
    """Return the issue as a problem at (line, column) of a file, on one printable line."""
    message = issue.message if issue.message.isprintable() else ascii(issue.message)[1:-1]
    return Problem(file, message, spelled(issue.path), *place, issue.severity)


def spelled(path: Path) -> str:
    """`step_1_setup.pre_flight[0].timeout`; a key that is no plain word is quoted and cut."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{_word(part)}" for part in path]
    return "".join(parts).removeprefix(".")


def _word(key: str) -> str:
    return key if len(key) <= 2 * QUOTED_CHARS and key.replace("_", "").replace("-", "").isalnum() else quoted(key)


def not_defined(number: StepId, numbers: Sequence[StepId]) -> str:
    """Return the message for a missing step, with the nearest of the defined ones (numbers ascend)."""
    if not numbers:
        return f"step {number} is not defined: the plan has no step"
    known = [one for one in numbers if isinstance(one, int)]
    if not isinstance(number, int) or not known:
        return f"step {number} is not defined{did_you_mean(str(number), list(map(str, numbers)))}"
    from bisect import bisect_left

    place = bisect_left(known, number)
    near = min(known[max(0, place - 1) : place + 1], key=lambda other: abs(other - number))
    return f"step {number} is not defined; nearest: {near}"
