"""`lint`: what a plan says against itself, with the place and what would have to be true."""

from __future__ import annotations

from executor.cli.options import JSON, option
from executor.cli.output.screen import print_json
from executor.plan.contradictions import contradictions
from executor.store import plan_files
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (option("file", nargs="?", default="", help="the plan's file (default: the one that is here)"), JSON)


def run(args: Namespace) -> Verdict:
    """Print each finding; failed when there is one."""
    plan = plan_files.load(plan_files.find(args.file or args.plan, args.project))
    found = contradictions(plan.name, plan.document, plan.text)
    if args.json:
        print_json({"v": 1, "findings": [one.asdict() for one in found]})
    else:
        lines = [f"{one.file}:{one.line}: {one.kind}: {one.message}" for one in found]
        count = f"{len(plan.document.tasks)} tasks ({plan.format.name}), {len(found)} findings"
        print("\n".join(map(escaped_line, [*lines, count])))
    return Verdict.FAILED if found else Verdict.PASSED
