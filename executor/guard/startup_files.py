"""Files that a judging program would read as it starts, or in another's stead: which of them lie in a project."""

from __future__ import annotations

import fnmatch
import os
import re

from executor.guard import scan
from executor.guard.path_patterns import CACHES, WILD
from executor.guard.scan import ASIDE, FILE, FOLDER, LINK, RECORDS
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Self

    from executor.guard.scan import FileStat

    Entries = list[os.DirEntry[str]]
    Matcher = Callable[[str], bool]

# A folder that only looks like an environment is searched: of a real one its packages are left out.
PACKAGES = ("site-packages", "dist-packages")
PRUNED = frozenset((*ASIDE, *CACHES, RECORDS, *PACKAGES, ".hg", ".svn", ".tox", ".nox", ".eggs"))
MOST = 1_000_000  # names that are looked at, those near the root first
MOST_BEHIND = 20_000  # names behind one link
_CODE = re.compile(r"(?:\.[\w-]+)?\.(?:so|pyd)|\.pyc?")
_RUN = re.compile(r"main\.\d+")
_TEST = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py")


class Startup(Record):
    """What would change a judge by being there.

    `folders` has, by folder, the names and patterns of files that count there, `programs` the names of programs that
    one there would hide; `anywhere` are names that count in every folder. `leads` has, by folder, the modules whose
    names must not appear there, for it leads the path of a judge; in the folders of tests, where `tests` is True,
    `modules` must not. `free` are paths that may: the step is to make them, or they were there. `sections` are those
    that count in files with several readers.
    """

    folders: Mapping[str, tuple[str, ...]] = {}
    programs: Mapping[str, tuple[str, ...]] = {}
    anywhere: tuple[str, ...] = ()
    leads: Mapping[str, tuple[str, ...]] = {}
    modules: tuple[str, ...] = ()
    tests: bool = False
    free: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Return what `asdict` gave, from JSON; TypeError or AttributeError for anything else."""
        told: dict[str, Any] = {
            name: {str(key): tuple(map(str, value)) for key, value in body[name].items()}
            for name in ("folders", "programs", "leads")
        }
        told |= {name: tuple(map(str, body[name])) for name in ("anywhere", "modules", "free", "sections")}
        return cls(**told, tests=body["tests"] is True)

    def as_it_was(self, found: Found) -> Self:
        """Return the same for who looks again: what was there may stay, and where tests were nothing may hide."""
        tests = {folder: (*self.leads.get(folder, ()), *self.modules) for folder in found.tested}
        return self.replace(free=(*self.free, *found.hiding), leads={**self.leads, **tests}, tests=False)

    def beside(self, looks: Mapping[str, FileStat]) -> Self:
        """Return the same with what Python would load in the stead of these files, by their names alone."""
        leads = {folder: {*names} for folder, names in self.leads.items()}
        for folder, name in _modules_of(looks):
            leads.setdefault(folder, set()).add(name)
        return self.replace(leads={folder: tuple(sorted(names)) for folder, names in leads.items()})


class Found(Record):
    """What lies there: `files` are judges themselves, `hiding` are modules that hide another's.

    `tested` are the folders with tests, where Startup asks for them.
    """

    files: Mapping[str, FileStat] = {}
    hiding: Mapping[str, FileStat] = {}
    tested: tuple[str, ...] = ()


def find(root: str, wanted: Startup) -> Found:
    """Return what of this lies in a project, by path from its root."""
    search = _Search(root, wanted)
    search.folders()
    search.everywhere()
    return Found(search.looks(search.files), search.looks(search.hiding), tuple(search.tested))


def is_named(name: str, patterns: Iterable[str]) -> bool:
    """Return True when a name is one of these names or patterns."""
    return bool(_matcher(tuple(patterns))(name))


class _Search:
    """One look at the places where a judge's files may lie."""

    def __init__(self, root: str, wanted: Startup) -> None:
        self._root = root
        self._wanted = wanted
        self._free = frozenset(wanted.free)
        self._modules = frozenset(wanted.modules)
        self.files: set[str] = set()
        self.hiding: set[str] = set()
        self.tested: list[str] = []

    def looks(self, paths: set[str]) -> dict[str, FileStat]:
        """Return what is at these paths, those left out that the step is to make."""
        every = {*paths, *(target for path in paths if (target := self._target(path)))} - self._free
        each = ((path, scan.look(os.path.join(self._root, path))) for path in sorted(every))
        return {path: look for path, look in each if look}

    def _target(self, path: str) -> str:
        """Return the file of the project that a link leads to, empty when there is none."""
        here = os.path.join(self._root, path)
        if not os.path.islink(here):
            return ""
        real = os.path.relpath(os.path.realpath(here), os.path.realpath(self._root))
        inside = real.split("/")[0] not in ("..", ".", RECORDS)
        return real if inside and os.path.isfile(os.path.join(self._root, real)) else ""

    def folders(self) -> None:
        """Look into the folders that are named."""
        for places in (self._wanted.folders, self._wanted.programs):
            for folder, patterns in places.items():
                is_one = _matcher(patterns)
                entries = [one for one in self._entries(folder) if is_one(one.name) and _counts(one)]
                self.files |= {_path(folder, one.name) for one in entries}
        for folder, modules in self._wanted.leads.items():
            self._hiding(folder, self._entries(folder), frozenset(modules))

    def everywhere(self) -> None:
        """Walk the project, breadth first; links are not followed."""
        if not (self._wanted.anywhere or self._wanted.tests):
            return
        is_one, left = _matcher(self._wanted.anywhere), MOST
        level = [""]
        while level and left > 0:
            below: list[str] = []
            for folder in level:
                entries = self._entries(folder)
                left -= len(entries)
                below += self._of_folder(folder, entries, is_one)
            level = below

    def _of_folder(self, folder: str, entries: Entries, is_one: Matcher) -> list[str]:
        """Note what counts in a folder; return the folders in it."""
        below, tested = [], False
        for one in entries:
            name = one.name
            if is_one(name) and _counts(one):
                self.files.add(_path(folder, name))
            elif one.is_dir(follow_symlinks=False):
                below += [] if name in PRUNED else [_path(folder, name)]
            elif one.is_symlink() and one.is_dir():
                self._behind_link(_path(folder, name), is_one)
            tested = tested or (self._wanted.tests and _TEST.fullmatch(name) is not None)
        if tested:
            self.tested.append(folder)
            self._hiding(folder, entries, self._modules)
        return below

    def _behind_link(self, link: str, is_one: Matcher) -> None:
        """Note a link to a folder that holds what counts, or too much to tell: a program may follow it."""
        left, waiting = MOST_BEHIND, [link]
        deep = self._is_inside(link)
        for folder in waiting:
            entries = self._entries(folder)
            left -= len(entries)
            if any(is_one(one.name) for one in entries) or (deep and left < 0):
                self.files.add(link)
                return
            waiting += [_path(folder, one.name) for one in entries if deep and one.is_dir(follow_symlinks=False)]

    def _is_inside(self, link: str) -> bool:
        """Return True for a link within the project: what lies elsewhere no agent made."""
        root = os.path.join(os.path.realpath(self._root), "")
        return os.path.realpath(os.path.join(self._root, link)).startswith(root)

    def _hiding(self, folder: str, entries: Entries, modules: frozenset[str]) -> None:
        """Note the modules that lie here under one of these names."""
        for one in entries:
            stem = one.name.partition(".")[0]
            if stem in modules and (_CODE.fullmatch(one.name, len(stem)) or self._is_package(folder, one)):
                self.hiding.add(_path(folder, one.name))

    def _is_package(self, folder: str, one: os.DirEntry[str]) -> bool:
        """Return True for a folder that hides a module: one without `__init__` gives way to any other."""
        if "." in one.name or not one.is_dir():
            return False
        inside = (name.name for name in self._entries(_path(folder, one.name)))
        return any(name.startswith("__init__") and _CODE.fullmatch(name, len("__init__")) for name in inside)

    def _entries(self, folder: str) -> Entries:
        try:
            with os.scandir(os.path.join(self._root, folder) if folder else self._root) as found:
                return [*found]
        except OSError:  # not there, closed, or no folder
            return []


