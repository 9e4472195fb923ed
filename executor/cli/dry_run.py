"""`--dry-run`: what would run, in which order, and why; runs nothing."""

from __future__ import annotations

from executor.cli import param_values
from executor.cli.output.screen import print_json
from executor.cli.requested_steps import requested, will_outrun
from executor.engine.order import Survey, awaited, blocking, written
from executor.engine.step_facts import decide_or_refuse
from executor.store import log_reader, project
from executor.store.changes import describe_changes
from executor.store.project_view import ProjectView
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.plan.model import Edge
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.task import Decision


def dry_run(here: project.Project, args: Namespace) -> Verdict:
    """Print one line for each step that the same options without --dry-run would run."""
    plan, _ = project.load(here)
    recalled = log_reader.recall(here.root)
    view = ProjectView(here, plan, recalled, strict=args.strict, asked_runner=args.runner).for_reading()
    view.given = param_values.given(view, args, param_values.read_rows(args))
    boxes = view.boxes()
    numbers, notes = requested(view, boxes, args)
    view.given = view.given.replace(anew=frozenset(numbers) if args.rerun else frozenset())
    forecast = Forecast(view, boxes, numbers)
    rows = []
    for number in numbers:
        decision = _decided(view, number, args, numbers)
        gate = "" if args.force else forecast.gate(number, decision)
        title = boxes[number].title if number in boxes else plan.title(number)
        row = {"step": number, "title": title, "action": decision.action, "main": decision.main}
        rows.append(row | _noted(view, decision, boxes.get(number), gate))
    verdict = Verdict.INVALID if any(row["action"] == "refused" for row in rows) else Verdict.PASSED
    if args.json:
        print_json({"steps": rows, "notes": notes})
        return verdict
    for row in rows:
        how = "" if row["main"] == "run" else f", MAIN {row['main']}"
        print(f"step {row['step']}: {row['action']}{how} - {clean_control(str(row['why']))}")
    print("\n".join(notes), end="\n" if notes else "")
    return verdict


def _decided(view: ProjectView, number: StepId, args: Namespace, before: list[StepId]) -> Decision:
    """Decide for one step as it will stand when those before it have run."""
    decision = decide_or_refuse(view, number, rerun=args.rerun, reopen_stale=not args.step)
    first = 0 if args.step or decision.action != "done" else will_outrun(view, number, before)
    why = f"step {first}, which it depends on, runs before it"
    return decision.replace(action="run", why=why) if first else decision


def _noted(view: ProjectView, decision: Decision, box: Box | None, gate: str) -> dict[str, Any]:
    """Return the reason of a decision, and the parts of a step that changed since it passed."""
    changed = view.changed(box.number, box) if box else ()
    since = describe_changes(changed) if decision.action == "done" else ""
    return {"why": "; ".join(filter(None, (decision.why, since))) + gate, "changed": [*changed]}


class Forecast:
    """The waits of the steps in a run; `gate` is called in the order of the run."""

    def __init__(self, view: ProjectView, boxes: dict[StepId, Box], numbers: list[StepId]) -> None:
        self._view = view
        self._numbers = numbers
        self._survey = Survey(view, boxes, order=())
        self._late: list[StepId] = []

    def gate(self, number: StepId, decision: Decision) -> str:
        """Return the wait of a step in words: for a step outside this run, a job, or a step that waits itself."""
        if decision.action not in ("run", "skip"):
            return ""
        edges = self._survey.missing(number)
        never = [str(edge.step) for edge in edges if not self._comes(edge)]
        if never:
            return f"; but it waits for step {', '.join(never)}"
        waits = self._waits(number, edges)
        if waits:
            self._late.append(number)
            return waits
        return f"; it runs while step {self._late[0]} waits" if self._late else ""

    def _waits(self, number: StepId, edges: tuple[Edge, ...]) -> str:
        blocker = blocking(self._view, number)
        if blocker:
            return f"; it waits for an alert of step {blocker} to clear"
        if written(self._view, number) is None:
            return f"; it comes after step {self._late[0]}" if self._late else ""
        slow = [edge for edge in edges if edge.step in self._late or self._is_slow(edge)]
        return "".join(f"; it waits for {awaited(edge)} of step {edge.step}" for edge in slow)

    def _comes(self, edge: Edge) -> bool:
        return edge.step in self._numbers or self._view.state(edge.step).verdict == "started"

    def _is_slow(self, edge: Edge) -> bool:
        """Return True for more than the start of a job: the run itself waits for the start."""
        return edge.until != "started" and self._view.plan.step(edge.step).is_job
