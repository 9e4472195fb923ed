"""`new`: a task is added to a plan in the format's own form."""

from __future__ import annotations

import time

from executor.cli.options import JSON, PLAN, option
from executor.cli.output.screen import print_json
from executor.errors import UsageError
from executor.plan.formats.addition import NewTask
from executor.plan.formats.model import MarkError
from executor.plan.task_selection import one_id
from executor.store import plan_files, plan_writer
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (
    option("title", help="one line"),
    PLAN,
    option("--after", default="", metavar="ID", help="the task that it stands behind (default: the last one)"),
    option("--section", default="", metavar="NAME", help="the heading, phase or tag that it belongs to"),
    JSON,
)


def run(args: Namespace) -> Verdict:
    """Add the task and print it."""
    title = " ".join(args.title.split())
    if not title or not title.isprintable():
        raise UsageError(f"the title {args.title!r} must have a text, without control characters")
    if args.after and args.section:
        raise UsageError("--after and --section name a place each: give one of them")
    path = plan_files.find(args.plan, args.project)
    plan = plan_files.load(path)
    name = one_id(plan.document, args.after) if args.after else ""
    try:
        after = plan_writer.find(plan, name) if name else None
        new = NewTask(title, after, args.section, time.strftime("%Y-%m-%d"), plan_writer.defined_ids(path))
        task = plan_writer.add_task(path, plan_writer.lock_of(path), new)
    except MarkError as refused:
        raise UsageError(str(refused)) from None
    if args.json:
        print_json({"v": 1, "id": task.id, "title": task.title, "file": task.file or plan.name, "line": task.line})
    else:
        print(escaped_line(f"added: {task.label} ({task.file or plan.name}:{task.line or task.declared_line})"))
    return Verdict.PASSED
