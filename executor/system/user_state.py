"""Where do-tasks keeps what belongs to no project: below XDG_STATE_HOME."""

from __future__ import annotations

import os

from executor.system.files import STATE_FOLDER, digest
from executor.system.folders import names_in

BRIEFS = os.path.join(STATE_FOLDER, "briefs")  # in the project: what was remembered when a brief was given


def folder() -> str:
    """Return the folder, which may not be there."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.local/state"), "do-tasks")


def project_folder(root: str) -> str:
    """Return the folder there of one project, by its path; it may not be there."""
    return os.path.join(folder(), digest(os.fsencode(os.path.realpath(root)))[:16])


def path_of(name: str) -> str:
    """Return the path of a file there, whatever project it was written for: one that was moved has another folder."""
    for one in names_in(folder()):
        path = os.path.join(folder(), one, name)
        if os.path.lexists(path):
            return path
    return os.path.join(folder(), name)


def project_files(root: str) -> list[str]:
    """Return the names of what is kept there for a project, sorted."""
    return names_in(project_folder(root))


def may_have_briefs(root: str) -> bool:
    """Return True when something may be remembered of briefs of this project; a cheap question."""
    return os.path.lexists(os.path.join(root, BRIEFS)) or bool(project_files(root))
