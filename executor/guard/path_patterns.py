"""Patterns of the paths that an agent must not change."""

from __future__ import annotations

import fnmatch
import re
from functools import cache

from executor.errors import SpecError
from executor.plan.spec import spec_md
from executor.plan.step_ids import natural_order
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.step_ids import StepId

    States = frozenset[int]

# Judges of every plan, beside the globs of its settings.
JUDGE_GLOBS = ("SPEC.md", "step_definitions.yaml", ".claude/tasks/step_definitions.yaml", "tests/**")
ANY = "**"
WILD = re.compile(r"[*?\[]")
CACHES = frozenset(("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"))
START: States = frozenset((0,))


def judge_globs(protect: Iterable[str], definitions: str) -> tuple[str, ...]:
    """Return the globs of the judges of an agent, each once, relative to the project.

    Absolute paths, and paths outside the project, are left out.
    """
    written = (*JUDGE_GLOBS, definitions, *protect)
    return tuple(dict.fromkeys(filter(None, map(_normal, written))))


def matching_glob(path: str, globs: Iterable[str]) -> str:
    """Return the glob that matches this path of the project, empty for none.

    `**` matches any folders or none, `*`, `?` and `[...]` match within a name and a leading dot too; a glob without any
    of them matches all below it too. Upper and lower case differ.
    """
    names = path.split("/") if _is_plain(path) else _normal(path).split("/")
    for glob in globs if names != [""] else ():
        if accepts(glob, advance(glob, names)):
            return glob
    return ""


def is_cache(path: str) -> bool:
    """Return True for a cache that test runs make."""
    return path.endswith(".pyc") or not CACHES.isdisjoint(path.split("/"))


def allowed_plan(path: str, before: bytes, now: bytes, explained: Mapping[StepId, str]) -> bytes:
    """Return the content that the file of a plan must have, SPEC.md or one of another tool."""
    if any(isinstance(number, str) for number in explained):
        from executor.guard.foreign_marks import allowed

        return allowed(path, before, now, explained)
    return allowed_spec(before, now, explained)


def allowed_spec(before: bytes, now: bytes, explained: Mapping[StepId, str]) -> bytes:
    """Return the content that SPEC.md must have: `before` with the boxes and marks that the log explains.

    `explained` has the states that the box of a step may have, as the characters between its brackets. Only the parts
    that do-tasks writes are taken from `now`: the state, the mark, a new line.
    """
    wanted = before
    for number in sorted(explained, key=natural_order):
        try:
            wanted = _taken_over(wanted, now, number, explained[number])
        except SpecError:  # a line that is missing, double or has a foreign mark stays as it was
            continue
    return wanted


def _taken_over(before: bytes, now: bytes, number: StepId, states: str) -> bytes:
    box = spec_md.find(now, number)
    if box.state not in states:
        return before
    if number not in (one.number for one in spec_md.boxes(before)):
        before = spec_md.append_line(before, int(number), box.title)
    return spec_md.patch(before, spec_md.find(before, number), state=box.state, mark=box.mark)


def fixed_start(glob: str) -> tuple[str, ...]:
    """Return the names at the start of a glob that have no wildcard."""
    names = _parts(glob)
    first = next(at for at, name in enumerate((*names, ANY)) if WILD.search(name))
    return names[:first]


def advance(glob: str, names: Iterable[str], states: States | None = None) -> States:
    """Return the states of the glob after these names; an empty set when nothing below can match."""
    parts = _parts(glob)
    now = _closed(parts, START) if states is None else states
    for name in names:
        now = _step(parts, now, name)
    return now


def accepts(glob: str, states: States) -> bool:
    """Return True when the names that led to these states match the glob."""
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
    """Return the states with those after each `**`, which matches nothing too."""
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
