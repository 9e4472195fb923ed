"""The condition of a step: whether a metric of another step keeps its limits."""

from __future__ import annotations

from executor.plan.issues import ValidationIssue
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from executor.plan.model import Condition

LIMITS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "below": ("below", lambda value, limit: value < limit),
    "above": ("above", lambda value, limit: value > limit),
    "at_least": ("at least", lambda value, limit: value >= limit),
    "at_most": ("at most", lambda value, limit: value <= limit),
    "equals": ("equal to", lambda value, limit: value == limit),
}


def failed_limit(condition: Condition, value: object) -> str:
    """Return the first limit that a metric does not keep, in words; empty when it keeps all.

    Raises ValueError for a metric that has no order, such as a text.
    """
    for key, limit in condition.limits.items():
        words, holds = LIMITS[key]
        if key != "equals" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"metric {condition.metric} of step {condition.step} is {quoted(value)}, not a number")
        if not holds(value, limit):
            return f"{condition.metric} of step {condition.step} is {quoted(value)}, not {words} {quoted(limit)}"
    return ""


def condition_issues(body: Mapping[str, Any], own: str, steps: Collection[str]) -> Iterator[ValidationIssue]:
    """Yield the faults of a step's `if`, by path inside the step; `steps` are the ids of the defined steps."""
    written = body.get("if")
    if not isinstance(written, dict) or "step" not in written:
        return
    if not any(key in written for key in LIMITS):
        yield ValidationIssue(("if",), f"needs one of {', '.join(LIMITS)}")
    step = str(written["step"])
    if step == own:
        yield ValidationIssue(("if", "step"), "is the step itself: name an earlier one")
    elif step not in steps:
        yield ValidationIssue(("if", "step"), f"step {step} is not defined{did_you_mean(step, steps)}")
