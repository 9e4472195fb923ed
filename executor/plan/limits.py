"""Limits of an agent: those of main, else of the settings, else the defaults."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.model import Main, Settings
    from executor.plan.roles import Role

ROUNDS = 3
TURNS = 50
STALL_S = 120.0
COMMAND_S = 600.0


class Sandbox(Record):
    """Containment of an agent's shell: `mode` is auto, required or off.

    `read` are paths that it may read beside the allow list, `write` the start files that it may create or change.
    """

    mode: str = "auto"
    network: bool = False
    environment: str = "read-only"
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class AgentLimits(Record):
    """Limits at which an agent is stopped; 0 = no limit. Prices are USD a million tokens, by kind of token."""

    turns: int = TURNS
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    stall_s: float = STALL_S
    command_s: float = COMMAND_S
    prices: Mapping[str, float] = {}


def rounds_of(main: Main | None, settings: Settings) -> int:
    """Return the number of times that an agent may hand in its work."""
    return int(_merged(settings.judge, main.judge if main else None).get("rounds", ROUNDS))


def sandbox_of(main: Main | None, settings: Settings) -> Sandbox:
    """Return the containment of the shell: that of main over that of the settings."""
    written = _merged(settings.sandbox, main.sandbox if main else None)
    return Sandbox(
        str(written.get("mode", "auto")),
        network=written.get("network") is True,
        environment=str(written.get("environment", "read-only")),
        read=_texts(written.get("read")),
        write=tuple(path.removesuffix("/") for path in _texts(written.get("write"))),
    )


def _texts(written: object) -> tuple[str, ...]:
    """Return a text, or a list of them."""
    return (written,) if isinstance(written, str) else tuple(map(str, written)) if isinstance(written, list) else ()


def bounds_of(main: Main | None, settings: Settings, role: Role | None = None) -> AgentLimits:
    """Return the limits; `turns` is that of the role where the plan has none."""
    written = _merged(settings.limits, main.limits if main else None)
    return AgentLimits(
        turns=int(written.get("turns") or (role.max_turns if role else 0) or TURNS),
        tokens=int(written.get("tokens", 0)),
        usd=float(written.get("usd", 0.0)),
        seconds=float(written.get("seconds", 0.0)),
        stall_s=float(written.get("stall", STALL_S)),
        command_s=float(written.get("command", COMMAND_S)),
        prices=priced(written.get("prices") or {}),
    )


def priced(prices: Mapping[str, float]) -> dict[str, float]:
    """Return a price for each kind of token, empty without prices."""
    if not prices:
        return {}
    first = float(prices["input"])
    return {"cache_read": first * 0.1, "cache_write": first * 1.25, **{key: float(of) for key, of in prices.items()}}


def _merged(settings: Mapping[str, object] | None, main: Mapping[str, object] | None) -> dict[str, Any]:
    return {**(settings or {}), **(main or {})}
