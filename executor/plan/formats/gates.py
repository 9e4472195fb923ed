"""Boxes and rules that are conditions and no tasks: they are read, and never marked."""

from __future__ import annotations

from executor.plan.formats import item_text
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.markdown_items import BOX, HASHES, REST, heading_text
from executor.plan.formats.model import OPEN, PlanTask
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    import re


def gate(path: str, plan: BoxPlan, row: re.Match[bytes]) -> PlanTask:
    """Return a box that is a condition: it is read, and never marked."""
    text = item_text.one_line(row[REST])
    state = plan.state_of(row[BOX]) or OPEN if not plan.lines.doubt(row.start()) else OPEN
    over = plan.lines.headings_over(row.start())
    section = heading_text(over[-1]) if over else ""
    line = plan.lines.line_of(row.start())
    return PlanTask(f"{path}:{line}", text, state, path, line, section=section, ambiguous="a gate, read only")


def gates_of(name: str, data: bytes) -> list[PlanTask]:
    """Return the boxes of a checklist, or the principles of a constitution."""
    plan = BoxPlan(name, data)
    if not name.endswith("constitution.md"):
        return [gate(name, plan, row) for row in plan.rows]
    rules = [one for one in plan.lines.headings if one[HASHES] == b"###"]
    found = ((heading_text(one), plan.lines.line_of(one.start())) for one in rules)
    return [
        PlanTask(f"{name}:{at}", text, OPEN, name, at, tags=("principle",), ambiguous="a gate, read only")
        for text, at in found
    ]
