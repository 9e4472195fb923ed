"""What can be known without running anything: the plan, the boxes, the log's states, the decision."""

from __future__ import annotations

from executor.engine.decide import (
    Decision,
    begun_again,
    contradicted,
    decide_box,
    decide_job,
    decide_open,
    decide_waiting,
    not_for_strict,
)
from executor.errors import DefinitionError, SpecError
from executor.plan.runner_choice import AGENTS
from executor.plan.spec import spec_md
from executor.store import consistent_read, log_reader, project, runs
from executor.store.changes import in_words, only_judges, since_passed
from executor.store.fingerprint import as_newest, made, who
from executor.store.sources import Sources
from executor.store.step_state import NEW, of_task, renumbered
from executor.store.ticks import is_enough_for_strict, moves, tick_of
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.model import Edge, Step
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.store.fingerprint import Known
    from executor.store.fingerprint_recipes import Made
    from executor.store.log_reader import LogState
    from executor.store.project import Project
    from executor.store.step_state import StepState

VERDICTS = ("StepPassed", "StepFailed", "StepInterrupted")


class ProjectView:
    """A project as it lies there: reading it changes nothing."""

    def __init__(self, here: Project, plan: Plan, recalled: LogState) -> None:
        self.project = here
        self.plan = plan
        self.recalled = recalled
        self.states = recalled.states
        self.strict = plan.settings.strict
        self.asked_runner = ""
        self.sources = Sources()
        self.made: dict[str, Made] = {}
        self._known: Known | None = None
        self._steps: dict[int, Step] = {}
        self.moved: dict[int, int] = {}

    @property
    def root(self) -> str:
        """Folder of SPEC.md, where commands run."""
        return self.project.root

    def boxes(self) -> dict[int, Box]:
        """Return SPEC.md's boxes by number, as of the moment that `states` then tell of."""
        return boxes_in(self.spec_bytes())

    def spec_bytes(self) -> bytes:
        """Return SPEC.md's bytes; what the log says of the same moment is taken in."""
        data, recalled = consistent_read.read(self.root, self.project.spec, self.recalled)
        self.take_in(recalled)
        return data

    def take_in(self, recalled: LogState) -> None:
        """Go by this fold of the log from now on; what `follow_numbers` found still holds."""
        self.recalled = recalled
        self.states = renumbered(recalled.states, self.moved) if self.moved else recalled.states

    def follow_numbers(self, boxes: Mapping[int, Box]) -> dict[int, int]:
        """Move the states of steps that were renumbered to their new numbers; return the old number of each."""
        moved = moves(boxes, self.states)
        self.states = renumbered(self.states, moved) if moved else self.states
        self.moved = {**self.moved, **moved}
        return moved

    def task_state(self, number: int, task_id: str) -> StepState:
        """Return the state of the step that a task belongs to, whatever number the step has by now."""
        return of_task(self.states, number, task_id)

    def near_misses(self) -> dict[int, str]:
        """Return, for steps without a line, what to say of the line that nearly is theirs."""
        return spec_md.near_misses(self.spec_bytes())

    def step(self, number: int) -> Step:
        """Return a defined step, built once."""
        if number not in self._steps:
            self._steps[number] = self.plan.step(number)
        return self._steps[number]

    def for_reading(self) -> ProjectView:
        """Take what lies there as it is now, each file looked at once, and known again by the next verb that reads."""
        self.sources = Sources(self.project.path(project.STATE_FOLDER, "cache", "sources.json"))
        self._known = {}
        return self

    def changed(self, number: int, box: Box | None) -> tuple[str, ...]:
        """Return what of a ticked step has changed since it passed."""
        return since_passed(self, number, box, self._known)

    def make(self, step: Step, runner: str) -> Made:
        """Return what MAIN does as it is now, and keep what its digest is made of."""
        now = made(self, step, runner=runner, known=self._known)
        self.made[now.digest] = now
        return now

    def read_again(self) -> None:
        """Take the plan as it lies there now."""
        self.project = project.find(self.project.root)
        self.plan, _ = project.load(self.project, for_run=True)
        self._steps = {}

    def state(self, number: int) -> StepState:
        """Return what the log says of a step."""
        return self.states.get(number, NEW)


