"""The options of a built-in probe, as they stand under its key."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def fields(asks: object, main: str) -> dict[str, Any]:
    """Return the options as a mapping, where a text alone is the value of `main`."""
    return dict(asks) if isinstance(asks, dict) else {main: asks}
