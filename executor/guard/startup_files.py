"""Files of a project that a judging program reads as it starts, or instead of another."""

from __future__ import annotations

import fnmatch
import os
import re

from executor.guard.file_state import FILE, FOLDER, LINK, join, state_of
from executor.guard.path_patterns import CACHES, WILD
from executor.guard.tree_scan import SKIPPED
from executor.system import files
from executor.system.folders import entries_in, names_in, walk_breadth_first
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    from executor.guard.file_state import FileState
    from executor.system.folders import Entries

    Matcher = Callable[[str], bool]

# Only the packages of an environment are left out: a folder may be named like one.
PACKAGES = ("site-packages", "dist-packages")
PRUNED = frozenset((*SKIPPED, *CACHES, files.STATE_FOLDER, *PACKAGES, ".hg", ".svn", ".tox", ".nox", ".eggs"))
MOST = 1_000_000  # entries, those near the root first
MOST_BEHIND = 20_000  # entries behind one link
_CODE = re.compile(r"(?:\.[\w-]+)?\.(?:so|pyd)|\.pyc?")
_RUN = re.compile(r"main\.\d+")
_TEST = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py")


class Startup(Record):
    """The files that would change a judging program, by place and name.

    `folders` has, by folder, names and patterns of files that count there, `programs` names of programs that a file
    there would hide; `anywhere` are names that count in every folder. `leads` has, by folder on the module path of a
    judge, names of modules that must not appear there; in folders with tests, where `tests` is True, those are
    `modules`. `free` are exceptions: the step is to make them, or they existed. `sections` are those that count in
    files with several readers.
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
        """Return the record from the JSON of `asdict`; TypeError or AttributeError for anything else."""
        fields: dict[str, Any] = {
            name: {str(key): tuple(map(str, value)) for key, value in body[name].items()}
            for name in ("folders", "programs", "leads")
        }
        fields |= {name: tuple(map(str, body[name])) for name in ("anywhere", "modules", "free", "sections")}
        return cls(**fields, tests=body["tests"] is True)

    def as_it_was(self, found: Found) -> Self:
        """Return the same for a later search: existing modules are free, folders with tests are fixed."""
        tests = {folder: (*self.leads.get(folder, ()), *self.modules) for folder in found.tested}
        return self.replace(free=(*self.free, *found.hiding), leads={**self.leads, **tests}, tests=False)

    def beside(self, states: Mapping[str, FileState]) -> Self:
        """Return the same with the modules that Python would load instead of these files, by name."""
        leads = {folder: {*modules} for folder, modules in self.leads.items()}
        for folder, name in _modules_of(states):
            leads.setdefault(folder, set()).add(name)
        return self.replace(leads={folder: tuple(sorted(modules)) for folder, modules in leads.items()})


class Found(Record):
    """The result of a search: `files` are judges themselves, `hiding` modules that hide another.

    `tested` are the folders with tests, if Startup wants them.
    """

    files: Mapping[str, FileState] = {}
    hiding: Mapping[str, FileState] = {}
    tested: tuple[str, ...] = ()


def find(root: str, wanted: Startup) -> Found:
    """Return the files of this kind in a project, by path from its root."""
    search = _Search(root, wanted)
    search.in_folders()
    search.everywhere()
    return Found(search.states(search.files), search.states(search.hiding), tuple(search.tested))


class _Search:
    """A search in progress."""

    def __init__(self, root: str, wanted: Startup) -> None:
        self._root = root
        self._wanted = wanted
        self._free = frozenset(wanted.free)
        self._modules = frozenset(wanted.modules)
        self.files: set[str] = set()
        self.hiding: set[str] = set()
        self.tested: list[str] = []

    def states(self, paths: set[str]) -> dict[str, FileState]:
        """Return the states of these paths, without the free ones."""
        every = {*paths, *(target for path in paths if (target := self._target(path)))} - self._free
        each = ((path, state_of(os.path.join(self._root, path))) for path in sorted(every))
        return {path: state for path, state in each if state}

    def _target(self, path: str) -> str:
        """Return the file of the project that a link leads to, empty for none."""
        here = os.path.join(self._root, path)
        if not os.path.islink(here):
            return ""
        real = os.path.relpath(os.path.realpath(here), os.path.realpath(self._root))
        inside = real.split("/")[0] not in ("..", ".", files.STATE_FOLDER)
        return real if inside and os.path.isfile(os.path.join(self._root, real)) else ""

    def in_folders(self) -> None:
        """Search the folders that are named."""
        for places in (self._wanted.folders, self._wanted.programs):
            for folder, patterns in places.items():
                is_one = _matcher(patterns)
                found = [one for one in self._entries(folder) if is_one(one.name) and _counts(one)]
                self.files |= {join(folder, one.name) for one in found}
        for folder, modules in self._wanted.leads.items():
            self._add_hiding(folder, self._entries(folder), frozenset(modules))

    def everywhere(self) -> None:
        """Search the whole project, as far as MOST."""
        if not (self._wanted.anywhere or self._wanted.tests):
            return
        is_one, left = _matcher(self._wanted.anywhere), MOST

        def is_entered(_: str, one: os.DirEntry[str]) -> bool:
            return one.name not in PRUNED and not (is_one(one.name) and _counts(one))

        for folder, found in walk_breadth_first(self._root, is_entered):
            self._in_folder(folder, found, is_one)
            left -= len(found)
            if left <= 0:
                return

    def _in_folder(self, folder: str, found: Entries, is_one: Matcher) -> None:
        """Add the files of a folder that count."""
        for one in found:
            if is_one(one.name) and _counts(one):
                self.files.add(join(folder, one.name))
            elif one.is_symlink() and one.is_dir():
                self._add_link(join(folder, one.name), is_one)
        if self._wanted.tests and any(_TEST.fullmatch(one.name) for one in found):
            self.tested.append(folder)
            self._add_hiding(folder, found, self._modules)

    def _add_link(self, link: str, is_one: Matcher) -> None:
        """Add a link to a folder with files that count, or with too many to know: a program may follow it."""
        left, waiting = MOST_BEHIND, [link]
        deep = self._is_inside(link)
        for folder in waiting:
            found = self._entries(folder)
            left -= len(found)
            if any(is_one(one.name) for one in found) or (deep and left < 0):
                self.files.add(link)
                return
            waiting += [join(folder, one.name) for one in found if deep and one.is_dir(follow_symlinks=False)]

    def _is_inside(self, link: str) -> bool:
        """Return True for a link within the project: an agent cannot write elsewhere."""
        root = os.path.join(os.path.realpath(self._root), "")
        return os.path.realpath(os.path.join(self._root, link)).startswith(root)

    def _add_hiding(self, folder: str, found: Entries, modules: frozenset[str]) -> None:
        """Add the modules of a folder with one of these names."""
        for one in found:
            stem = one.name.partition(".")[0]
            if stem in modules and (_CODE.fullmatch(one.name, len(stem)) or self._is_package(folder, one)):
                self.hiding.add(join(folder, one.name))

    def _is_package(self, folder: str, one: os.DirEntry[str]) -> bool:
        """Return True for a folder that hides a module: one without `__init__` gives way to any other."""
        if "." in one.name or not one.is_dir():
            return False
        inside = (name.name for name in self._entries(join(folder, one.name)))
        return any(name.startswith("__init__") and _CODE.fullmatch(name, len("__init__")) for name in inside)

    def _entries(self, folder: str) -> Entries:
        return entries_in(os.path.join(self._root, folder))


def _counts(one: os.DirEntry[str]) -> bool:
    """Return True for a file, a package and the folder of a run, False for a sample of git."""
    if one.is_dir(follow_symlinks=False):
        return "." not in one.name or _RUN.fullmatch(one.name) is not None
    return not one.name.endswith(".sample")


def _matcher(patterns: tuple[str, ...]) -> Matcher:
    """Return a function that returns True for these names and patterns."""
    plain = frozenset(one for one in patterns if not WILD.search(one))
    wild = [fnmatch.translate(one) for one in patterns if one not in plain]
    if not wild:
        return plain.__contains__
    matches = re.compile("|".join(wild)).match
    return lambda name: name in plain or matches(name) is not None


def compiled_forms(root: str, states: Mapping[str, FileState]) -> dict[str, FileState]:
    """Return the compiled forms that Python keeps of these files."""
    stems: dict[str, set[str]] = {}
    for folder, name in _modules_of(states):
        stems.setdefault(folder, set()).add(name)
    return {path: state for folder, every in stems.items() for path, state in _compiled(root, folder, every)}


def _modules_of(states: Mapping[str, FileState]) -> Iterator[tuple[str, str]]:
    """Yield folder and name of each module among these paths, without those whose folder is among them too."""
    for path, state in states.items():
        if path.endswith(".py") and state.kind in (FILE, LINK):
            folder, _, name = path.rpartition("/")
            if folder not in states:
                yield folder, name.removesuffix(".py")


def _compiled(root: str, folder: str, stems: set[str]) -> Iterator[tuple[str, FileState]]:
    cache = join(folder, "__pycache__")
    for name in names_in(os.path.join(root, cache)):
        state = state_of(os.path.join(root, cache, name)) if name.partition(".")[0] in stems else None
        if state and state.kind != FOLDER:
            yield f"{cache}/{name}", state
