"""How criteria, and what becomes of SPEC.md, read in the transcript."""

from __future__ import annotations

from executor.store.ticks import SIGNS
from executor.system.records import TYPE_CHECKING
from executor.system.text import one_line as brief

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Line = Mapping[str, Any]


def _criterion(line: Line) -> list[str]:
    sign = SIGNS.get(line["standing"], SIGNS["failed"])
    evidence = f" ({brief(line['evidence'])})" if line["evidence"] else ""
    fix = [f"       fix: {line['fix']}"] if line["fix"] else []
    return [f"[POST] {sign} {line['criterion']}: {line['standing']}{evidence}", *fix]


def _passed(line: Line) -> list[str]:
    if not line.get("uncontained"):
        return []
    return ["", "[SPEC] Uncontained: the agent could do what you can, also to what proves its work"]


def _ticked(line: Line) -> list[str]:
    return [
        "",
        f"[SPEC] ✓ Updated SPEC.md - Step {line['step']} marked complete",
        f"       Added task_id: {line['task_id']} for log searching",
    ]


def _marked(line: Line) -> list[str]:
    if line["status"] == "started":
        return [f"[SPEC] ⏳ Step {line['step']} marked started in SPEC.md; the box is ticked at its end"]
    if line["status"] == "passed":
        return ["", f"[SPEC] {SIGNS['rechecked']} Step {line['step']} marked rechecked in SPEC.md"]
    return ["", f"[SPEC] ✗ Step {line['step']} stays open in SPEC.md: {line['text']}"]


def _rechecked(line: Line) -> list[str]:
    if line["status"] == "passed":
        return []
    return [f"[POST] ✗ Step {line['step']} does not hold here: {brief(line['reason'])}; its tick stays as it was"]


SAYINGS: dict[str, Callable[[Line], list[str]]] = {
    "CriterionJudged": _criterion,
    "SpecLineAppended": lambda line: [f"[SPEC] ✓ Added the line of step {line['step']} to SPEC.md"],
    "SpecLineMissing": lambda line: [
        f"Note: SPEC.md has no line of step {line['step']}, which passed; when it is back it is ticked from the log."
    ],
    "StepPassed": _passed,
    "SpecTicked": _ticked,
    "SpecMarked": _marked,
    "StepRechecked": _rechecked,
    "StepsRenumbered": lambda line: [f"Step numbers have changed: {', '.join(line['moves'])}; ticks go with them."],
    "JudgesChanged": lambda line: [f"What judges step {line['step']} changed since its brief: nothing runs."],
    "JudgesAccepted": lambda line: [f"[SPEC] ◆ What judges step {line['step']} is accepted by {line['by']}."],
    "HandTickSeen": lambda line: [f"Step {line['step']} was ticked by hand; noted."],
    "HandUntickSeen": lambda line: [f"Step {line['step']} was opened by hand; it runs again."],
}
