"""The state of a user that belongs to no project, below XDG_STATE_HOME."""

from __future__ import annotations

import os

from executor.system.files import STATE_FOLDER, digest
from executor.system.folders import names_in

BRIEFS = os.path.join(STATE_FOLDER, "briefs")  # in the project: snapshots from the moment of a brief


def folder() -> str:
    """Return the path of the folder, which may be missing."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.local/state"), "do-tasks")


def project_folder(root: str) -> str:
    """Return the path of the folder there for one project; it may be missing."""
    return os.path.join(folder(), digest(os.fsencode(os.path.realpath(root)))[:16])


def path_of(name: str) -> str:
    """Return the path of a file there, in the folder of any project: a project that was moved has another folder."""
    for one in names_in(folder()):
        path = os.path.join(folder(), one, name)
        if os.path.lexists(path):
            return path
    return os.path.join(folder(), name)


def project_files(root: str) -> list[str]:
    """Return the sorted names of the files there for a project."""
    return names_in(project_folder(root))


def may_have_briefs(root: str) -> bool:
    """Return True when snapshots of briefs of this project may exist; a cheap test."""
    return os.path.lexists(os.path.join(root, BRIEFS)) or bool(project_files(root))
