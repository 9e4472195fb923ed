"""Autostart files of a project: other programs run or obey them automatically, so an agent may not add any."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import stat

from executor.guard.file_state import ancestors, is_within_any, join
from executor.system import files, lazy_regex, safe_open
from executor.system.folders import entries_in, walk_breadth_first
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.system.folders import Entries

# Git, editors, agents and shells read these automatically and run the commands in them.
ENVIRONMENTS = (".venv", "venv")
PACKAGES = "node_modules"
AUTOSTART_FOLDERS = (
    ".git",
    ".claude",
    ".vscode",
    ".idea",
    ".cursor",
    ".codex",
    ".gemini",
    ".zed",
    ".devcontainer",
    ".agents",
)
AUTOSTART_FILES = (
    *(".envrc", ".gitattributes", ".mcp.json", ".cursorrules", ".tool-versions", ".mise.toml", "mise.toml"),
    *("AGENTS.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md", ".pre-commit-config.yaml"),
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".inputrc"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".vimrc", ".exrc", ".nvimrc", ".nvim.lua", ".gdbinit", ".lldbinit"),
)
# Inside a repository: they name the settings that git obeys.
GIT_SETTINGS = ("commondir", "config", "config.worktree", "hooks")
ANYWHERE = frozenset((*AUTOSTART_FOLDERS, *AUTOSTART_FILES))
AT_ROOT = frozenset((*ANYWHERE, *ENVIRONMENTS))
HARMLESS_ENV = (
    *("*[._-]example", "*[._-]sample", "*[._-]template", "*[._-]dist", "*[._-]defaults"),
    *("example.env", "sample.env", "template.env", "*.example.env", "*.sample.env", "*.template.env"),
)
# `.env`, `.env.local`, `.env-prod`, `.env~`, `.envrc.local`, `prod.env`, `prod.env.bak`.
_ENV = lazy_regex.pattern(
    r"#?\.env(?:rc)?(?:[\W_\d].*)?|.+\.env(?:rc)?(?:[~#]|\.(?:local|bak|backup|old|orig|save|swp))?",
    re.IGNORECASE | re.DOTALL,
)
SKIPPED = frozenset(
    ("node_modules", ".do-tasks", "__pycache__", ".git", ".tox", ".nox", "site-packages", "dist-packages")
)
RECORD = "placeholders.json"
MOST_ENTRIES = 20_000  # entries of a project
LEVELS = 40
MOST_PLAIN = 1000  # other files of one folder


class StartScan(Record):
    """The result of a scan, as paths relative to the project; `is_cut` when the project was too large for it."""

    starts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    is_cut: bool = False
    environments: tuple[str, ...] = ()


def scan(root: str, *, most: int = MOST_ENTRIES) -> StartScan:
    """Return the autostart files, `.env` files, sockets and environments among the first `most` entries."""
    starts, secrets, sockets, homes, count = [], [], [], [], 0
    for count, (path, entry, beside) in enumerate(_walk(root, most), 1):  # noqa: B007 - it is read afterwards
        level = path.count("/")
        if entry.name in (AT_ROOT if not level else ANYWHERE) or _is_bare(entry.name, beside):
            starts.append(path)
        elif entry.name == "pyvenv.cfg" and level:
            homes.append(os.path.dirname(path))
        elif entry.name == PACKAGES and entry.is_dir():
            homes.append(path)
        elif _is_environment(entry.name) and entry.is_file():
            secrets.append(path)
        elif stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode) if not _is_plain(entry) else False:
            sockets.append(path)
        if entry.name == ".git":
            starts += [f"{path}/{name}" for name in GIT_SETTINGS if os.path.lexists(os.path.join(root, path, name))]
        if entry.name == ".envrc" and entry.is_file():
            secrets.append(path)
    found = (tuple(sorted(starts)), tuple(sorted(secrets)), tuple(sorted(sockets)))
    return StartScan(*found, is_cut=count >= most, environments=tuple(homes))


def _is_environment(name: str) -> bool:
    if not _ENV.fullmatch(name):
        return False
    return not any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in HARMLESS_ENV)


def environment_files(folder: str) -> tuple[str, ...]:
    """Return the names of the `.env` files in a folder, not below."""
    return tuple(sorted(one.name for one in entries_in(folder) if _is_environment(one.name) and one.is_file()))


def _is_bare(name: str, names: frozenset[str]) -> bool:
    """Return True for HEAD of a bare repository."""
    return name == "HEAD" and {"objects", "refs"} <= names


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return _is_folder(entry) or entry.is_file(follow_symlinks=False) or entry.is_symlink()


def _walk(root: str, most: int) -> Iterator[tuple[str, os.DirEntry[str], frozenset[str]]]:
    """Yield each entry with its path and the names beside it, the nearest to the root first."""
    left = most
    for folder, found in walk_breadth_first(root, _is_entered):
        beside = frozenset(entry.name for entry in found)
        for entry in _sorted(found)[:left]:
            yield join(folder, entry.name), entry, beside
            left -= 1
        if left <= 0:
            return


def _is_entered(path: str, entry: os.DirEntry[str]) -> bool:
    return entry.name not in SKIPPED and path.count("/") < LEVELS - 1


def _sorted(found: Entries) -> Entries:
    """Return the entries of a folder, those that matter first, without most of the plain files."""
    ordered = sorted(found, key=lambda one: (not _is_sorted_first(one.name), not _is_folder(one), one.name))
    first = next(
        (at for at, one in enumerate(ordered) if not _is_sorted_first(one.name) and not _is_folder(one)), len(ordered)
    )
    return ordered[: first + MOST_PLAIN]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_sorted_first(name: str) -> bool:
    """Return True for a name that the scan must not miss in a large folder."""
    return name in AT_ROOT or name in ("HEAD", "pyvenv.cfg") or _is_environment(name)


def link_targets(root: str, paths: Iterable[str]) -> dict[str, str]:
    """Return the targets of those paths that are links: a link that is replaced replaces its target."""
    return {path: os.readlink(os.path.join(root, path)) for path in paths if os.path.islink(os.path.join(root, path))}


# Placeholders


def make_placeholders(root: str, paths: Iterable[str]) -> None:
    """Make an empty folder at each missing path, for a mount to cover; `clear_placeholders` removes them."""
    made = list(_recorded(root))
    for name in (part for one in paths for part in (*ancestors(one), one) if part):
        path = os.path.join(root, name)
        if not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)):
            made.append(name)
            _record(root, made)
            os.mkdir(path)


def clear_placeholders(root: str) -> None:
    """Remove the placeholders that are still empty."""
    for name in reversed(_recorded(root)):
        try:
            os.rmdir(os.path.join(root, name))
        except OSError:  # it is not empty, or gone
            continue
    if os.path.lexists(record := os.path.join(root, files.STATE_FOLDER, RECORD)):
        os.unlink(record)


def _recorded(root: str) -> tuple[str, ...]:
    made = safe_open.read_record(os.path.join(root, files.STATE_FOLDER, RECORD)).get("made")
    plain = (str(name) for name in made) if isinstance(made, list) else ()
    return tuple(name for name in plain if not name.startswith("/") and ".." not in name.split("/"))


def _record(root: str, made: list[str]) -> None:
    body = json.dumps({"made": made}).encode("utf-8", "surrogateescape")
    files.replace(os.path.join(root, files.STATE_FOLDER, RECORD), body)


# New files


def find_new(
    root: str, before: Iterable[str], *, allowed: Iterable[str] = (), changed_since_ns: int = 0
) -> tuple[str, ...]:
    """Return the autostart files that are new; of a new folder the folder alone.

    Where the scan before was cut, only files that changed since then count: `changed_since_ns`.
    """
    known, ignored = set(before), (*_recorded(root), *allowed)
    new = [path for path in scan(root).starts if path not in known and not is_within_any(path, ignored)]
    new = [path for path in new if _changed_ns(os.path.join(root, path)) >= changed_since_ns]
    return tuple(path for path in new if not any(path.startswith(f"{other}/") for other in new))


def _changed_ns(path: str) -> int:
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:  # it is gone
        return -1


def autostart_part(path: str) -> str:
    """Return the autostart file or folder that contains a path or is it; empty for none."""
    return next((one for one in (*ancestors(path), path) if one.rpartition("/")[2] in ANYWHERE), "")


def put_aside(root: str, paths: Iterable[str], folder: str) -> tuple[str, ...]:
    """Move these paths into a folder of a run; return those that were moved."""
    moved = []
    for path in paths:
        place = os.path.join(files.private_folder(folder), path.replace("/", "%"))
        try:
            os.rename(os.path.join(root, path), f"{place}.{os.urandom(3).hex()}" if os.path.lexists(place) else place)
        except OSError:
            continue
        moved.append(path)
    return tuple(moved)
