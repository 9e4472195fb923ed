"""The values of parameters that a command line gives, or that a continued run had."""

from __future__ import annotations

import os

from executor.errors import UsageError
from executor.plan import params
from executor.store import log_reader
from executor.store.step_values import Given, params_of
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME
from executor.system.text import clean_control, quoted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

    from executor.cli.output.screen import Screen
    from executor.plan.params import Value
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView

    Rows = list[tuple[str, str, object]]

MOST_FILE = 1 << 20  # bytes of a file of values
MOST_LOG = 1 << 22  # bytes of the log's end that are searched for the last task
BEGINS = ("TaskStarted", "TaskResumed")


def read_rows(args: Namespace) -> Rows:
    """Return the values of --params, then those of --set, as (place, name, value); paths are from this folder."""
    rows = _of_file(args.params) if args.params else []
    for one in args.set or ():
        name, equals, value = one.partition("=")
        if not (equals and name.strip()):
            raise UsageError(f"--set {one}: write NAME=VALUE, such as --set lr=0.1")
        rows.append((f"--set {one}", name.strip(), value))
    return rows


def _of_file(path: str) -> Rows:
    from executor.plan.yaml_loader import load

    try:
        data = safe_open.read_start(path, MOST_FILE + 1)
    except OSError as error:
        raise UsageError(f"--params {path}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_FILE:
        raise UsageError(f"--params {path}: has more than {MOST_FILE} bytes")
    body = load(data, file=path)
    if not isinstance(body, dict):
        raise UsageError(f"--params {path}: must map names to values, such as `lr: 0.1`; got {quoted(body)}")
    return [(path, str(name), value) for name, value in body.items()]


def given(view: ProjectView, args: Namespace, rows: Rows, *, anew: Collection[StepId] = ()) -> Given:
    """Return the values of a command line for a plan; UsageError for a name or value that the plan does not know."""
    values = params.given(params_of(view), rows)
    carried = last_given(view) if args.resume else {}
    return Given(values, {name: value for name, value in carried.items() if name not in values}, anew)


def give(view: ProjectView, args: Namespace, rows: Rows, screen: Screen) -> None:
    """Give the values of a command line to a plan; print those that a continued run had."""
    view.given = given(view, args, rows)
    if view.given.carried:
        screen.print(clean_control(note_of(view.given)))


def last_given(view: ProjectView) -> dict[str, Value]:
    """Return the values that were given to the task that began last."""
    known = params_of(view)
    if not known:
        return {}
    try:
        end = safe_open.read_end(os.path.join(view.root, LOG_NAME), MOST_LOG)
    except OSError:
        return {}
    signs = tuple(f'"{name}"'.encode() for name in BEGINS)
    for raw in reversed(end.splitlines()):
        line = log_reader.parse(raw) if any(sign in raw for sign in signs) else None
        if line and line.get("event") in BEGINS:
            written = line.get("params")
            return params.still_valid(known, written) if isinstance(written, dict) else {}
    return {}


def note_of(one: Given) -> str:
    """Return the line that names values of the run that this one continues."""
    shown = ", ".join(f"{name}={params.text_of(value)}" for name, value in one.carried.items())
    return f"Note: {shown}, as in the run that this one continues; another value: --set NAME=VALUE"
