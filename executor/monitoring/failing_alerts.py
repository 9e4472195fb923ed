"""Which alerts that stand when a job has ended fail it."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.monitoring.model import Monitor

RUINOUS = ("nan", "divergence")  # rules whose standing alert says that what a job made is worth nothing


def failing_alerts(keys: Iterable[str], monitors: Iterable[Monitor]) -> list[str]:
    """Return those of the alerts that fail a job at its end."""
    noted = {monitor.name for monitor in monitors if monitor.at_end == "note"}
    named = [(key, *key.rpartition("/")[::2]) for key in keys]
    return [key for key, monitor, rule in named if rule in RUINOUS and monitor not in noted]
