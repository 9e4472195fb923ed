"""Warnings of `validate` that need the project: different titles, uncovered files, changes since a tick."""

from __future__ import annotations

import os
import re

from executor.errors import DoTasksError, Problem
from executor.plan.issues import ValidationIssue
from executor.store import input_files, log_reader, project
from executor.store.changes import describe_changes
from executor.store.project_view import ProjectView
from executor.store.sources import MOST_FILES, Sources, behind
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.model import Main, Step
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId

_DATA = re.compile(
    r"\.(?:jsonl?|csv|tsv|txt|parquet|arrow|feather|ya?ml|toml|ini|cfg|npy|npz|h5|hdf5|pkl|db|sqlite3?|gz|zst|zip|tar|xz"
    r"|pt|pth|ckpt|safetensors|bin|gguf|model|vocab|png|jpe?g|wav|mp3)$",
    re.IGNORECASE,
)
_MADE = re.compile(r"-+(?:\w+-)*(?:o|(?:out|save|dest|target|log|write|export|report|ckpt|checkpoint)\w*)(?:[-_]\w+)*")
_SOURCE = (".py", ".sh", ".bash")
_MARKUP = re.compile(r"[*_`~]|\]\([^)]*\)|[\[\]]")


def uncovered(here: project.Project, step: Step) -> Iterator[ValidationIssue]:
    """Yield a warning for each file that a script's args name and neither `inputs` nor `outputs` covers."""
    main = step.main
    if main is None or not main.script:
        return
    for place, path in _named(here.root, main):
        if not _covers(here.root, (*main.inputs, *main.outputs), path) and not _is_proven(step, path):
            message = f"{path} is not in inputs, so a change of it is not noticed; add inputs: [{path}]"
            yield ValidationIssue(("main", "args", place), message, severity="warning")


def too_many(here: project.Project, step: Step) -> Iterator[ValidationIssue]:
    """Yield a warning when a script imports, or its globs find, more files than are read."""
    main = step.main
    if main is None:
        return
    path = project.script_path(here, main.script) if main.script else ""
    if behind(here.root, script=path, words=" ".join((main.command, *main.args)), sources=Sources()).cut:
        message = f"imports more than {MOST_FILES:,} files of this project; a change of the others is not noticed"
        yield ValidationIssue(("main",), message, severity="warning")
    for key, globs in (("inputs", main.inputs), ("outputs", main.outputs)):
        for place, glob in enumerate(globs):
            if len(input_files.found(here.root, (glob,))) >= input_files.MOST:
                most = f"{input_files.MOST:,}"
                message = f"finds {most} files or more; the first {most} count; name a list or an archive"
                yield ValidationIssue(("main", key, place), message, severity="warning")


def _named(root: str, main: Main) -> Iterator[tuple[int, str]]:
    """Yield the args that name an input file, without those of an option for an output."""
    before = ""
    for place, arg in enumerate(main.args):
        option, equals, value = arg.partition("=") if arg.startswith("-") else (before, "", arg)
        if not _MADE.fullmatch(option) and _is_file(root, value if equals or not arg.startswith("-") else ""):
            yield place, os.path.normpath(value)
        before = arg if arg.startswith("-") else ""


def _is_file(root: str, word: str) -> bool:
    if not word or "://" in word or word.endswith(_SOURCE) or len(word) > 4096 or "\0" in word:
        return False
    path = os.path.join(root, word)
    return os.path.exists(path) if not _DATA.search(word) else True


def _covers(root: str, globs: tuple[str, ...], path: str) -> bool:
    from executor.guard.path_patterns import matching_glob

    plain = [os.path.normpath(glob) for glob in globs]
    below = any(path == one or path.startswith(f"{one}{os.sep}") for one in plain)
    return below or bool(matching_glob(path, tuple(plain))) or path in input_files.found(root, globs)


def _is_proven(step: Step, path: str) -> bool:
    """Return True when a criterion or a check of POST names the file: MAIN writes it."""
    criteria = step.main.criteria if step.main else ()
    asked = [one.asks for one in criteria if one.kind != "prose"]
    asked += [one.asks for one in step.post_validation if one.kind != "prose"]
    return any(path in str(asks) for asks in asked)


def of_spec(here: project.Project, plan: Plan, boxes: Mapping[StepId, Box]) -> Iterator[Problem]:
    """Yield titles that differ between SPEC.md and the definitions, and changes since a tick."""
    try:
        view = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
        changes = {number: describe_changes(view.changed(number, boxes.get(number))) for number in plan.numbers}
    except DoTasksError:
        changes = {}
    for number in plan.numbers:
        box = boxes.get(number)
        title = plan.raw[number][1].get("title")
        if box and isinstance(title, str) and _plain(box.title) != _plain(title):
            titles = f"step {number} is called {quoted(box.title)} here and {quoted(title)} in {here.definitions}"
            yield Problem(project.SPEC_NAME, f"{titles}; use one", line=box.line, col=1, severity="warning")
        if box and changes.get(number):
            text = f"step {number} {changes[number]}"
            yield Problem(project.SPEC_NAME, text, line=box.line, col=1, severity="warning")


def _plain(title: str) -> str:
    """Return a title without markup, case, repeated spaces and final punctuation."""
    return " ".join(_MARKUP.sub("", title).casefold().split()).rstrip(".: ")
