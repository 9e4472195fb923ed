"""A plan's graph as text, Mermaid, DOT and SVG."""

from __future__ import annotations

from executor.plan.task_graph import sorted_ids
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from executor.plan.task_graph import TaskGraph

COLOURS = {
    "open": "#ffffff",
    "started": "#cfe3ff",
    "done": "#cfeccf",
    "failed": "#f6c9c9",
    "blocked": "#f7e3b5",
    "cancelled": "#dddddd",
}
WIDTH, HEIGHT, GAP = 220, 44, 36  # of a box and between boxes, in pixels
SIGNS = {"open": "[ ]", "started": "[~]", "done": "[x]", "failed": "[✗]", "blocked": "[!]", "cancelled": "[-]"}
_MERMAID = str.maketrans({'"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " ", "#": "#35;", "`": "'"})


def as_text(graph: TaskGraph) -> str:
    """Return one line a task, in an order that can be worked off: sign, id, title, what it waits for."""
    lines = []
    for name in sorted_ids(graph):
        before = graph.before(name)
        behind = f"  <- {', '.join(before)}" if before else ""
        lines.append(f"{SIGNS[graph.tasks[name].state]} {graph.tasks[name].label}{behind}\n")
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


def as_svg(graph: TaskGraph) -> str:
    """Return an SVG image, placed in layers by the package grandalf (extra `graph`)."""
    from xml.etree import ElementTree as ET

    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    vertices = {name: Vertex(name) for name in graph.tasks}
    for vertex in vertices.values():
        vertex.view = _Box()
    drawn = Graph(
        [*vertices.values()], [Edge(vertices[one], vertices[name]) for one, name in edges(graph) if one != name]
    )
    left = 0.0
    for part in drawn.C:
        layout = SugiyamaLayout(part)
        layout.xspace, layout.yspace = GAP, GAP
        layout.init_all()
        layout.draw()
        least = min(vertex.view.xy[0] for vertex in part.sV)
        for vertex in part.sV:
            vertex.view.xy = (vertex.view.xy[0] - least + left, vertex.view.xy[1])
        left = max(vertex.view.xy[0] for vertex in part.sV) + WIDTH + GAP
    return ET.tostring(_image(graph, {name: one.view.xy for name, one in vertices.items()}), "unicode") + "\n"


class _Box:
    """The size of a vertex, and its centre once it is placed, in pixels."""

    def __init__(self) -> None:
        self.w, self.h = WIDTH, HEIGHT
        self.xy = (0.0, 0.0)


def _image(graph: TaskGraph, places: Mapping[str, tuple[float, float]]) -> Element:
    """Return the image with each box at its place, its centre given in pixels."""
    from xml.etree.ElementTree import Element, SubElement

    left = min((x for x, _ in places.values()), default=0.0) - WIDTH / 2 - GAP
    top = min((y for _, y in places.values()), default=0.0) - HEIGHT / 2 - GAP
    right = max((x for x, _ in places.values()), default=0.0) + WIDTH / 2 + GAP
    bottom = max((y for _, y in places.values()), default=0.0) + HEIGHT / 2 + GAP
    image = Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"{left:g} {top:g} {right - left:g} {bottom - top:g}"
    )
    for one, name in edges(graph):
        (x1, y1), (x2, y2) = places[one], places[name]
        SubElement(
            image, "path", d=f"M{x1:g} {y1 + HEIGHT / 2:g} L{x2:g} {y2 - HEIGHT / 2:g}", stroke="#555", fill="none"
        )
    for name, (x, y) in places.items():
        box = SubElement(image, "g", id=name)
        size = {"width": str(WIDTH), "height": str(HEIGHT), "x": f"{x - WIDTH / 2:g}", "y": f"{y - HEIGHT / 2:g}"}
        SubElement(box, "rect", size, rx="6", fill=COLOURS[graph.tasks[name].state], stroke="#555")
        label = SubElement(box, "text", {"x": f"{x:g}", "y": f"{y + 4:g}", "text-anchor": "middle", "font-size": "12"})
        label.text = _short(f"{name}: {graph.tasks[name].title}")
        SubElement(box, "title").text = graph.tasks[name].title
    return image


def _short(text: str, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
