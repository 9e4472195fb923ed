"""The environment that commands inherit from this process."""

from __future__ import annotations

from executor.plan.params import VARIABLE
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK_VARIABLES = (
    *("TASK_ID", "STEP", "RUN", "PROJECT", "TEST", "RESULT", "RESUME"),
    *("CHUNK", "OFFSET", "SIZE", "TOTAL", "ROWS", "CHECKPOINT_EVERY"),
)
OWN_VARIABLES = frozenset(f"DO_TASKS_{name}" for name in TASK_VARIABLES)
BASICS = frozenset(("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "VIRTUAL_ENV"))


def inherited(environ: Mapping[str, str], names: tuple[str, ...] | None) -> dict[str, str]:
    """Return the environment of commands: all but the variables of another task, or those that settings.env names."""
    if names is None:
        return {name: value for name, value in environ.items() if not _is_own(name)}
    return {name: value for name, value in environ.items() if name in BASICS or name in names}


def _is_own(name: str) -> bool:
    return name in OWN_VARIABLES or name.startswith(VARIABLE)
