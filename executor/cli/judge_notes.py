"""Warnings of `validate` about files that judge an agent and that the agent may change."""

from __future__ import annotations

import os
import re

from executor.guard import judge_programs, path_patterns
from executor.guard.check_reach import path_inside
from executor.guard.startup_places import outputs_of
from executor.plan.issues import ValidationIssue
from executor.plan.lint.agents import is_for_agent
from executor.store.sources import Sources, behind
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.plan.issues import Path
    from executor.plan.model import Settings, Step
    from executor.store.project import Project

SHOWN = 4
MOST_TESTS = 200
_WORD = re.compile(r"[^\s'\"`;&|()<>$={}\[\],]+")
_MODULE = re.compile(r"[A-Za-z_][\w.]*")


def unprotected(here: Project, step: Step, settings: Settings) -> Iterator[ValidationIssue]:
    """Yield, for each check of an agent's step, the unprotected files that it runs or imports."""
    if step.main is None or not is_for_agent(step.main, settings):
        return
    globs, made = path_patterns.judge_globs(settings.protected, here.definitions), set(outputs_of(step))
    for path, name, command in _asked(step):
        words = " ".join((command, *_tests_in(here.root, command)))
        read = behind(here.root, script="", words=words, sources=Sources()).found
        free = [one for one in read if one not in made and not path_patterns.matching_glob(one, globs)]
        started = [one for one in free if _is_named(one, command)]
        imported = [one for one in free if one not in started]
        if started:
            yield ValidationIssue(path, _unprotected(name, "runs", started), severity="warning")
        if imported:
            yield ValidationIssue(path, _unprotected(name, "imports", imported), severity="note")
        yield from _of_tests(here.root, path, name, command, globs)
    yield from _made(step, globs)


def _asked(step: Step) -> Iterator[tuple[Path, str, str]]:
    """Yield path, name and command of each check that runs code of the project."""
    for place, check in enumerate(step.post_validation):
        if check.kind in ("command", "python_import", "call"):
            yield ("post_validation", place), check.name, _command(check.kind, check.asks)
    for place, one in enumerate(step.main.criteria if step.main else ()):
        if one.kind == "command":
            yield ("main", "success_criteria", place), one.text, str(one.asks)


def _command(kind: str, asks: object) -> str:
    if kind == "command":
        return str(asks)
    return " ".join(f"-m {name}" for name in _MODULE.findall(str(asks)))


def _tests_in(root: str, command: str) -> Iterator[str]:
    """Yield the Python files of the folders in a pytest command, at most MOST_TESTS of each."""
    if not judge_programs.words_of(command) & judge_programs.TEST_RUNNERS:
        return
    for folder in filter(None, (path_inside(root, word) for word in _WORD.findall(command))):
        names = [name for name in names_in(os.path.join(root, folder)) if name.endswith(".py")]
        yield from (os.path.join(folder, name) for name in sorted(names)[:MOST_TESTS])


def _is_named(path: str, command: str) -> bool:
    """Return True for a file that the command names, by its path or as a module."""
    module = path.removesuffix(".py").replace("/", ".")
    return path in (os.path.normpath(word) for word in _WORD.findall(command)) or f"-m {module}" in command


def _unprotected(name: str, how: str, paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    named = ", ".join(paths[:SHOWN])
    return (
        f"{name!r} {how} {named}{more}, which the agent may change, although it judges the agent;"
        f" to protect it: settings: {{protect: [{named}]}}, or name it in outputs when the agent has to write it"
    )


def _of_tests(root: str, path: Path, name: str, command: str, globs: Iterable[str]) -> Iterator[ValidationIssue]:
    """Yield a note for unprotected tests: a new test file can end the whole run."""
    if not judge_programs.words_of(command) & judge_programs.TEST_RUNNERS:
        return
    named = [one for word in _WORD.findall(command) if (one := path_inside(root, word)) and _is_there(root, one)]
    free = [one for one in named if not path_patterns.matching_glob(one, globs) and not _is_foreign(one)]
    if free:
        fault = f"{name!r} takes tests from {', '.join(free[:SHOWN])}, which nothing protects"
    elif not named:
        fault = f"{name!r} names no folder, so each test file that the agent makes is taken"
    else:
        return
    message = f"{fault}: the agent may write what judges it; name a protected folder: tests"
    yield ValidationIssue(path, message, severity="note")


def _is_there(root: str, path: str) -> bool:
    return os.path.exists(os.path.join(root, path))


def _is_foreign(path: str) -> bool:
    return not {*path.split("/")}.isdisjoint((".venv", "venv", "node_modules"))


def _made(step: Step, globs: Iterable[str]) -> Iterator[ValidationIssue]:
    """Yield a note for each output that judging programs read at their start."""
    known = [name for tool in judge_programs.TOOLS for name in (*tool.near, *tool.anywhere)]
    for place, one in enumerate(step.main.outputs if step.main else ()):
        if path_patterns.matching_glob(os.path.basename(one), known) and not path_patterns.matching_glob(one, globs):
            message = f"{one} is read by judging programs at their start; as an output the agent may write it"
            yield ValidationIssue(("main", "outputs", place), message, severity="note")