def _counts(one: os.DirEntry[str]) -> bool:
    """Return True for what is read: of folders a package and that of a run; a sample of git's does not count."""
    if one.is_dir(follow_symlinks=False):
        return "." not in one.name or _RUN.fullmatch(one.name) is not None
    return not one.name.endswith(".sample")


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _matcher(patterns: tuple[str, ...]) -> Matcher:
    """Return a question for names: whether one is among these names and patterns."""
    plain = frozenset(one for one in patterns if not WILD.search(one))
    wild = [fnmatch.translate(one) for one in patterns if one not in plain]
    if not wild:
        return plain.__contains__
    matches = re.compile("|".join(wild)).match
    return lambda name: name in plain or matches(name) is not None


def compiled(root: str, looks: Mapping[str, FileStat]) -> dict[str, FileStat]:
    """Return the compiled forms that Python keeps of these files."""
    stems: dict[str, set[str]] = {}
    for folder, name in _modules_of(looks):
        stems.setdefault(folder, set()).add(name)
    return {path: look for folder, names in stems.items() for path, look in _compiled(root, folder, names)}


def _modules_of(looks: Mapping[str, FileStat]) -> Iterator[tuple[str, str]]:
    """Yield folder and name of each module among these paths, but of those whose folder is a judge as a whole."""
    for path, look in looks.items():
        if path.endswith(".py") and look.kind in (FILE, LINK):
            folder, _, name = path.rpartition("/")
            if folder not in looks:
                yield folder, name.removesuffix(".py")


def _compiled(root: str, folder: str, names: set[str]) -> Iterator[tuple[str, FileStat]]:
    cache = _path(folder, "__pycache__")
    try:
        found = os.listdir(os.path.join(root, cache))
    except OSError:
        return
    for name in found:
        look = scan.look(os.path.join(root, cache, name)) if name.partition(".")[0] in names else None
        if look and look.kind != FOLDER:
            yield f"{cache}/{name}", look
