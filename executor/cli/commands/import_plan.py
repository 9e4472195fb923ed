"""`import`: what is read of a plan file of another tool; `--scaffold` writes first definitions for it."""

from __future__ import annotations

import os
from collections import Counter
from shlex import quote

from executor.cli.options import flag, option
from executor.errors import MachineError, UsageError, remedy
from executor.plan.contradictions import contradictions
from executor.plan.scaffold import scaffold, unbound
from executor.store import plan_files, project
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted, escaped_line

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.store.plan_files import PlanFile

NAME = project.DEFINITIONS[0]
OPTIONS = (
    option("file", nargs="?", default="", help="the plan's file (default: the one that is here)"),
    flag("--scaffold", f"write a first {NAME} for its tasks; overwrites nothing"),
    option("-o", dest="output", default="", metavar="FILE", help=f"where --scaffold writes (default {NAME}; - prints)"),
)


def run(args: Namespace) -> Verdict:
    """Print a summary of the plan, or write definitions for it."""
    plan = plan_files.load(plan_files.find(args.file or args.plan, args.project))
    if args.output and not args.scaffold:
        raise UsageError("-o goes with --scaffold: do-tasks import FILE --scaffold -o FILE")
    if not args.scaffold:
        print("\n".join(map(escaped_line, _summary(plan))))
        return Verdict.PASSED
    if not plan.document.tasks:
        raise UsageError(f"{plan.path} has no task to define; see: do-tasks lint {quote(plan.path)}")
    if args.output == "-":
        print(scaffold(plan.document, os.path.relpath(plan.path)), end="")
        return Verdict.PASSED
    path = args.output or _default_path(args.project, plan)
    _write_new(path, scaffold(plan.document, os.path.relpath(plan.path, os.path.dirname(os.path.abspath(path)))))
    steps = counted(sum(not task.ambiguous for task in plan.document.tasks), "step")
    print(f"written: {path} ({steps}, {counted(unbound(plan.document), 'criterion', 'criteria')} unbound)")
    print("next: give the steps a script or a command, bind their criteria, then: do-tasks validate")
    return Verdict.PASSED


def _summary(plan: PlanFile) -> list[str]:
    """Return the format, the tasks by state, the findings, and the next commands."""
    document = plan.document
    states = Counter(task.state for task in document.tasks)
    found = contradictions(plan.name, document, plan.text)
    ambiguous = sum(bool(task.ambiguous) for task in document.tasks)
    lines = [
        f"{plan.path}: {document.format}, {counted(len(document.tasks), 'task')}"
        + "".join(f", {count} {state}" for state, count in states.items())
    ]
    if ambiguous:
        lines.append(f"{ambiguous} ambiguous: counted as open, never ticked")
    if found:
        lines.append(f"{counted(len(found), 'finding')}: do-tasks lint {quote(plan.path)}")
    command = f"import {quote(plan.path)} --scaffold" if document.tasks else f"new TITLE --plan {quote(plan.path)}"
    return [*lines, f"next: do-tasks {command}"]


def _default_path(folder: str, plan: PlanFile) -> str:
    """Return the path of the definitions: in the project's folder where it holds the plan, else beside the plan."""
    root = os.path.abspath(folder)
    is_below = os.path.commonpath([root, os.path.abspath(plan.path)]) == root
    path = os.path.join(root if is_below else plan.folder, NAME)
    there = next((one for one in project.DEFINITIONS if os.path.lexists(os.path.join(os.path.dirname(path), one))), "")
    if there:
        other = os.path.join(os.path.dirname(path), there)
        raise UsageError(f"{os.path.relpath(other)} is there already and stays; name another: -o FILE, or print: -o -")
    return os.path.relpath(path)


def _write_new(path: str, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already and stays; name another: -o FILE, or print: -o -") from None
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}; {remedy(error)}") from error
