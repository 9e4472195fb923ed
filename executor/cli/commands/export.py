"""`export`: the open tasks of a plan as commands for another place; nothing is run."""

from __future__ import annotations

import os

from executor.cli import plan_graph
from executor.cli.options import PLAN, SELECTORS, flag
from executor.errors import UsageError
from executor.plan.github_commands import EPIC, commands
from executor.store import plan_files, plan_view
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (PLAN, *SELECTORS, flag("--github", "print `gh` commands: an issue for each open task, with its labels"))


def run(args: Namespace) -> Verdict:
    """Print the commands."""
    if not args.github:
        raise UsageError("say where to: do-tasks export --github")
    plan = plan_files.load(plan_files.find(args.plan, args.project))
    document = plan_view.document_of(plan)
    found = [*commands(document, plan_graph.chosen(args, document), os.path.relpath(plan.path))]
    if not found:
        what = "is done: no issue is to be closed" if plan.document.format == EPIC else "is open"
        found = [f"# nothing to export: no task {what}"]
    print("\n".join(found))
    return Verdict.PASSED