def boxes_in(data: bytes) -> dict[int, Box]:
    """Return the boxes of SPEC.md's bytes by number."""
    return {box.number: box for box in spec_md.boxes(data)}


def decide(
    desk: ProjectView, number: int, *, rerun: bool = False, heed_stale: bool = False, box: Box | None = None
) -> Decision:
    """Return what would run for a defined step and why; starts nothing, writes nothing."""
    box = box or box_of(desk, number)
    state = desk.state(number)
    stale = outrun(desk, number) if heed_stale and not begun_again(box, state) else 0
    changed = reopened(desk, number, box) if heed_stale and not stale else ()
    settled = decide_box(box, state, rerun=rerun)
    if settled and not rerun and _is_elsewhere(desk, box):
        return not_for_strict(box)
    again = bool(changed) or (stale and state.passed_at)
    if settled and not (again and settled.action == "done") and not not_enough(desk, box):
        return _held_against_log(desk, box, state, settled)
    return _decide_unsettled(desk, box, state, rerun=rerun, stale=stale, changed=changed)


def _decide_unsettled(
    desk: ProjectView, box: Box, state: StepState, *, rerun: bool, stale: int, changed: tuple[str, ...]
) -> Decision:
    from executor.engine.runnable import refuse_unrunnable

    step = desk.step(box.number)
    state = _as_they_count_now(step, state) if state.stood else state
    seen = runs.look(desk.root, state.task_id) if state.task_id else Seen()
    runner = who(desk, step).runner
    digest = desk.make(step, runner).digest
    recorded = state
    state, seen = as_newest(desk, step, digest, state, seen)
    if changed and only_judges(changed):
        state = state.replace(verdict="failed", failed_in="POST")  # for POST alone to be run again
    begun = None if rerun else _begun(desk, state, seen, digest)
    if begun:
        return begun
    refuse_unrunnable(desk, step)
    decision = decide_open(
        state,
        seen,
        digest=digest,
        on_lost=step.main.on_lost if step.main else "rerun",
        dependency_place=max((desk.state(need).main_place for need in finished_needs(step)), default=0),
        rerun=rerun or bool(stale) or not only_judges(changed),
        by_agent=runner in AGENTS,
    )
    if seen.status == "alive" and decision.main != "adopt":
        decision = decision.replace(stop_run=seen.run)
    why = f"step {stale}, which it depends on, passed after it" if stale else in_words(changed) or decision.why
    how = "after a person accepted its judges" if tick_of(box, recorded) == "accepted" else "by hand"
    why = f"ticked {how}, which is not enough for strict; {why}" if not_enough(desk, box) else why
    digest = seen.digest if decision.main == "adopt" and seen.digest else digest
    return decision.replace(why=why, digest=_begun_with(decision, digest, state, recorded))


def _as_they_count_now(step: Step, state: StepState) -> StepState:
    """Return the state without alerts that failed the step while their monitors have `at_end: note` by now."""
    from executor.monitoring.alerts import failing_alerts

    return state if failing_alerts(state.stood, step.background) else state.replace(stood=())


def _begun(desk: ProjectView, state: StepState, seen: Seen, digest: str) -> Decision | None:
    """Return how a task goes on that others have in hand: a job without a verdict, a brief that is out."""
    attended = decide_job(state, seen, digest=digest) if runs.is_job(desk.root, state.task_id) else None
    return attended or decide_waiting(state, digest=digest)


def _begun_with(decision: Decision, digest: str, state: StepState, recorded: StepState) -> str:
    """Return the digest that a task carries on: as its MAIN or its beginning recorded it, while that is the same."""
    if decision.main == "reuse" and state.main_digest == digest:
        return recorded.main_digest
    return recorded.digest if decision.task_id and state.digest == digest else digest


def reopened(desk: ProjectView, number: int, box: Box) -> tuple[str, ...]:
    """Return what has changed of a ticked step, where that opens it again."""
    return desk.changed(number, box) if desk.plan.settings.on_change == "reopen" else ()


