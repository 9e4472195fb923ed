"""`graph`: the tasks and what each waits for, as text, Mermaid, DOT or SVG."""

from __future__ import annotations

from executor.cli import plan_graph
from executor.cli.options import PLAN, SELECTORS, option
from executor.errors import UsageError
from executor.plan import graph_drawing, task_graph
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace

FORMS = {
    "text": graph_drawing.as_text,
    "mermaid": graph_drawing.as_mermaid,
    "dot": graph_drawing.as_dot,
    "svg": graph_drawing.as_svg,
}
OPTIONS = (
    PLAN,
    *SELECTORS,
    option("--format", choices=tuple(FORMS), default="text", help="form of the graph (default text)"),
)


def run(args: Namespace) -> Verdict:
    """Print the graph."""
    graph, chosen = plan_graph.graph_of(args)
    try:
        print(clean_control(FORMS[args.format](task_graph.part_of(graph, chosen))), end="")
    except ModuleNotFoundError as error:
        raise UsageError(f"--format svg needs the package {error.name}: pip install 'do-tasks[graph]'") from error
    return Verdict.PASSED
