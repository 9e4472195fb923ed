"""Ids that stand more than once in a plan."""

from __future__ import annotations

from collections import Counter

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def places_of_doubled(ids: Sequence[str], *, counts: Callable[[int], bool]) -> dict[str, list[int]]:
    """Return the places of each id that stands more than once among the places that count."""
    counted = Counter(one for place, one in enumerate(ids) if counts(place))
    found: dict[str, list[int]] = {one: [] for one, times in counted.items() if times > 1}
    for place, one in enumerate(ids):
        if one in found:
            found[one].append(place)
    return found


def nths(ids: Sequence[str]) -> list[int]:
    """Return for each id how often it has stood up to its place, from 1."""
    seen: Counter[str] = Counter()
    found = []
    for one in ids:
        seen[one] += 1
        found.append(seen[one])
    return found