def _held_against_log(desk: ProjectView, box: Box, state: StepState, settled: Decision) -> Decision:
    """Return the decision for a tick, with what the whole log says of its task: the fold only knows the newest ones.

    SpecError for a tick with the id of an older task that did not pass.
    """
    mark = box.mark
    if box.state != "x" or mark is None or mark.kind != "passed" or tick_of(box, state) != "elsewhere":
        return settled
    ends = [line for line in log_reader.task_lines(desk.root, mark.task_id) if line.get("event") in VERDICTS]
    if not ends:
        return settled
    if ends[-1]["event"] != "StepPassed":
        raise contradicted(box, verdict=str(ends[-1].get("status")), reason=str(ends[-1].get("reason")))
    number = ends[-1].get("step")
    whose = f"a task of step {number}" if number != box.number else "a pass before the last ones"
    return settled.replace(why=f"ticked with {mark.task_id}, {whose}")


def is_done(desk: ProjectView, number: int, box: Box | None = None) -> bool:
    """Tell whether a dependency is ticked well enough; SpecError for a tick that the log contradicts."""
    box = box or box_of(desk, number)
    decide_box(box, desk.state(number), rerun=False)
    return box.state == "x" and not not_enough(desk, box)


def awaited(edge: Edge) -> str:
    """Return what is waited for, in words."""
    return {"started": "the start", "first_checkpoint": "the first checkpoint"}.get(edge.until, "the end")


def blocking(desk: ProjectView, number: int) -> int:
    """Return an earlier step whose job has an alert that holds later steps, 0 when there is none."""
    for before in desk.plan.numbers:
        state = desk.state(before)
        if before < number and state.verdict == "started" and any(one.startswith("block ") for one in state.alerts):
            return before
    return 0


def finished_needs(step: Step) -> list[int]:
    """Return the dependencies whose end counts: a step that takes a first checkpoint is not outrun by the last."""
    return [edge.step for edge in step.depends_on if edge.until == "finished"]


def decide_or_refuse(
    desk: ProjectView, number: int, *, rerun: bool = False, heed_stale: bool = False, box: Box | None = None
) -> Decision:
    """Decide where many are asked for: a step that cannot run does not hide the others."""
    try:
        return decide(desk, number, rerun=rerun, heed_stale=heed_stale, box=box)
    except (DefinitionError, SpecError) as error:
        return Decision("refused", str(error))


def not_enough(desk: ProjectView, box: Box) -> bool:
    """Return True for a tick that strict does not take: by hand, with evidence elsewhere, or rechecked in part."""
    if not desk.strict or box.state != "x":
        return False
    return not is_enough_for_strict(box, desk.state(box.number)) or _moved_to_another(desk, box)


def _moved_to_another(desk: ProjectView, box: Box) -> bool:
    """Return True for a tick that came from another number, where MAIN is not what that task did."""
    if not desk.state(box.number).was:
        return False
    return not only_judges(since_passed(desk, box.number, box))


def _is_elsewhere(desk: ProjectView, box: Box) -> bool:
    tick = tick_of(box, desk.state(box.number))
    return not_enough(desk, box) and (tick in ("elsewhere", "rechecked") or _moved_to_another(desk, box))


def outrun(desk: ProjectView, number: int) -> int:
    """Return a written dependency that passed after this step did, 0 when there is none."""
    mine = desk.state(number).passed_place if desk.plan.gated(number) else 0
    needs = finished_needs(desk.step(number)) if mine else []
    later = (need for need in needs if desk.state(need).passed_place > mine)
    return next(later, 0)


def box_of(desk: ProjectView, number: int) -> Box:
    """Return a step's line in SPEC.md; SpecError when it has none or two."""
    data = desk.spec_bytes()
    try:
        return spec_md.find(data, number)
    except SpecError as error:
        near = number in spec_md.near_misses(data)
        if near or number not in desk.plan.numbers or any(box.number == number for box in spec_md.boxes(data)):
            raise
        raise SpecError(f"{error}, or run: do-tasks --step {number} --append") from None
