"""`attest`: a statement of what a passed step ran, on which files, with which evidence; `--verify` compares one."""

from __future__ import annotations

import json
import os
import sys

from executor.checks import attestation
from executor.cli.options import JSON, option
from executor.cli.output.screen import print_json
from executor.cli.requested_steps import selected
from executor.errors import SpecError, UsageError
from executor.store import log_reader, project
from executor.store.project_view import ProjectView, box_of
from executor.system import safe_open
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_json, escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

OPTIONS = (
    option("step", nargs="?", default="", help="1 or a name: print its statement"),
    option("--verify", default="", metavar="FILE", help="compare the files here with a statement"),
    JSON,
)
MOST_NAMED = 6
UNSIGNED = "A statement is not signed: it proves which files belong together, not who wrote it."


def run(args: Namespace) -> Verdict:
    """Print a statement, or how the files here compare with one."""
    if bool(args.step) == bool(args.verify):
        raise UsageError("name a step, or --verify FILE")
    return _verify(args) if args.verify else _attest(args)


def _attest(args: Namespace) -> Verdict:
    here = project.find_for(args.plan, args.project)
    plan, _ = project.load(here)
    view = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
    boxes = view.boxes()
    numbers = selected(view, boxes, [args.step])
    if len(numbers) > 1:
        raise UsageError("one statement is of one step: name one")
    number = numbers[0]
    box = box_of(view, number)
    task_id = box.mark.task_id if box.state == "x" and box.mark else ""
    lines = log_reader.task_lines(here.root, task_id) if task_id else []
    if not any(line.get("event") == "StepPassed" for line in lines):
        raise SpecError(
            f"step {number} is not ticked with a task that this log knows as passed; see: do-tasks why {number}"
        )
    if changed := view.changed(number, box):
        raise SpecError(
            f"step {number} changed since it passed: {', '.join(changed)}; run it again: --step {number} --rerun"
        )
    step = view.step(number)
    if left_out := attestation.unrecorded(here.root, step):
        names = ", ".join(left_out[:MOST_NAMED])
        note = f"Note: not in the statement: {names}; name them in outputs to record them"
        print(escaped_line(note), file=sys.stderr)
    statement = attestation.statement(here.root, step, box.title, lines)
    print(escaped_json(json.dumps(statement, ensure_ascii=False, indent=None if args.json else 2)))
    return Verdict.PASSED


def _verify(args: Namespace) -> Verdict:
    body = _read(args.verify)
    try:
        found = attestation.compare(os.path.abspath(args.project), body)
    except ValueError as error:
        raise UsageError(f"{args.verify}: {error}") from error
    bad = [one for one in found if one.result != "same"]
    if args.json:
        print_json({"v": 1, "same": not bad, "files": [one.asdict() for one in found], "signed": False})
    else:
        lines = [f"{one.result:10} {one.role:10} {one.path}" for one in found]
        count = f"{len(found) - len(bad)} of {len(found)} files are the same."
        print("\n".join(map(escaped_line, [*lines, count, UNSIGNED])))
    return Verdict.FAILED if bad else Verdict.PASSED


def _read(path: str) -> Any:
    try:
        return safe_open.parse_json(safe_open.read_whole(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
