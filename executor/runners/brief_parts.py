"""The parts of a brief beside the step: results of its dependencies, and the files that the plan names."""

from __future__ import annotations

import json
import os

from executor.plan.references import metric_of
from executor.runners.brief_budget import Part
from executor.store import input_files, log_reader
from executor.store.step_values import metrics_of, values_of
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.model import Step
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView

MOST_FILE = 4 << 20  # bytes of a file of context
MOST_METRICS = 40
MOST_VALUE = 200  # characters of a metric
MOST_FILES = 8  # outputs of a dependency that are named
NEWLINES = "\n"


def parts_of(view: ProjectView, step: Step) -> Iterator[Part]:
    """Yield the parameters, the results of dependencies, then the files: of the step, then of the settings."""
    values = values_of(view, step.number)
    if values:
        rows = [f"- {name} = {quoted(value)}" for name, value in values.items()]
        yield Part("parameters", _section("Parameters", rows))
    for number in _needs(view, step):
        yield Part(f"result of step {number}", _section(f"Result of step {number}", [*_result(view, number)]))
    globs = dict.fromkeys((*step.context, *view.plan.settings.context))
    yield from _files(view.root, [*globs], {*(step.main.env_file if step.main else ())})


def _section(heading: str, rows: list[str]) -> str:
    return NEWLINES.join((f"## {heading}", *rows, ""))


def _needs(view: ProjectView, step: Step) -> list[StepId]:
    """Return the steps that this one depends on or reads metrics of, in the order of the plan."""
    named = {str(edge.step) for edge in step.depends_on}
    named |= {found[0] for found in map(metric_of, (*step.values, *step.missing)) if found}
    named |= {str(step.condition.step)} if step.condition else set()
    return [number for number in view.plan.numbers if str(number) in named]


def _result(view: ProjectView, number: StepId) -> Iterator[str]:
    """Yield the lines on a step: its title, verdict, metrics, note and outputs."""
    state = view.state(number)
    yield view.plan.title(number)
    if not state.passed_task:
        yield f"It has not passed{f': {state.verdict}, {state.reason}' if state.reason else ''}."
        return
    yield f"Passed as {state.passed_task} at {state.passed_at}{f' ({state.note})' if state.note else ''}."
    metrics = metrics_of(state)
    yield from (f"- {name} = {_short(value)}" for name, value in [*metrics.items()][:MOST_METRICS])
    lines = log_reader.task_lines(view.root, state.passed_task)
    notes = [str(line["note"]) for line in lines if line.get("event") == "ResultRead" and line.get("note")]
    if notes:
        yield f"Note: {' '.join(notes[-1].split())}"
    main = view.step(number).main
    names = input_files.found(view.root, main.outputs) if main else []
    yield from (f"- file {name}" for name in names[:MOST_FILES])
    if len(names) > MOST_FILES:
        yield f"- and {len(names) - MOST_FILES} more files"


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:MOST_VALUE]


def _files(root: str, globs: list[str], env_files: set[str]) -> Iterator[Part]:
    """Yield a part for each file that the globs find, each once; a glob without one is named."""
    seen: set[str] = set()
    for pattern in globs:
        names = input_files.found(root, [pattern])
        if not names:
            yield Part(pattern, refused="no file here")
        for name in names:
            if name not in seen:
                seen.add(name)
                yield _file(root, name, env_files)


def _file(root: str, name: str, env_files: set[str]) -> Part:
    path = os.path.join(root, name)
    real = os.path.realpath(path)
    if not real.startswith(os.path.realpath(root) + os.sep):
        return Part(name, refused="outside of the project")
    if name in env_files or any(os.path.basename(one).startswith(".env") for one in (path, real)):
        return Part(name, refused="a file of secrets")
    try:
        data = safe_open.read_start(path, MOST_FILE + 1)
    except OSError as error:
        return Part(name, refused=f"cannot be read: {error.strerror}")
    if len(data) > MOST_FILE:
        return Part(name, refused=f"larger than {size(MOST_FILE)}")
    if b"\0" in data:
        return Part(name, refused="not a text")
    text = data.decode("utf-8", "replace").rstrip(NEWLINES)
    fence = "`" * max(3, 1 + _longest_run(text))
    return Part(name, NEWLINES.join((f"## File {name}", fence, text, fence, "")))


def _longest_run(text: str) -> int:
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest
