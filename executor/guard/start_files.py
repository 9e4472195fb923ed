"""Files of a project that other programs run or obey unasked: none that an agent made may stand there."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import stat

from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Git, editors, agents and shells look for these by themselves, and run what they say.
ENVIRONMENTS = (".venv", "venv")
PACKAGES = "node_modules"
FOLDERS = (".git", ".claude", ".vscode", ".idea", ".cursor", ".codex", ".gemini", ".zed", ".devcontainer", ".agents")
FILES = (
    *(".envrc", ".gitattributes", ".mcp.json", ".cursorrules", ".tool-versions", ".mise.toml", "mise.toml"),
    *("AGENTS.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md", ".pre-commit-config.yaml"),
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".inputrc"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".vimrc", ".exrc", ".nvimrc", ".nvim.lua", ".gdbinit", ".lldbinit"),
)
# Inside a repository: they say where git finds the settings that it obeys.
OF_GIT = ("commondir", "config", "config.worktree", "hooks")
ANYWHERE = frozenset((*FOLDERS, *FILES))
AT_ROOT = frozenset((*ANYWHERE, *ENVIRONMENTS))
HARMLESS_ENV = (
    *("*[._-]example", "*[._-]sample", "*[._-]template", "*[._-]dist", "*[._-]defaults"),
    *("example.env", "sample.env", "template.env", "*.example.env", "*.sample.env", "*.template.env"),
)
# `.env`, `.env.local`, `.env-prod`, `.env~`, `.envrc.local`, `prod.env`, `prod.env.bak`.
_ENV = re.compile(
    r"#?\.env(?:rc)?(?:[\W_\d].*)?|.+\.env(?:rc)?(?:[~#]|\.(?:local|bak|backup|old|orig|save|swp))?",
    re.IGNORECASE | re.DOTALL,
)
SKIPPED = frozenset(
    ("node_modules", ".do-tasks", "__pycache__", ".git", ".tox", ".nox", "site-packages", "dist-packages")
)
RECORD = "placeholders.json"
MOST = 20_000  # entries of a project that are looked at
LEVELS = 40
MOST_PLAIN = 1000  # of one folder: files whose names say nothing


class Survey(Record):
    """What a walk over a project found, as paths relative to it; `is_cut` when it did not look at all of it."""

    starts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    is_cut: bool = False
    environments: tuple[str, ...] = ()


def survey(root: str, *, most: int = MOST) -> Survey:
    """Return the start files, the `.env` files and the sockets of a project, of so many entries."""
    starts, secrets, sockets, homes, count = [], [], [], [], 0
    for count, (path, entry, names) in enumerate(_walk(root, most), 1):  # noqa: B007 - it is asked afterwards
        level = path.count("/")
        if entry.name in (AT_ROOT if not level else ANYWHERE) or _is_bare(entry.name, names):
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
            starts += [f"{path}/{name}" for name in OF_GIT if os.path.lexists(os.path.join(root, path, name))]
        if entry.name == ".envrc" and entry.is_file():
            secrets.append(path)
    found = (tuple(sorted(starts)), tuple(sorted(secrets)), tuple(sorted(sockets)))
    return Survey(*found, is_cut=count >= most, environments=tuple(homes))


def _is_environment(name: str) -> bool:
    if not _ENV.fullmatch(name):
        return False
    return not any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in HARMLESS_ENV)


def environment_files(folder: str) -> tuple[str, ...]:
    """Return the names of the `.env` files right in a folder."""
    return tuple(one.name for one in _entries(folder) if _is_environment(one.name) and one.is_file())


def _is_bare(name: str, names: frozenset[str]) -> bool:
    """Return True for HEAD of a folder that git takes for a repository without one of its own."""
    return name == "HEAD" and {"objects", "refs"} <= names


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False) or entry.is_symlink()


def _walk(root: str, most: int) -> Iterator[tuple[str, os.DirEntry[str], frozenset[str]]]:
    """Yield each entry with its path and the names beside it, the nearest to the root first."""
    folders, seen = [""], 0
    for folder in folders:
        entries = _entries(os.path.join(root, folder))
        names = frozenset(entry.name for entry in entries)
        for entry in _told(entries):
            seen += 1
            if seen > most:
                return
            path = f"{folder}{entry.name}"
            yield path, entry, names
            if _is_entered(entry, path):
                folders.append(f"{path}/")


def _is_entered(entry: os.DirEntry[str], path: str) -> bool:
    return entry.is_dir(follow_symlinks=False) and entry.name not in SKIPPED and path.count("/") < LEVELS - 1


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _told(entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder that tell, names that matter first: thousands of plain files hide no other."""
    matter = [entry for entry in entries if _matters(entry.name)]
    folders = [entry for entry in entries if not _matters(entry.name) and entry.is_dir(follow_symlinks=False)]
    known = {entry.name for entry in (*matter, *folders)}
    return [*matter, *folders, *[entry for entry in entries if entry.name not in known][:MOST_PLAIN]]


