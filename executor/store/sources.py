"""The project's own sources behind a script: the files that it imports or names, each with its digest."""

from __future__ import annotations

import json
import os
import stat
import sys
import time

from executor import __version__
from executor.errors import MachineError
from executor.store.imports import imported_by, kind_of, named_in_words
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

    Look = tuple[int, ...]

MOST_FILES = 2_000
MOST_BYTES = 20_000_000
MOST_PARSED = 2_000_000
MOST_KEPT = 20_000
SETTLED_NS = 2_000_000_000  # a file that changed so recently may change again under the same time stamp
FOREIGN = ("site-packages", "dist-packages", ".venv", "node_modules")
STDLIB = frozenset(sys.stdlib_module_names)


class Source(Record):
    """One file at the status `look`: its digest, the names in it; `kind` as of `imports.kind_of`."""

    look: Look
    digest: str
    kind: str = ""
    names: tuple[str, ...] | None = None


class Sources:
    """Digests and names of files, by the status of each file; `kept_at` is a cache file for the next process.

    Only commands that read use the cache file; no decision of a run depends on it.
    """

    def __init__(self, kept_at: str = "") -> None:
        self._kept_at = kept_at
        self._known: dict[str, Source] | None = None if kept_at else {}
        self._settled: set[str] = set()
        self._matched: dict[tuple[str, re.Pattern[bytes]], set[str]] = {}
        self._grew = False

    def is_settled(self, key: str) -> bool:
        """Return True for a key of `settle`."""
        self._load()
        return key in self._settled

    def settle(self, key: str) -> None:
        """Record a fact, by its key, that needs no file to be read again."""
        self._settled.add(key)
        self._grew = True

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes, empty when it cannot be read."""
        source = self._seen(path, parsed=False)
        return source.digest if source else ""

    def source(self, path: str) -> Source | None:
        """Return a file with what it names, None when it cannot be read."""
        return self._seen(path, parsed=True)

    def matches(self, path: str, pattern: re.Pattern[bytes]) -> set[str]:
        """Return the matches of a pattern's first group in a file; a file is read once in a process."""
        digest = self.digest(path)
        if digest and (digest, pattern) not in self._matched:
            try:
                found = pattern.findall(files.read(path))
            except OSError:
                found = []
            self._matched[digest, pattern] = {one.decode("utf-8", "replace") for one in found}
        return self._matched.get((digest, pattern), set())

    def save(self) -> None:
        """Write the cache file, where that is allowed."""
        if not (self._grew and self._kept_at and os.access(os.path.dirname(self._kept_at), os.W_OK)):
            return
        newest = [*self._load().items()][-MOST_KEPT:]
        rows = {path: [one.look, one.digest, one.kind, one.names] for path, one in newest}
        body = {"version": __version__, "files": rows, "settled": sorted(self._settled)[:MOST_KEPT]}
        self._grew = False
        try:
            files.replace(self._kept_at, json.dumps(body).encode())
        except MachineError:  # reading works without a cache
            return

    def _seen(self, path: str, *, parsed: bool) -> Source | None:
        look = look_at(path)
        if look is None:
            return None
        known = self._load().get(path)
        if known and known.look == look and (known.names is not None or not parsed):
            return known
        return self._read(path, look, parsed=parsed)

    def _read(self, path: str, look: Look, *, parsed: bool) -> Source | None:
        now = time.time_ns()
        if look[0] > safe_open.MOST_BYTES:
            return Source(look, f"size {look[0]} time {look[1]}", "", () if parsed else None)
        try:
            text = files.read(path)
        except OSError:
            return None
        kind = kind_of(path, text) if parsed else ""
        source = Source(look, files.digest(text), kind, _names(kind, text) if parsed else None)
        if max(look[1], look[2]) < now - SETTLED_NS:
            self._load()[path] = source
            self._grew = True
        return source

    def _load(self) -> dict[str, Source]:
        if self._known is None:
            self._known, self._settled = _kept(self._kept_at)
        return self._known


