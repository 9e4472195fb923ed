"""Done tasks of Flow, moved below the heading of the completed ones."""

from __future__ import annotations

from executor.plan.formats import item_text
from executor.plan.formats.flow_nodes import COMPLETED
from executor.plan.formats.markdown_items import HASHES, heading_text
from executor.plan.formats.model import DONE, MarkError
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    from executor.plan.formats.flow import FlowPlan


def archived(plan: FlowPlan) -> tuple[bytes, list[str]]:
    """Return the file with done tasks behind the heading of the completed ones, and what was moved.

    A task moves when all below it is done. MarkError when there is no such heading.
    """
    wanted = [place for place in range(len(plan.rows)) if _is_movable(plan, place)]
    heading = next((one for one in plan.lines.headings if COMPLETED.search(heading_text(one))), None)
    if heading is None:
        raise MarkError(f"{plan.path}: it has no heading such as `## Completed Tasks` for finished tasks: add one")
    spans = [(plan.lines.line_start(plan.rows[place].start()), _end(plan, plan.rows[place])) for place in wanted]
    if not spans:
        return plan.data, []
    at = plan.data.find(b"\n", heading.start()) + 1 or len(plan.data)
    moved = b"".join(_with_end(plan.data[start:end]) for start, end in spans)
    parts, since = [], 0
    for start, end, new in sorted([*((start, end, b"") for start, end in spans), (at, at, _apart(plan, at, moved))]):
        parts += [plan.data[since:start], new]
        since = end
    return b"".join([*parts, plan.data[since:]]), [f"{plan.ids[place]}  {plan.title(place)}" for place in wanted]


def _is_movable(plan: FlowPlan, place: int) -> bool:
    """Return True for a done item at the top, outside the completed ones, below which all is done."""
    node = plan.nodes[place]
    if node.parent or plan.state(place) != DONE or place in plan.doubts or COMPLETED.search(node.section):
        return False
    if plan.rows[place][HASHES]:
        return False
    below = [at for at in range(len(plan.rows)) if _top(plan, at) == place]
    return all(plan.state(at) == DONE for at in below)


def _top(plan: FlowPlan, place: int) -> int:
    node = plan.nodes[place]
    while node.parent:
        node = node.parent
    return plan.place_of_node[node]


def _end(plan: FlowPlan, row: re.Match[bytes]) -> int:
    """Return the offset behind the last line of an item and all below it."""
    end = item_text.block_end(plan.lines, row.start(), len(plan.data))
    at = plan.data.find(b"\n", end) + 1
    return at or len(plan.data)


def _with_end(block: bytes) -> bytes:
    return block if block.endswith(b"\n") else block + b"\n"


def _apart(plan: FlowPlan, at: int, moved: bytes) -> bytes:
    """Return the moved lines with a blank line between them and the heading, where one stands below it."""
    eol = b"\r\n" if b"\r\n" in plan.data else b"\n"
    return moved if plan.data[at : at + 1] in (b"-", b"*", b"+") else eol + moved