def _matters(name: str) -> bool:
    return name in AT_ROOT or name in ("HEAD", "pyvenv.cfg") or _is_environment(name)


def links(root: str, paths: Iterable[str]) -> dict[str, str]:
    """Return where those of these that are links lead: who replaces one replaces what stands behind it."""
    return {path: os.readlink(os.path.join(root, path)) for path in paths if os.path.islink(os.path.join(root, path))}


# Placeholders


def make_way(root: str, names: Iterable[str]) -> None:
    """Put an empty folder where none of these is yet, so that a mount can hold the place; `clear` takes them away."""
    made = list(_recorded(root))
    for name in (part for one in names for part in _parts(one)):
        path = os.path.join(root, name)
        if not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)):
            made.append(name)
            _record(root, made)
            os.mkdir(path)


def _parts(name: str) -> list[str]:
    """Return a path with those above it, the first first."""
    names = name.split("/")
    return ["/".join(names[: at + 1]) for at in range(len(names))]


def clear(root: str) -> None:
    """Take away the placeholders that are still empty."""
    for name in reversed(_recorded(root)):
        try:
            os.rmdir(os.path.join(root, name))
        except OSError:  # somebody has put something there, or has taken it away
            continue
    if os.path.lexists(record := os.path.join(root, files.STATE_FOLDER, RECORD)):
        os.unlink(record)


def _recorded(root: str) -> tuple[str, ...]:
    names = safe_open.record(os.path.join(root, files.STATE_FOLDER, RECORD)).get("made")
    plain = (str(name) for name in names) if isinstance(names, list) else ()
    return tuple(name for name in plain if not name.startswith("/") and ".." not in name.split("/"))


def _record(root: str, names: list[str]) -> None:
    body = json.dumps({"made": names}).encode("utf-8", "surrogateescape")
    files.replace(os.path.join(root, files.STATE_FOLDER, RECORD), body)


# What appeared


def appeared(
    root: str, before: Iterable[str], *, allowed: Iterable[str] = (), changed_since_ns: int = 0
) -> tuple[str, ...]:
    """Return the start files that were not there before; of a folder with what is in it, the folder alone.

    Where the look before did not see all, only what changed since then counts: `changed_since_ns`.
    """
    known, ours = set(before), (*_recorded(root), *allowed)
    new = [path for path in survey(root).starts if path not in known and not _is_in(path, ours)]
    new = [path for path in new if _changed_ns(os.path.join(root, path)) >= changed_since_ns]
    return tuple(path for path in new if not any(path.startswith(f"{other}/") for other in new))


def _changed_ns(path: str) -> int:
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:  # it is gone by now
        return -1


def start_of(path: str) -> str:
    """Return the start file or folder that a path is, or is in; empty when it is in none."""
    names = path.split("/")
    at = next((at for at, name in enumerate(names, 1) if name in ANYWHERE), 0)
    return "/".join(names[:at])


def _is_in(path: str, folders: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in folders)


def put_aside(root: str, paths: Iterable[str], folder: str) -> tuple[str, ...]:
    """Move these into a folder of a run; return those that are gone from their place."""
    moved = []
    for path in paths:
        place = os.path.join(files.private_folder(folder), path.replace("/", "%"))
        try:
            os.rename(os.path.join(root, path), f"{place}.{os.urandom(3).hex()}" if os.path.lexists(place) else place)
        except OSError:
            continue
        moved.append(path)
    return tuple(moved)
