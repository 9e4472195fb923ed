"""Boxes and rules that are conditions and no tasks: they are read, and never marked."""

from __future__ import annotations

import re

from executor.plan.formats import item_text
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.markdown_items import BOX, HASHES, REST, heading_text
from executor.plan.formats.model import OPEN, PlanTask
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.markdown_items import Lines

_GATE = lazy_regex.pattern(
    r"checkpoint|exit criteria|acceptance|definition of done|checklist|\bgates?\b|validation|success criteria",
    re.IGNORECASE,
)
_BOLD_LABEL = lazy_regex.pattern(rb"^[ \t]*\*\*([^*\n]+)\*\*:?[ \t\r]*$", re.MULTILINE)


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


def is_gate(lines: Lines, row: re.Match[bytes]) -> bool:
    """Return True for a box under a label or heading about conditions, such as a checkpoint."""
    over = lines.headings_over(row.start())
    labels = _BOLD_LABEL.findall(lines.data, over[-1].end() if over else 0, row.start())
    return bool(_GATE.search(item_text.decoded(labels[-1]) if labels else heading_text(over[-1]) if over else ""))
