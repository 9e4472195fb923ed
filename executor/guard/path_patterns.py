"""Which paths an agent must leave alone, as patterns over paths."""

from __future__ import annotations

import fnmatch
import re
from functools import cache

from executor.errors import SpecError
from executor.plan.spec import spec_md
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    States = frozenset[int]

# Judges of every plan, beside what its settings protect.
JUDGES = ("SPEC.md", "step_definitions.yaml", ".claude/tasks/step_definitions.yaml", "tests/**")
ANY = "**"
WILD = re.compile(r"[*?\[]")
CACHES = frozenset(("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"))
START: States = frozenset((0,))


def globs(protect: Iterable[str], definitions: str) -> tuple[str, ...]:
    """Return the globs of what judges an agent, each once, relative to the project.

    A path outside the project, or an absolute one, is none of ours and is left out.
    """
    written = (*JUDGES, definitions, *protect)
    return tuple(dict.fromkeys(filter(None, map(_normal, written))))


def matches(path: str, globs: Iterable[str]) -> str:
    """Return the glob that guards this path of the project, empty when none does.

    `**` stands for any folders or none, `*`, `?` and `[...]` stay within a name and take a leading dot; a glob without
    any of them guards all below it too. Upper and lower case differ.
    """
    names = path.split("/") if _is_plain(path) else _normal(path).split("/")
    for glob in globs if names != [""] else ():
        if accepts(glob, reached(glob, names)):
            return glob
    return ""


def is_cache(path: str) -> bool:
    """Tell what running the tests makes by itself."""
    return path.endswith(".pyc") or not CACHES.isdisjoint(path.split("/"))


def allowed_spec(before: bytes, now: bytes, explained: Mapping[int, str]) -> bytes:
    """Return what SPEC.md must be: as it was, but for the boxes and marks of the steps that our log explains.

    `explained` has the states that a step's box may have come to, as the characters between its brackets. Of its line
    only what do-tasks writes is taken from `now`: the state, the mark, a line that was not there.
    """
    wanted = before
    for number in sorted(explained):
        try:
            wanted = _taken_over(wanted, now, number, explained[number])
        except SpecError:  # it is there twice, or not at all, or no mark of ours: as it was
            continue
    return wanted


def _taken_over(before: bytes, now: bytes, number: int, states: str) -> bytes:
    told = spec_md.find(now, number)
    if told.state not in states:
        return before
    if number not in (box.number for box in spec_md.boxes(before)):
        before = spec_md.append_line(before, number, told.title)
    return spec_md.patch(before, spec_md.find(before, number), state=told.state, mark=told.mark)


def base(glob: str) -> tuple[str, ...]:
    """Return the names that a glob begins with before anything in it is wild."""
    names = _parts(glob)
    first = next(at for at, name in enumerate((*names, ANY)) if WILD.search(name))
    return names[:first]


def reached(glob: str, names: Iterable[str], states: States | None = None) -> States:
    """Return where these names lead in the glob; no state left means that nothing below them matches."""
    parts = _parts(glob)
    now = _closed(parts, START) if states is None else states
    for name in names:
        now = _step(parts, now, name)
    return now


def accepts(glob: str, states: States) -> bool:
    """Tell whether what led to these states is guarded by the glob."""
    return len(_parts(glob)) in states


def _step(parts: tuple[str, ...], states: States, name: str) -> States:
    if parts[-1] == ANY and states == {len(parts) - 1, len(parts)}:  # all below: thousands of names come to this
        return states
    after = set()
    for at in states:
        if at < len(parts) and parts[at] == ANY:
            after.add(at)
        elif at < len(parts) and _segment(parts[at]).match(name):
            after.add(at + 1)
    return _closed(parts, after)


def _closed(parts: tuple[str, ...], states: Iterable[int]) -> States:
    """Return the states with those behind each `**`, which may stand for nothing."""
    every = set(states)
    for at in sorted(every):
        while at < len(parts) and parts[at] == ANY:
            at += 1  # noqa: PLW2901 - it walks on from there
            every.add(at)
    return frozenset(every)


@cache
def _parts(glob: str) -> tuple[str, ...]:
    names = tuple(glob.split("/"))
    return names if WILD.search(glob) else (*names, ANY)


@cache
def _segment(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _is_plain(path: str) -> bool:
    return not path.startswith(("/", ".")) and "//" not in path and "/." not in path and not path.endswith("/")


def _normal(path: str) -> str:
    """Return the path without empty names and dots; empty when it leads out of the project."""
    kept: list[str] = []
    for name in path.split("/"):
        if name == ".." and not kept:
            return ""
        if name == "..":
            kept.pop()
        elif name not in ("", "."):
            kept.append(name)
    return "" if path.startswith("/") else "/".join(kept)
