"""`critical-path`: the longest chain of dependencies, by hours where the plan estimates any."""

from __future__ import annotations

from executor.cli import plan_graph
from executor.cli.options import JSON, PLAN, SELECTORS
from executor.plan import task_graph
from executor.plan.longest_path import has_hours, longest_path, path_length
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (PLAN, *SELECTORS, JSON)


def run(args: Namespace) -> Verdict:
    """Print the chain and its length."""
    whole, chosen = plan_graph.graph_of(args)
    graph = task_graph.part_of(whole, chosen)
    path = longest_path(graph)
    length = path_length(graph, path)
    unit = "hours" if has_hours(graph.tasks.values()) else "tasks"
    if args.json:
        plan_graph.print_json(path=[plan_graph.entry(graph, name) for name in path], length=length, unit=unit)
    else:
        plan_graph.print_lines(
            [*plan_graph.task_lines(graph, path), f"{length:g} {unit.removesuffix('s') if length == 1 else unit}"]
        )
    return Verdict.PASSED
