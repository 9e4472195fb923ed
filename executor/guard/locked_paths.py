"""Paths of a project that are read-only for an agent besides its judges: environments and autostart files."""

from __future__ import annotations

import os

from executor.guard import autostart_files, home_view
from executor.guard.file_state import is_within, is_within_any
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.guard.autostart_files import StartScan
    from executor.plan.limits import Sandbox

ENVIRONMENT_MARKERS = ("pyvenv.cfg", "conda-meta")
MOST = 300  # mounts of autostart files


class LockedPaths(Record):
    """Paths of the project: `read_only` exist, `placeholders` do not and must not be made.

    `before` are the existing autostart files and environments, `links` the targets of those that are links.
    """

    read_only: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    links: Mapping[str, str] = {}


def find_locked(root: str, environ: Mapping[str, str], python: str, wanted: Sandbox, seen: StartScan) -> LockedPaths:
    """Return the locked paths of a project whose children have this environment and this Python."""
    is_open = wanted.environment == "writable"
    own = () if is_open else tuple(dict.fromkeys((*environments(root, environ, python), *seen.environments)))
    known = (*autostart_files.AUTOSTART_FOLDERS, *(() if is_open else (*autostart_files.ENVIRONMENTS, *own)))
    starts = [path for path in seen.starts if not (is_open and path in autostart_files.ENVIRONMENTS)]
    still = [path for path in starts if not _is_repository(root, path) and not is_within_any(path, wanted.write)]
    return LockedPaths(
        read_only=tuple(dict.fromkeys((*own, *still[:MOST]))),
        placeholders=tuple(one for one in dict.fromkeys(known) if not is_within_any(one, wanted.write)),
        before=tuple(dict.fromkeys((*starts, *(one for one in own if os.path.lexists(os.path.join(root, one)))))),
        links=autostart_files.link_targets(root, (*starts, *own)),
    )


def environments(root: str, environ: Mapping[str, str], python: str) -> tuple[str, ...]:
    """Return the folders of the project that are its environment, or on the PATH."""
    real = os.path.realpath(python)
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in (python, real)]
    prefixes += [environ.get("VIRTUAL_ENV", ""), environ.get("CONDA_PREFIX", "")]
    prefixes += [path for path in (python, real) if os.path.exists(path)]
    inside = [
        one
        for one in names_in(root)
        if any(os.path.exists(os.path.join(root, one, name)) for name in ENVIRONMENT_MARKERS)
    ]
    path = [_environment_of(root, one) for one in environ.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    found = [*(os.path.join(root, one) for one in inside), *filter(None, prefixes), *path]
    return tuple(dict.fromkeys(filter(None, (_relative(root, one) for one in found))))


def _environment_of(root: str, folder: str) -> str:
    """Return the environment, or node_modules, that a folder of programs belongs to, else the folder itself."""
    prefix = os.path.dirname(os.path.normpath(folder))
    if os.path.basename(prefix) == "node_modules":
        return prefix
    is_one = any(os.path.exists(os.path.join(prefix, name)) for name in ENVIRONMENT_MARKERS)
    return prefix if is_one and _relative(root, prefix) else folder


def safe_path(root: str, path: str, locks: Iterable[str]) -> str:
    """Return a PATH without the folders that an agent may write to: those of the project that are not locked."""
    kept = tuple(locks)
    return os.pathsep.join(one for one in path.split(os.pathsep) if _is_safe(root, one, kept))


def _is_safe(root: str, folder: str, locks: tuple[str, ...]) -> bool:
    if not os.path.isabs(folder):
        return False
    inside = os.path.realpath(folder)
    real = os.path.realpath(root)
    return not is_within(inside, real) or is_within_any(os.path.relpath(inside, real), locks)


def visible_paths(root: str, environ: Mapping[str, str], python: str, *, environment: str) -> tuple[str, ...]:
    """Return the visible paths of homes and /tmp: interpreters, toolchains, packages, the repository."""
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in (python, os.path.realpath(python))]
    packages = (
        [] if environment == "writable" else [path for one in prefixes for path in home_view.editable_packages(one)]
    )
    return tuple(
        dict.fromkeys((*prefixes, *packages, *home_view.toolchain_folders(environ), *home_view.repository_paths(root)))
    )


def hidden_env_files(root: str, seen: StartScan, read: Iterable[str]) -> tuple[str, ...]:
    """Return the `.env` files that are hidden: those of the project, and at the top of its repository."""
    above = [one for one in home_view.repository_paths(root) if os.path.basename(one) != ".git"]
    beside = [os.path.join(one, name) for one in above for name in autostart_files.environment_files(one)]
    readable_too = set(read)
    return tuple(
        path for path in (*(os.path.join(root, one) for one in seen.secrets), *beside) if path not in readable_too
    )


def readable_paths(root: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of `sandbox.read` as absolute paths."""
    return tuple(os.path.normpath(os.path.join(root, os.path.expanduser(path))) for path in wanted)


def _relative(root: str, path: str) -> str:
    """Return a path relative to the project, empty when it is not below it."""
    for base in dict.fromkeys((root, os.path.realpath(root))):
        named = os.path.relpath(os.path.normpath(path), base)
        if named != os.curdir and not named.startswith(os.pardir):
            return named
    return ""


def _is_repository(root: str, path: str) -> bool:
    """Return True for a repository: only its settings are locked, since an agent may commit."""
    return os.path.basename(path) == ".git" and os.path.isdir(os.path.join(root, path))
