"""The conditions that a step waits for: dependencies, order, alerts."""

from __future__ import annotations

from executor.engine.condition import is_skipped
from executor.engine.step_facts import is_done, newer_dependency
from executor.errors import SpecError
from executor.plan.dependencies import Standing, missing
from executor.store import runs
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.model import Edge
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.project_view import LazyBoxes, ProjectView
    from executor.store.step_state import StepState

ENDED_BADLY = ("failed", "timed_out", "cancelled", "lost")


class Hold(Record):
    """The reason why a step cannot start now.

    `job` is the step whose job it waits for, 0 for none. `needs` are the dependencies that have not reached the awaited
    state, `until` names that state.
    """

    job: StepId
    why: str
    needs: tuple[StepId, ...] = ()
    until: str = ""


def progress_of(view: ProjectView, number: StepId, box: Box | None = None) -> Standing:
    """Return the progress of a step; SpecError for a tick that the log contradicts."""
    if view.plan.tasks is not None and box is None and (box := view.boxes().get(number)) is None:
        return Standing()
    is_cancelled = view.plan.tasks is not None and box is not None and box.state == "-"
    done = is_cancelled or is_done(view, number, box) or _is_passed_over(view, number)
    state = view.state(number)
    return Standing(done, state.verdict == "started", bool(state.checkpoint))


def _is_passed_over(view: ProjectView, number: StepId) -> bool:
    """Return True for a step that its condition skips, once the step that the condition names is done."""
    is_defined = view.plan.defines(number)
    condition = view.step(number).condition if is_defined and is_skipped(view, number) else None
    other = next((one for one in view.plan.numbers if condition and str(one) == str(condition.step)), None)
    return other is not None and (is_done(view, other) or _is_passed_over(view, other))


def hold(view: ProjectView, number: StepId) -> Hold | None:
    """Return the alert or the written dependency that a requested step waits for, None when it can run."""
    blocker = blocking(view, number)
    if blocker:
        why = f"an alert of step {blocker} holds it; see: do-tasks --monitor"
        return Hold(blocker, why, until="the alert to clear")
    edges = tuple(edge for edge in view.step(number).depends_on if not edge.in_order)
    still = missing(edges, before=(), stand=lambda step: progress_of(view, step))
    if not still:
        return None
    needs = tuple(edge.step for edge in still)
    stuck = [edge for edge in still if not is_coming(view, edge.step)]
    if stuck:
        return Hold(0, f"it depends on {_how_they_are(view, stuck)}; run it first, or use --force", needs)
    until = awaited(still[0])
    return Hold(needs[0], f"it waits for {until} of step {needs[0]}, which is running", needs, until)


def awaited(edge: Edge) -> str:
    """Return the awaited state of a dependency in words."""
    return {"started": "the start", "first_checkpoint": "the first checkpoint"}.get(edge.until, "the end")


def blocking(view: ProjectView, number: StepId) -> StepId:
    """Return an earlier step whose job has an alert that holds later steps, 0 when there is none."""
    holding = [one for one, state in view.states.items() if state.verdict == "started" and _holds_others(state)]
    if not holding:
        return 0
    place = view.plan.place
    return next((one for one in view.plan.numbers if one in holding and place(one) < place(number)), 0)


def _holds_others(state: StepState) -> bool:
    return any(one.action == "block" for one in state.alerts)


def is_coming(view: ProjectView, number: StepId) -> bool:
    """Return True for a step whose job runs, starts up, or waits for its tick."""
    state = view.state(number)
    if state.verdict == "started" or (state.verdict == "passed" and state.job and not state.ticked):
        return True
    return not state.verdict and starts_up(view.root, state)


def starts_up(root: str, state: StepState) -> bool:
    """Return True for a job whose process was started and that is not logged as started yet."""
    return runs.is_job(root, state.task_id) and runs.newest_status(root, state.task_id).status in (
        "alive",
        "exited",
        "lost",
    )


def _how_they_are(view: ProjectView, stuck: list[Edge]) -> str:
    numbers = ", ".join(str(edge.step) for edge in stuck)
    state = view.state(stuck[0].step)
    if len(stuck) > 1 or state.verdict not in ENDED_BADLY:
        return f"step {numbers}, which is not done yet"
    reason = f" ({state.reason.splitlines()[0]})" if state.reason.strip() else ""
    return f"step {numbers}, which {'is lost' if state.verdict == 'lost' else 'did not pass'}{reason}"


def written(view: ProjectView, number: StepId) -> tuple[Edge, ...] | None:
    """Return the dependencies in `depends_on` of a step; None when there is no `depends_on`, and its place counts."""
    return view.step(number).depends_on if view.plan.places(number) else None


class Survey:
    """The progress of all steps, from one reading of SPEC.md and the log.

    `order` are the steps that later steps wait for: all defined steps, or the remaining steps of a run.
    """

    def __init__(
        self, view: ProjectView, boxes: Mapping[StepId, Box] | LazyBoxes, *, order: Iterable[StepId] | None = None
    ) -> None:
        self._view = view
        self._boxes = boxes
        numbers = view.plan.numbers if order is None else order
        self._gap = next((one for one in numbers if not self._in_order(one).reached("started")), None)

    def missing(self, number: StepId) -> tuple[Edge, ...]:
        """Return the dependencies that a step waits for: those in `depends_on`, without it the steps before it."""
        place = self._view.plan.place
        before = () if self._gap is None or place(self._gap) >= place(number) else (self._gap,)
        edges = written(self._view, number)
        return missing(edges, before=before, stand=self._in_order if edges is None else self._standing)

    def is_ready(self, number: StepId) -> bool:
        """Return True when a step waits for no other step and no alert."""
        return not (self.missing(number) or blocking(self._view, number))

    def _standing(self, number: StepId) -> Standing:
        box = self._boxes.get(number)
        if box is None:
            return Standing()
        try:
            return progress_of(self._view, number, box)
        except SpecError:  # a tick that the log contradicts makes no step ready; the decision reports it
            return Standing()

    def _in_order(self, number: StepId) -> Standing:
        """Return the progress of a step for the steps after it: a step that must run again is not done."""
        now = self._standing(number)
        return now.replace(done=False) if now.done and newer_dependency(self._view, number) else now
