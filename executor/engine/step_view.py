"""What would run for a step: the project is read, then the rules decide."""

from __future__ import annotations

from executor.engine.decide import (
    begun_again,
    contradicted,
    decide_box,
    decide_job,
    decide_open,
    decide_waiting,
    not_for_strict,
)
from executor.engine.runnable import refuse_unrunnable
from executor.errors import DefinitionError, SpecError
from executor.plan.runner_choice import AGENTS
from executor.store import log_reader, runs
from executor.store.changes import in_words, only_judges, since_passed
from executor.store.fingerprint import as_newest, who
from executor.store.project_view import box_of
from executor.store.task import Decision
from executor.store.ticks import is_enough_for_strict, tick_of
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import RunStatus

if TYPE_CHECKING:
    from executor.plan.model import Edge, Step
    from executor.plan.spec.spec_md import Box
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState

VERDICTS = ("StepPassed", "StepFailed", "StepInterrupted")


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
    step = desk.step(box.number)
    state = _as_they_count_now(step, state) if state.stood else state
    seen = runs.look(desk.root, state.task_id) if state.task_id else RunStatus()
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


def _begun(desk: ProjectView, state: StepState, seen: RunStatus, digest: str) -> Decision | None:
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
        if before < number and state.verdict == "started" and any(one.action == "block" for one in state.alerts):
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
