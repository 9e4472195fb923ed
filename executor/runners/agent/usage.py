"""Usage of an agent, and the limits that it has reached."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.limits import AgentLimits

KINDS = ("input", "output", "cache_read", "cache_write")
MILLION = 1_000_000


class Usage(Record):
    """Turns, tokens by kind (input without cached ones), dollars (0 without prices), seconds of work."""

    turns: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """The tokens of all kinds together."""
        return self.input + self.output + self.cache_read + self.cache_write

    def with_turn(self, tokens: Mapping[str, int], prices: Mapping[str, float]) -> Usage:
        """Return the usage after one more turn with these tokens by kind."""
        more = {kind: getattr(self, kind) + tokens.get(kind, 0) for kind in KINDS}
        cost = sum(tokens.get(kind, 0) * prices.get(kind, 0.0) for kind in KINDS) / MILLION
        return self.replace(**more, turns=self.turns + 1, usd=round(self.usd + cost, 9))


def usage_of(kept: Mapping[str, Any]) -> Usage:
    """Return the usage that a trajectory holds; fields that are missing or no numbers are 0."""
    return Usage(**{name: kept[name] for name in Usage._fields if isinstance(kept.get(name), int | float)})


def limit_reached(usage: Usage, limits: AgentLimits) -> tuple[str, str]:
    """Return the kind of the first limit that is reached, and a message; two empty texts when none is."""
    for kind, used, most, unit in (
        ("turns", usage.turns, limits.turns, "turns"),
        ("tokens", usage.tokens, limits.tokens, "tokens"),
        ("usd", round(usage.usd, 4), limits.usd, "US dollars"),
        ("seconds", round(usage.seconds, 1), limits.seconds, "seconds"),
    ):
        if most and used >= most:
            reached = f"its limit of {most:,} {unit} is reached ({used:,} used)"
            return kind, f"{reached}; raise limits.{kind}, or split the step"
    return "", ""
