"""What of a project an agent leaves as it is besides what judges it: its environment, and what starts by itself."""

from __future__ import annotations

import os

from executor.guard import home_view, start_files
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.guard.start_files import Survey
    from executor.plan.limits import Sandbox

MARKERS = ("pyvenv.cfg", "conda-meta")
MOST = 300  # mounts of start files


class Locked(Record):
    """Paths of the project: `read_only` are there, `placeholders` are not and must not be made.

    `before` are the start files that were there, `links` those of them, and environments, that are links.
    """

    read_only: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    links: Mapping[str, str] = {}


def locked(root: str, environ: Mapping[str, str], python: str, wanted: Sandbox, seen: Survey) -> Locked:
    """Return what is locked in a project whose children have this environment and this Python."""
    is_open = wanted.environment == "writable"
    own = () if is_open else tuple(dict.fromkeys((*environments(root, environ, python), *seen.environments)))
    names = (*start_files.FOLDERS, *(() if is_open else (*start_files.ENVIRONMENTS, *own)))
    starts = [path for path in seen.starts if not (is_open and path in start_files.ENVIRONMENTS)]
    still = [path for path in starts if not _is_repository(root, path) and not _allowed(path, wanted.write)]
    return Locked(
        read_only=tuple(dict.fromkeys((*own, *still[:MOST]))),
        placeholders=tuple(one for one in dict.fromkeys(names) if not _allowed(one, wanted.write)),
        before=tuple(dict.fromkeys((*starts, *(one for one in own if os.path.lexists(os.path.join(root, one)))))),
        links=start_files.links(root, (*starts, *own)),
    )


def environments(root: str, environ: Mapping[str, str], python: str) -> tuple[str, ...]:
    """Return the folders in the project that hold the environment, and those where PATH looks for programs."""
    real = os.path.realpath(python)
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in (python, real)]
    prefixes += [environ.get("VIRTUAL_ENV", ""), environ.get("CONDA_PREFIX", "")]
    prefixes += [path for path in (python, real) if os.path.exists(path)]
    inside = [one for one in _names(root) if any(os.path.exists(os.path.join(root, one, name)) for name in MARKERS)]
    path = [_whole(root, one) for one in environ.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    found = [*(os.path.join(root, one) for one in inside), *filter(None, prefixes), *path]
    return tuple(dict.fromkeys(filter(None, (_relative(root, one) for one in found))))


def _whole(root: str, folder: str) -> str:
    """Return the folder that a folder of programs belongs to: an environment, or node_modules."""
    prefix = os.path.dirname(os.path.normpath(folder))
    if os.path.basename(prefix) == "node_modules":
        return prefix
    is_one = any(os.path.exists(os.path.join(prefix, name)) for name in MARKERS)
    return prefix if is_one and _relative(root, prefix) else folder


def safe_path(root: str, path: str, locks: Iterable[str]) -> str:
    """Return a PATH without the folders that an agent may write to: the project's own but for those that are locked."""
    kept = tuple(locks)
    return os.pathsep.join(one for one in path.split(os.pathsep) if _is_safe(root, one, kept))


def _is_safe(root: str, folder: str, locks: tuple[str, ...]) -> bool:
    if not os.path.isabs(folder):
        return False
    inside = os.path.realpath(folder)
    real = os.path.realpath(root)
    if inside != real and not inside.startswith(os.path.join(real, "")):
        return True
    named = os.path.relpath(inside, real)
    return any(named == one or named.startswith(f"{one}/") for one in locks)


def shown(root: str, environ: Mapping[str, str], python: str, *, environment: str) -> tuple[str, ...]:
    """Return what must be seen of homes and /tmp: interpreters, toolchains, packages, the repository."""
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in (python, os.path.realpath(python))]
    packages = [] if environment == "writable" else [path for one in prefixes for path in home_view.editable(one)]
    return tuple(dict.fromkeys((*prefixes, *packages, *home_view.tools(environ), *home_view.repository(root))))


def hidden(root: str, seen: Survey, read: Iterable[str]) -> tuple[str, ...]:
    """Return the `.env` files that read as empty: the project's, and those at the top of its repository."""
    above = [one for one in home_view.repository(root) if os.path.basename(one) != ".git"]
    beside = [os.path.join(one, name) for one in above for name in start_files.environment_files(one)]
    named = set(read)
    return tuple(path for path in (*(os.path.join(root, one) for one in seen.secrets), *beside) if path not in named)


def readable(root: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of `sandbox.read`, absolute."""
    return tuple(os.path.normpath(os.path.join(root, os.path.expanduser(path))) for path in wanted)


def _relative(root: str, path: str) -> str:
    """Return a path as it is named from the project, empty when it is not below it."""
    for base in dict.fromkeys((root, os.path.realpath(root))):
        named = os.path.relpath(os.path.normpath(path), base)
        if named != os.curdir and not named.startswith(os.pardir):
            return named
    return ""


def _is_repository(root: str, path: str) -> bool:
    """Return True for a repository: of it only what git obeys is locked, for an agent may commit."""
    return os.path.basename(path) == ".git" and os.path.isdir(os.path.join(root, path))


def _allowed(path: str, write: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in write)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
