"""The roles and skills of a project: the files that Claude Code reads too."""

from __future__ import annotations

import os

from executor.errors import DefinitionError, Problem, remedy
from executor.plan import roles
from executor.system import files
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.roles import Role, Skill

AGENTS = os.path.join(".claude", "agents")
SKILLS = os.path.join(".claude", "skills")
USUAL_ROLE = "tinker-executor"
USUAL_SKILL = "tinker-api"


def role_of(root: str, name: str) -> Role:
    """Return the role of this name; DefinitionError when its file is missing, or a broken file may hold it."""
    known, broken = [], []
    for path in _role_files(root):
        try:
            role = roles.read_role(_text(root, path), path)
        except DefinitionError as error:
            broken.append(error)
            continue
        if role.name == name:
            return role
        known.append(role.name)
    if broken:
        raise broken[0]
    raise DefinitionError(Problem(AGENTS, _no_role(name, known)))


def skills_of(root: str, listed: tuple[str, ...] | None) -> tuple[tuple[Skill, ...], str]:
    """Return the listed skills, and the error of a missing one; without a list the default skill, where it exists."""
    found = []
    for name in (USUAL_SKILL,) if listed is None else listed:
        path = roles.place_of(name)
        text = _text(root, path)
        if text:
            folder = os.path.dirname(path)
            beside = sorted(one for one in _names(root, folder) if one.endswith(".md") and one != roles.SKILL_FILE)
            found.append(roles.read_skill(text, folder).replace(files=tuple(beside)))
        elif listed is not None:
            entries = _names(root, os.path.dirname(path))
            return (), roles.missing(name, known=sorted(_names(root, SKILLS)), entries=entries)
    return tuple(found), ""


def listed(root: str, *, agent: str, skills: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the skills that the step lists, else those of its role; None when neither lists any."""
    if skills is not None:
        return skills
    try:
        return role_of(root, agent).skills or None
    except DefinitionError:
        return None


def bytes_of(root: str, *, agent: str, skills: tuple[str, ...] | None) -> tuple[bytes, ...]:
    """Return the bytes of an agent's role file and of its skills, for a fingerprint."""
    try:
        role = _bytes(root, role_of(root, agent).file)
    except DefinitionError:
        role = b""
    names = listed(root, agent=agent, skills=skills) or ((USUAL_SKILL,) if skills is None else ())
    return (role, *(_bytes(root, os.path.join(SKILLS, name, roles.SKILL_FILE)) for name in names))


def program(path: str) -> str:
    """Return the path of the program of Claude Code on this PATH, empty when it is missing."""
    paths = (os.path.join(folder, "claude") for folder in path.split(os.pathsep) if folder)
    return next((one for one in paths if os.path.isfile(one) and os.access(one, os.X_OK)), "")


def has_socat(path: str) -> bool:
    """Return True where the PATH has socat, which the sandbox of Claude Code needs beside bubblewrap."""
    places = (os.path.join(folder, "socat") for folder in path.split(os.pathsep) if folder)
    return any(os.path.isfile(one) and os.access(one, os.X_OK) for one in places)


def _no_role(name: str, known: list[str]) -> str:
    """Return the error for an unknown role, with the known ones and a remedy."""
    if not known:
        return f"no agent is called {name!r}, no file there has a role: do-tasks init writes {USUAL_ROLE}"
    message = f"no agent is called {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}"
    return f"{message}; or write a file there with name: {name}"


def _role_files(root: str) -> Iterator[str]:
    for below, folders, names in os.walk(os.path.join(root, AGENTS)):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(below, name), root)


def _text(root: str, path: str) -> str:
    return _bytes(root, path).decode("utf-8", "replace")


def _bytes(root: str, path: str) -> bytes:
    try:
        return files.read(os.path.join(root, path))
    except OSError as error:
        raise DefinitionError(Problem(path, f"cannot be read: {error.strerror}; {remedy(error)}")) from error


def _names(root: str, folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(root, folder))
    except OSError:
        return []