def look_at(path: str) -> Look | None:
    """Return the status that identifies the content of a regular file, None for anything else."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _names(kind: str, text: bytes) -> tuple[str, ...]:
    if len(text) > MOST_PARSED:
        return ()
    if kind == "python":
        return imported_by(text)
    return named_in_words(text.decode("utf-8", "replace")) if kind == "shell" else ()


def _kept(path: str) -> tuple[dict[str, Source], set[str]]:
    """Return the content of the cache file, empty for one that cannot be read or has another version."""
    body = safe_open.read_record(path)
    try:
        if body.get("version") != __version__:
            return {}, set()
        return {name: _source(*row) for name, row in body["files"].items()}, set(map(str, body["settled"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, set()


def _source(look: list[int], digest: str, kind: str, names: list[str] | None) -> Source:
    return Source(tuple(look), digest, kind, None if names is None else tuple(names))


class Behind(Record):
    """The files behind a script, `path -> digest`, paths from the root; `cut` when there were too many to follow."""

    found: dict[str, str]
    cut: bool = False


def behind(root: str, *, script: str, words: str, sources: Sources) -> Behind:
    """Return the project's files that a script, or the words of a command, lead to; the script itself left out."""
    way = [script] if script else []
    way += [path for name in named_in_words(words) for path in _of_word(root, root, name)]
    first = {*way[:1]} if script else set()
    seen: dict[str, str] = {}
    size = 0
    while way:
        path = way.pop()
        source = sources.source(path) if path not in seen else None
        if source is None:
            continue
        if len(seen) >= MOST_FILES or size > MOST_BYTES:
            return Behind(_relative(root, seen, first), cut=True)
        seen[path], size = source.digest, size + source.look[0]
        way += _next(root, path, source)
    return Behind(_relative(root, seen, first))


def _relative(root: str, seen: dict[str, str], first: set[str]) -> dict[str, str]:
    return {os.path.relpath(path, root): digest for path, digest in sorted(seen.items()) if path not in first}


def _next(root: str, path: str, source: Source) -> Iterator[str]:
    """Yield the paths that a source leads to."""
    here = os.path.dirname(path)
    for name in source.names or ():
        if source.kind == "shell":
            yield from _of_word(root, here, name)
        elif name.startswith("."):
            yield from _of_relative(here, name)
        else:
            yield from _of_module(_bases(root, path), name)


def _bases(root: str, path: str) -> Iterable[str]:
    """Return the folders of a module: beside the importing file, beside its link target, root, src/, scripts/."""
    beside = (os.path.dirname(path), os.path.dirname(os.path.realpath(path)))
    return dict.fromkeys((*beside, root, os.path.join(root, "src"), os.path.join(root, "scripts")))


def _of_word(root: str, here: str, name: str) -> Iterator[str]:
    """Yield the file that a word of a shell names, or the module behind its -m."""
    if name.startswith("-m "):
        yield from _of_module((root, here, os.path.join(root, "src")), name[3:], run=True)
        return
    paths = (os.path.normpath(os.path.join(folder, name)) for folder in (root, here))
    yield from (path for path in dict.fromkeys(paths) if _is_own(path))


def _of_relative(here: str, name: str) -> Iterator[str]:
    bare = name.lstrip(".")
    for _ in range(len(name) - len(bare) - 1):
        here = os.path.dirname(here)
    init = os.path.join(here, "__init__.py")
    if _is_own(init):
        yield init
    if bare:
        yield from _of_module((here,), bare, relative=True)


def _of_module(bases: Iterable[str], name: str, *, relative: bool = False, run: bool = False) -> Iterator[str]:
    """Yield the files of a module and of the packages around it, from the first folder that has the outermost."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    for place, base in enumerate(bases):
        if place and not relative and parts[0] in STDLIB:
            return  # only beside the script a file hides a module of the standard library
        found = [*_down(base, parts, run=run)]
        if found:
            yield from found
            return


def _down(folder: str, parts: list[str], *, run: bool) -> Iterator[str]:
    for part in parts:
        folder = os.path.join(folder, part)
        init, alone = os.path.join(folder, "__init__.py"), f"{folder}.py"
        if _is_own(init):
            yield init
        elif _is_own(alone):
            yield alone
            return
        elif not os.path.isdir(folder):
            return
    if run and _is_own(os.path.join(folder, "__main__.py")):
        yield os.path.join(folder, "__main__.py")


def _is_own(path: str) -> bool:
    """Return True for a file that exists and belongs to no installed package."""
    return os.path.isfile(path) and not any(f"{os.sep}{name}{os.sep}" in path for name in FOREIGN)
