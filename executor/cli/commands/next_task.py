"""`next`: the tasks that can start now, the best first."""

from __future__ import annotations

from executor.cli import plan_graph
from executor.cli.options import JSON, PLAN, SELECTORS, option
from executor.errors import UsageError
from executor.plan.task_graph import next_ids
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (
    PLAN,
    *SELECTORS,
    option("-n", type=int, default=1, metavar="N", help="print up to N tasks (default 1)"),
    JSON,
)


def run(args: Namespace) -> Verdict:
    """Print the next tasks."""
    if args.n < 1:
        raise UsageError(f"-n {args.n}: must be at least 1")
    graph, chosen = plan_graph.graph_of(args)
    names = [name for name in next_ids(graph) if name in chosen][: args.n]
    if args.json:
        plan_graph.print_json(next=[plan_graph.entry(graph, name) for name in names])
    else:
        plan_graph.print_lines(plan_graph.task_lines(graph, names) or [plan_graph.nothing_ready(graph)])
    return Verdict.PASSED
