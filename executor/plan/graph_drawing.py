"""A plan's graph as text, Mermaid and DOT."""

from __future__ import annotations

from executor.plan.task_graph import sorted_ids
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.task_graph import TaskGraph

COLOURS = {
    "open": "#ffffff",
    "started": "#cfe3ff",
    "done": "#cfeccf",
    "failed": "#f6c9c9",
    "blocked": "#f7e3b5",
    "cancelled": "#dddddd",
}
SIGNS = {"open": "[ ]", "started": "[~]", "done": "[x]", "failed": "[✗]", "blocked": "[!]", "cancelled": "[-]"}
_MERMAID = str.maketrans({'"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " ", "#": "#35;", "`": "'"})


def as_text(graph: TaskGraph) -> str:
    """Return one line a task, in an order that can be worked off: sign, id, title, what it waits for."""
    lines = []
    for name in sorted_ids(graph):
        before = graph.before(name)
        behind = f"  <- {', '.join(before)}" if before else ""
        lines.append(f"{SIGNS[graph.tasks[name].state]} {name}  {graph.tasks[name].title}{behind}\n")
    return "".join(lines)


def as_mermaid(graph: TaskGraph) -> str:
    """Return a Mermaid flowchart; what a task waits for stands above it."""
    names = {name: f"t{at}" for at, name in enumerate(graph.tasks)}
    lines = ["flowchart TD"]
    for name, task in graph.tasks.items():
        label = f"{name}: {task.title}".translate(_MERMAID)
        lines.append(f'  {names[name]}["{label}"]:::{task.state}')
    lines += [f"  {names[one]} --> {names[name]}" for one, name in edges(graph)]
    lines += [f"  classDef {state} fill:{colour},stroke:#555,color:#111" for state, colour in COLOURS.items()]
    return "\n".join(lines) + "\n"


def as_dot(graph: TaskGraph) -> str:
    """Return a directed graph in Graphviz's language."""
    lines = ["digraph plan {", '  node [shape=box, style=filled, fontname="sans-serif"];']
    for name, task in graph.tasks.items():
        label = _quoted(f"{name}: {task.title}")
        lines.append(f"  {_quoted(name)} [label={label}, fillcolor={_quoted(COLOURS[task.state])}];")
    lines += [f"  {_quoted(one)} -> {_quoted(name)};" for one, name in edges(graph)]
    return "\n".join([*lines, "}"]) + "\n"


def edges(graph: TaskGraph) -> Iterator[tuple[str, str]]:
    """Yield (task waited for, task that waits), each once, in the order of the document."""
    for name in graph.tasks:
        for one in graph.before(name):
            yield one, name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
