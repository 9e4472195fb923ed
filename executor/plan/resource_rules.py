"""Rules between the resources of steps and the capacity of the settings."""

from __future__ import annotations

from executor.plan.issues import ValidationIssue
from executor.plan.plan_rules import key_of
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.plan_rules import Raw


def resource_issues(raw: Raw, capacity: Mapping[str, int]) -> Iterator[ValidationIssue]:
    """Yield an issue for each resource that a step takes and the capacity lacks."""
    for number, (slug, body) in raw.items():
        main = body.get("main")
        taken = main.get("resources") if isinstance(main, dict) else None
        for name, amount in taken.items() if isinstance(taken, dict) else ():
            message = _message(name, amount, capacity)
            if message:
                yield ValidationIssue((key_of(number, slug), "main", "resources", name), message)


def _message(name: str, amount: object, capacity: Mapping[str, int]) -> str:
    """Return the reason for which a step cannot have an amount, empty when it can."""
    if not isinstance(amount, int):  # an error of its own
        return ""
    if name not in capacity:
        hint = did_you_mean(name, capacity) or f"; add capacity: {{{name}: {amount}}} to the settings"
        return f"settings.capacity has no {quoted(name)}{hint}"
    if amount > capacity[name]:
        return f"asks {amount} of {capacity[name]} in settings.capacity: ask less, or raise the capacity"
    return ""
