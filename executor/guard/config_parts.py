"""The parts of a configuration file with several readers that a judging program reads."""

from __future__ import annotations

import fnmatch
import json
import re

from executor.guard import git_index
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

INDEX = ".git/index"
IGNORE_FILES = frozenset((".gitignore", ".ignore", ".rgignore"))  # see ignore_files
_SECTION = re.compile(r"\s*\[\s*([^\]]+?)\s*\]\s*(?:[#;].*)?$")
_ORDINARY_JSON = frozenset(
    (
        *("name", "version", "description", "keywords", "homepage", "bugs", "license", "author", "contributors"),
        *("repository", "funding", "private", "files", "engines", "packageManager", "publishConfig"),
        *("main", "module", "types", "typings", "bin", "sideEffects", "browserslist"),
        *("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "bundledDependencies"),
    )
)
_ORDINARY_CARGO = frozenset(("dependencies", "dev-dependencies", "build-dependencies", "target"))
_STEERS_CARGO = ("build", "autotests", "autobins", "autobenches", "autoexamples", "links", "workspace", "default-run")
_ORDINARY_GIT = re.compile(
    r"user\..*|branch\..*|remote\.[^=]*\.(?:url|pushurl|fetch)|lfs\..*|init\.defaultbranch"
    r"|core\.(?:repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks)"
)
_QUOTED = re.compile(r'(\S+)\s+"(.*)"$')


def has_parts(path: str) -> bool:
    """Return True for a file of which only parts judge."""
    return _reader(path) is not None or path.rpartition("/")[2] in IGNORE_FILES


def judging_part(path: str, data: bytes, sections: Iterable[str]) -> str:
    """Return the part of a file that judges, in a normal form, empty for none; a broken file counts whole."""
    reader = _reader(path)
    if reader is None:
        return repr(data)
    if path == INDEX:
        return git_index.part_of(data)
    try:
        part = reader(data.decode("utf-8-sig"), tuple(sections))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return repr(data)
    return repr(part) if part else ""


def _reader(path: str) -> Callable[[str, tuple[str, ...]], object] | None:
    return _READERS.get(path if path.startswith(".git/") else path.rpartition("/")[2])


def _of_pyproject(text: str, sections: tuple[str, ...]) -> object:
    import tomllib

    tools = tomllib.loads(text).get("tool", {})
    return {name: tools[name] for name in sorted(tools) if name in sections}


def _of_ini(text: str, sections: tuple[str, ...]) -> object:
    """Return the lines of these sections, by each reading that a program may have of the file."""
    return [line for names, line in _readings(text) if any(fnmatch.filter(names, one) for one in sections)]


def _of_entry_points(text: str, _: tuple[str, ...]) -> object:
    return [line for names, line in _readings(text) if "pytest11" in names]


def _readings(text: str) -> Iterator[tuple[set[str], str]]:
    """Yield each line with the sections that it may be in.

    For some programs an indented line always continues the one before; some take the text between the outermost
    brackets and ignore the rest.
    """
    plain, outer = "", ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            continue
        match = _SECTION.match(stripped)
        plain = match[1] if match else plain
        if stripped.startswith("[") and "]" in stripped and not line[0].isspace():
            outer = stripped[: stripped.rindex("]")].strip("[] ")
        yield {plain, outer}, stripped


def _of_package(text: str, _: tuple[str, ...]) -> object:
    body = json.loads(text)
    return {key: body[key] for key in sorted(body) if key not in _ORDINARY_JSON}


def _of_cargo(text: str, _: tuple[str, ...]) -> object:
    import tomllib

    body: dict[str, Any] = tomllib.loads(text)
    steers = {key: value for key, value in body.get("package", {}).items() if key in _STEERS_CARGO}
    rest = {key: body[key] for key in sorted(body) if key not in _ORDINARY_CARGO and key != "package"}
    return {**rest, **({"package": steers} if steers else {})}


def _of_git(text: str, _: tuple[str, ...]) -> object:
    return sorted(line for line in _settings(text) if not _ORDINARY_GIT.fullmatch(line.partition("=")[0]))


def _settings(text: str) -> Iterator[str]:
    """Yield the lines of git's configuration as `section.name.key=value`."""
    for section, line in _lines(text):
        if not _SECTION.match(line):
            key, _, value = line.partition("=")
            quoted = _QUOTED.match(section)
            name = f"{quoted[1].lower()}.{quoted[2]}" if quoted else section.lower()
            yield f"{name}.{key.strip().lower()}={value.strip()}"


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (section, line) of an INI file, without empty lines and comments, with the lines of sections."""
    section = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        match = _SECTION.match(line)
        section = match[1] if match else section
        yield section, line.strip()


_READERS: dict[str, Callable[[str, tuple[str, ...]], object]] = {
    "pyproject.toml": _of_pyproject,
    "setup.cfg": _of_ini,
    "tox.ini": _of_ini,
    "entry_points.txt": _of_entry_points,
    "package.json": _of_package,
    "Cargo.toml": _of_cargo,
    ".git/config": _of_git,
    INDEX: lambda _, __: None,  # no text: see git_index
}
