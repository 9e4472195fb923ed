"""The places of a project where a new file would change the results of checks."""

from __future__ import annotations

import os
import re
import sys

from executor.guard import path_patterns
from executor.guard.check_reach import commands_of, path_inside, reach_of
from executor.guard.config_parts import INDEX, has_parts
from executor.guard.file_state import ancestors, is_within_any
from executor.guard.home_view import MOST_BYTES, package_folders
from executor.guard.judge_programs import FILES_WITH_SECTIONS, NODE_PROGRAMS, PYTHON, SHELL_FILES, TEST_RUNNERS
from executor.guard.make_targets import action_targets
from executor.guard.startup_files import Startup
from executor.system import safe_open
from executor.system.files import size_of
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.guard.check_reach import Reach
    from executor.guard.judge_programs import Tool
    from executor.plan.model import Step
    from executor.plan.plan import Plan
    from executor.store.sources import Sources

    Place = tuple[str, tuple[str, ...]]

BASICS = frozenset(
    (
        *("sh", "bash", "env", "python", "python3", "git", "test", "cat", "grep", "sed", "awk", "find", "ls", "head"),
        *("tail", "wc", "sort", "cut", "tr", "xargs", "diff", "cmp", "jq", "make", "timeout", "basename", "dirname"),
    )
)
INIT = "__init__"
MOST_INDEX = 1 << 23  # bytes of git's index, some 80,000 files
# Packages install such folders among the modules by mistake; no program imports these names.
GENERIC = frozenset(("tests", "test", "docs", "doc", "examples", "scripts", "benchmarks", "src", "tools", "setup"))
_PATHS = re.compile(r"\bPYTHONPATH=['\"]?([^\s'\";]+)")
_HERE = re.compile(r"\$\{?PWD\}?|\$\(pwd\)")
_WILD = re.compile(r"[*?\[]")


def startup_of(
    plan: Plan,
    step: Step,
    *,
    root: str,
    python: str,
    environ: Mapping[str, str],
    sources: Sources,
    writable: tuple[str, ...] = (),
) -> Startup:
    """Return the files that must not appear or change in a project while an agent does this step.

    The checks of all steps count, since a file stays for later steps; `writable` files and folders are free.
    """
    commands = [text for _, data in plan.raw.values() for text in commands_of(data)]
    reach = reach_of(root, commands, sources)
    tools = (*reach.tools, *((PYTHON,) if reach.python else ()))
    modules = _modules(root, python) if reach.python else ()
    leads = dict.fromkeys(_leads(root, reach, environ), modules) if modules else {}
    leads |= {folder: (*leads.get(folder, ()), INIT) for folder in _packages_of_judges(plan, root, reach)}
    return Startup(
        folders=_joined(_near(reach, tools), _index(root, reach), _own_places(root, python, environ), without=writable),
        programs=_joined(_path_places(root, reach, environ), without=writable),
        anywhere=tuple(dict.fromkeys(name for tool in tools for name in tool.anywhere)),
        leads=leads,
        modules=(*modules, *((INIT,) if "unittest" in reach.words else ())),
        tests=bool(reach.words & TEST_RUNNERS),
        free=(*outputs_of(step), *writable),
        sections=tuple(dict.fromkeys(name for tool in tools for name in tool.sections)),
    )


def globs_of(wanted: Startup) -> tuple[str, ...]:
    """Return globs of the files that count whole, for an editor to refuse."""
    near = [os.path.join(folder, name) for folder, names in wanted.folders.items() for name in names]
    every = dict.fromkeys((*near, *(f"**/{name}" for name in wanted.anywhere)))
    freed = {os.path.basename(path) for path in wanted.free}
    return tuple(one for one in every if not has_parts(one) and os.path.basename(one) not in freed)


def outputs_of(step: Step) -> tuple[str, ...]:
    """Return the files that a step is to make by name: its outputs, its script, the files of its criteria."""
    main = step.main
    if main is None:
        return ()
    asked = [one.asks for one in main.criteria if one.kind == "file"]
    named = [one.get("path") if isinstance(one, dict) else one for one in asked]
    paths = [one for one in (*main.outputs, main.script, *named) if isinstance(one, str) and one]
    plain = (os.path.normpath(one) for one in paths if not _WILD.search(one))
    return tuple(dict.fromkeys(one for one in plain if one != "." and not one.startswith(("/", ".."))))


