"""`stats`: how many tasks are done, by section and by tag, with their estimates."""

from __future__ import annotations

from executor.cli import plan_graph
from executor.cli.options import JSON, PLAN, SELECTORS
from executor.plan import plan_stats
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.plan.plan_stats import Count

OPTIONS = (PLAN, *SELECTORS, JSON)


def run(args: Namespace) -> Verdict:
    """Print the counts."""
    tasks = plan_graph.selected(args)
    whole, sections, tags = plan_stats.count("all", tasks), plan_stats.by_section(tasks), plan_stats.by_tag(tasks)
    if args.json:
        parts = {"sections": [*map(_entry, sections)], "tags": [*map(_entry, tags)]}
        plan_graph.print_json(all=_entry(whole), **parts)
        return Verdict.PASSED
    lines = [_line(whole)]
    for title, counts in (("by section", sections), ("by tag", tags)):
        lines += ["", title, *(f"  {_line(one)}" for one in counts)] if counts else []
    plan_graph.print_lines(lines)
    return Verdict.PASSED


def _entry(one: Count) -> dict[str, Any]:
    return {"name": one.name, "total": one.total, **one.states, "hours": one.hours, "hours_done": one.hours_done}


def _line(one: Count) -> str:
    """Return `Setup: 3 of 5 done (60 %), 1 failed, 4.5 of 9 hours`."""
    share = f"{100 * one.states['done'] // one.total if one.total else 0} %"
    others = [f"{number} {state}" for state, number in one.states.items() if number and state not in ("done", "open")]
    hours = [f"{one.hours_done:g} of {one.hours:g} hours"] if one.hours else []
    return ", ".join([f"{one.name}: {one.states['done']} of {one.total} done ({share})", *others, *hours])
