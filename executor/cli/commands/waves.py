"""`waves`: the open tasks in groups that may run at once, one group after the other."""

from __future__ import annotations

from executor.cli import plan_graph
from executor.cli.options import JSON, PLAN, SELECTORS
from executor.plan import task_graph
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

OPTIONS = (PLAN, *SELECTORS, JSON)


def run(args: Namespace) -> Verdict:
    """Print a line a wave."""
    graph, chosen = plan_graph.graph_of(args)
    waves = task_graph.waves(graph, open_only=True)
    found = [wave for all_of_it in waves if (wave := [name for name in all_of_it if name in chosen])]
    if args.json:
        plan_graph.print_json(waves=found)
    else:
        lines = [f"{at}: {', '.join(wave)}" for at, wave in enumerate(found, 1)]
        plan_graph.print_lines(lines or [plan_graph.nothing_ready(graph)])
    return Verdict.PASSED