def _joined(*places: Iterable[Place], without: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the names of each folder, once, without the folders below `without`."""
    found: dict[str, list[str]] = {}
    for folder, names in (place for each in places for place in each):
        if not is_within_any(folder, without):
            found.setdefault(folder, []).extend(names)
    return {folder: tuple(dict.fromkeys(names)) for folder, names in found.items()}


def _near(reach: Reach, tools: Iterable[Tool]) -> Iterator[Place]:
    names = tuple(dict.fromkeys((*(name for tool in tools for name in tool.near), *action_targets(reach.text))))
    sectioned = FILES_WITH_SECTIONS if any(tool.sections for tool in tools) else ()
    for folder in reach.folders:
        yield folder, (*names, *sectioned)
    yield "", SHELL_FILES
    yield ".git", ("config", "commondir")
    yield ".git/hooks", ("*",)
    if any(tool.words & {"git", "ruff", "black", "rg"} for tool in tools):
        yield ".git/info", ("attributes", "exclude")


def _index(root: str, reach: Reach) -> Iterator[Place]:
    """Yield git's index where a check asks git; one too large to be compared is left out."""
    if "git" in reach.words and 0 < size_of(os.path.join(root, INDEX)) <= MOST_INDEX:
        yield ".git", ("index",)


def _own_places(root: str, python: str, environ: Mapping[str, str]) -> Iterator[Place]:
    """Yield the places where the project's Python and its shells look for files."""
    own = {
        path_inside(root, os.path.dirname(os.path.dirname(python))),
        path_inside(root, environ.get("VIRTUAL_ENV", "")),
    }
    for home in {".venv", *filter(None, own)}:
        yield home, ("pyvenv.cfg",)
        yield f"{home}/bin", ("python", "python3")
        for folder in package_folders(os.path.join(root, home)):
            yield path_inside(root, folder), ("*.pth", "sitecustomize*", "usercustomize*")
    for name in ("BASH_ENV", "ENV", "PYTHONSTARTUP"):
        path = path_inside(root, environ.get(name, ""))
        if path:
            yield os.path.dirname(path), (os.path.basename(path),)


def _path_places(root: str, reach: Reach, environ: Mapping[str, str]) -> Iterator[Place]:
    """Yield the folders of the project on the PATH, with the programs of checks that exist or would be hidden there."""
    path = [one or "." for one in environ.get("PATH", os.defpath).split(os.pathsep)]
    path = ["node_modules/.bin", *path] if reach.words & NODE_PROGRAMS else path
    asked = reach.words | BASICS
    for place, folder in enumerate(path):
        here = path_inside(root, folder)
        if here:
            later = (one for one in path[place + 1 :] if not path_inside(root, one))
            hidden = {name for one in later for name in names_in(one)}
            yield here, tuple(sorted(asked & {*hidden, *names_in(os.path.join(root, here))}))


def _leads(root: str, reach: Reach, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders of the project on the module path of the checks."""
    beside = [os.path.dirname(path) for path in reach.direct]
    real = [path_inside(root, os.path.dirname(os.path.realpath(os.path.join(root, path)))) for path in reach.direct]
    named = [*_PATHS.findall(reach.text), environ.get("PYTHONPATH", "")]
    paths = [lead for text in named for one in text.split(os.pathsep) for lead in _of_path(root, one)]
    here = reach.folders if reach.here else ()
    return tuple(dict.fromkeys((*beside, *filter(None, real), *paths, *here)))


def _of_path(root: str, one: str) -> Iterator[str]:
    """Yield the folder of the project that an entry of PYTHONPATH names, if any."""
    here = _HERE.sub(".", one)
    path = path_inside(root, here)
    if path or (here and os.path.normpath(os.path.join(root, here)) == os.path.normpath(root)):
        yield path


def _packages_of_judges(plan: Plan, root: str, reach: Reach) -> Iterator[str]:
    """Yield the packages of a protected module that a check names with dots: Python loads their `__init__` first."""
    globs = path_patterns.judge_globs(plan.settings.protected, plan.file)
    for word in reach.words:
        path = f"{word.replace('.', '/')}.py" if "." in word else ""
        if path and path_patterns.matching_glob(path, globs) and os.path.isfile(os.path.join(root, path)):
            yield from filter(None, ancestors(path))


def _modules(root: str, python: str) -> tuple[str, ...]:
    """Return the names of modules that a file of the project would hide: the standard library and packages."""
    found = {*sys.stdlib_module_names, *_build_data(python)}
    for folder in package_folders(os.path.dirname(os.path.dirname(python))):
        found |= _modules_in(folder, root)
    return tuple(sorted(found - GENERIC))


def _build_data(python: str) -> Iterator[str]:
    """Yield the modules with the build settings of Python, which `stdlib_module_names` lacks."""
    lib = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(python))), "lib")
    for folder in (name for name in names_in(lib) if name.startswith("python")):
        named = (name for name in names_in(os.path.join(lib, folder)) if name.startswith("_sysconfigdata"))
        yield from (name.removesuffix(".py") for name in named)


def _modules_in(folder: str, root: str) -> set[str]:
    """Return the modules of a folder of packages, and of the folders that its .pth files add."""
    names = names_in(folder)
    paths = (os.path.join(folder, name) for name in names if name.endswith(".pth"))
    added = [line for path in paths for line in safe_open.read_start_text(path, MOST_BYTES).splitlines()]
    foreign = [one for one in added if os.path.isabs(one) and os.path.join(one, "") != os.path.join(root, "")]
    every = [*names, *(name for one in foreign if not path_inside(root, one) for name in names_in(one))]
    stems = (name.partition(".") for name in every)
    return {stem for stem, _, end in stems if stem.isidentifier() and (end in ("", "py") or end.endswith("so"))}
