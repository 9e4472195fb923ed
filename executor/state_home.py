"""Where do-tasks keeps what belongs to no project: below XDG_STATE_HOME."""

from __future__ import annotations

import os

from executor.files import STATE_FOLDER

BRIEFS = os.path.join(STATE_FOLDER, "briefs")  # in the project: what was remembered when a brief was given


def folder() -> str:
    """Return the folder, which may not be there."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.local/state"), "do-tasks")


def names() -> list[str]:
    """Return the names of what is kept there, sorted."""
    try:
        return sorted(os.listdir(folder()))
    except OSError:
        return []


def may_remember(root: str) -> bool:
    """Return True when something may be remembered of briefs of this project; a cheap question."""
    return os.path.lexists(os.path.join(root, BRIEFS)) or bool(names())
