"""What an agent has used, against what it may use."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.limits import AgentLimits

KINDS = ("input", "output", "cache_read", "cache_write")
MILLION = 1_000_000


class Spent(Record):
    """Turns, tokens by kind (input counts no cached ones), US dollars (0 without prices), seconds of work."""

    turns: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """All tokens, whatever they were for."""
        return self.input + self.output + self.cache_read + self.cache_write

    def turned(self, usage: Mapping[str, int], prices: Mapping[str, float]) -> Spent:
        """Return what is used after one more turn with this usage, tokens by kind."""
        more = {kind: getattr(self, kind) + usage.get(kind, 0) for kind in KINDS}
        cost = sum(usage.get(kind, 0) * prices.get(kind, 0.0) for kind in KINDS) / MILLION
        return self.replace(**more, turns=self.turns + 1, usd=round(self.usd + cost, 9))


def spent_of(kept: Mapping[str, Any]) -> Spent:
    """Return what a trajectory says was used; nothing for what is no such record."""
    known = Spent().asdict()
    numbers = {name: value for name, value in kept.items() if name in known and isinstance(value, int | float)}
    return Spent().replace(**numbers)


def reached(spent: Spent, bounds: AgentLimits) -> tuple[str, str]:
    """Return the kind of the first limit that is reached, with words; two empty texts when there is room."""
    for kind, used, most, unit in (
        ("turns", spent.turns, bounds.turns, "turns"),
        ("tokens", spent.tokens, bounds.tokens, "tokens"),
        ("usd", round(spent.usd, 4), bounds.usd, "US dollars"),
        ("seconds", round(spent.seconds, 1), bounds.seconds, "seconds"),
    ):
        if most and used >= most:
            told = f"its limit of {most:,} {unit} is reached ({used:,} used)"
            return kind, f"{told}; raise limits.{kind}, or split the step"
    return "", ""
