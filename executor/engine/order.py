"""What holds the steps of a plan now: dependencies, order, alerts."""

from __future__ import annotations

from executor.engine.step_view import awaited, blocking, is_done, outrun
from executor.errors import SpecError
from executor.plan.dependencies import Standing, missing
from executor.store import runs
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.model import Edge
    from executor.plan.spec.spec_md import Box
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState

ENDED_BADLY = ("failed", "timed_out", "cancelled", "lost")


class Hold(Record):
    """Why a step cannot start now: `job` is the step whose job will let it go, 0 when that takes more than a job.

    `needs` are the steps that it depends on and that have not come far enough.
    """

    job: int
    why: str
    needs: tuple[int, ...] = ()
    until: str = ""


def standing(desk: ProjectView, number: int, box: Box | None = None) -> Standing:
    """Return how far a step has come; SpecError for a tick that the log contradicts."""
    done = is_done(desk, number, box)
    state = desk.state(number)
    return Standing(done, state.verdict == "started", bool(state.checkpoint))


def hold(desk: ProjectView, number: int) -> Hold | None:
    """Return what keeps a chosen step from running, None when nothing does: an alert, or a written dependency."""
    blocker = blocking(desk, number)
    if blocker:
        why = f"an alert of step {blocker} holds it; see: do-tasks --monitor"
        return Hold(blocker, why, until="the alert to clear")
    edges = desk.step(number).depends_on
    still = missing(edges, before=(), stand=lambda step: standing(desk, step))
    if not still:
        return None
    needs = tuple(edge.step for edge in still)
    stuck = [edge for edge in still if not is_coming(desk, edge.step)]
    if stuck:
        return Hold(0, f"it depends on {_how_they_are(desk, stuck)}; run it first, or use --force", needs)
    until = awaited(still[0])
    return Hold(needs[0], f"it waits for {until} of step {needs[0]}, which is running", needs, until)


def is_coming(desk: ProjectView, number: int) -> bool:
    """Return True when a job brings the step on by itself: it runs, starts up, or waits for its tick."""
    state = desk.state(number)
    if state.verdict == "started" or (state.verdict == "passed" and state.job and not state.ticked):
        return True
    return not state.verdict and starts_up(desk.root, state)


def starts_up(root: str, state: StepState) -> bool:
    """Return True for a job that was let go and is not said to be started yet."""
    return runs.is_job(root, state.task_id) and runs.look(root, state.task_id).status in ("alive", "exited", "lost")


def _how_they_are(desk: ProjectView, stuck: list[Edge]) -> str:
    numbers = ", ".join(str(edge.step) for edge in stuck)
    state = desk.state(stuck[0].step)
    if len(stuck) > 1 or state.verdict not in ENDED_BADLY:
        return f"step {numbers}, which is open"
    said = f" ({state.reason.splitlines()[0]})" if state.reason.strip() else ""
    return f"step {numbers}, which {'is lost' if state.verdict == 'lost' else 'did not pass'}{said}"


def written(desk: ProjectView, number: int) -> tuple[Edge, ...] | None:
    """Return a step's edges as `depends_on` has them, None when the plan names none: then its place in order counts."""
    return desk.step(number).depends_on if desk.plan.places(number) else None


class Survey:
    """The steps of a plan as of one look at SPEC.md and the log, for questions about all of them.

    `order` are those that hold who comes after them: all that are defined, or those that a run has yet to take.
    """

    def __init__(self, desk: ProjectView, boxes: Mapping[int, Box], *, order: Iterable[int] | None = None) -> None:
        self._desk = desk
        self._boxes = boxes
        numbers = desk.plan.numbers if order is None else order
        self._gap = next((one for one in numbers if not self._in_order(one).reached("started")), None)

    def missing(self, number: int) -> tuple[Edge, ...]:
        """Return what a step waits for still: of its written edges, else of the steps before it."""
        before = () if self._gap is None or self._gap >= number else (self._gap,)
        edges = written(self._desk, number)
        return missing(edges, before=before, stand=self._in_order if edges is None else self._standing)

    def is_ready(self, number: int) -> bool:
        """Return True when a step waits for no other step and no alert."""
        return not (self.missing(number) or blocking(self._desk, number))

    def _standing(self, number: int) -> Standing:
        if number not in self._boxes:
            return Standing()
        try:
            return standing(self._desk, number, self._boxes[number])
        except SpecError:  # a tick that the log contradicts is told elsewhere; it makes nothing ready
            return Standing()

    def _in_order(self, number: int) -> Standing:
        """Return how far a step has come for those behind it: one that must run again is not done."""
        now = self._standing(number)
        return now.replace(done=False) if now.done and outrun(self._desk, number) else now
