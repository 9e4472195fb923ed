"""`archive`: finished tasks are moved to the place that the plan's format has for them."""

from __future__ import annotations

import time

from executor.cli.options import PLAN, flag
from executor.errors import UsageError
from executor.plan.formats.model import MarkError
from executor.store import plan_archive, plan_files
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (PLAN, flag("--archive", "the same command as an option"))


def run(args: Namespace) -> Verdict:
    """Move the finished tasks and print each move."""
    path = plan_files.find(args.plan, args.project)
    try:
        moved = plan_archive.archive(path, time.strftime("%Y-%m-%d"))
    except MarkError as refused:
        raise UsageError(str(refused)) from None
    print("\n".join(map(escaped_line, moved or ["nothing to move: no finished task is outside its place"])))
    return Verdict.PASSED
