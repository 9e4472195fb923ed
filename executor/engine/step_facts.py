"""Reads the facts about a step: its line, the log, the runs on disk, the plan as it is now."""

from __future__ import annotations

from functools import partial

from executor.engine.condition import why_skipped
from executor.engine.decide import decide, refuse_contradicted
from executor.engine.step_view import MainView, StepView
from executor.errors import DefinitionError, Problem, SpecError
from executor.plan.runner_choice import AGENTS
from executor.store import log_reader, runs
from executor.store.changes import only_judges, since_passed
from executor.store.fingerprint import READY, by_newest_recipe, runner_for
from executor.store.project import script_path
from executor.store.project_view import box_of
from executor.store.step_values import problem_with_values
from executor.store.task import Decision
from executor.store.ticks import begun_again, is_enough_for_strict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import RunStatus

if TYPE_CHECKING:
    from typing import Any

    from executor.plan.model import Main, Settings, Step
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.fingerprint import KnownFingerprints
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState

VERDICTS = ("StepPassed", "StepFailed", "StepInterrupted")


def view_of(
    view: ProjectView,
    number: StepId,
    *,
    rerun: bool = False,
    reopen_stale: bool = False,
    box: Box | None = None,
    force: bool = False,
) -> StepView:
    """Return the facts about a defined step; no process is started, no file written.

    `reopen_stale` also opens a step that a dependency has passed after, or that has changed where the plan says
    `on_change: reopen`. With `force` no condition skips it.
    """
    box = box or box_of(view, number)
    state, known = view.state(number), view.known_fingerprints()
    newer = newer_dependency(view, number) if reopen_stale and not begun_again(box, state) else 0
    changed = changes_that_reopen(view, number, box, known) if reopen_stale and not newer else ()
    return StepView(
        box,
        state,
        read_main=partial(_main_view, view, box, changed, known),
        read_older_verdict=partial(_last_verdict, view, box),
        rerun=rerun,
        is_enough=is_enough(view, box, known),
        is_of_other_work=is_of_other_work(view, box, known),
        newer_dependency=newer,
        changed=changed,
        read_skip=str if force else partial(why_skipped, view, number),
    )


def decide_or_refuse(
    view: ProjectView, number: StepId, *, rerun: bool = False, reopen_stale: bool = False, box: Box | None = None
) -> Decision:
    """Return the decision for one of many steps; `refused` for a step that cannot run, so that the rest are shown."""
    try:
        return decide(view_of(view, number, rerun=rerun, reopen_stale=reopen_stale, box=box))
    except (DefinitionError, SpecError) as error:
        return Decision("refused", str(error))


def _main_view(view: ProjectView, box: Box, changed: tuple[str, ...], known: KnownFingerprints) -> MainView:
    step, recorded = view.step(box.number), view.state(box.number)
    seen = runs.newest_status(view.root, recorded.task_id) if recorded.task_id else RunStatus()
    runner = runner_for(view, step).runner
    fingerprint = view.make(step, runner, known).digest
    state, seen = by_newest_recipe(view, step, fingerprint, _without_ignored_alerts(step, recorded), seen)
    if step.main and step.main.matrix:
        seen = seen.replace(digest=state.digest)  # a run has the fingerprint of its cell, which the cell compares
    if changed and only_judges(changed):
        state = state.replace(verdict="failed", failed_in="POST")  # so that POST alone runs again
    return MainView(
        state,
        seen,
        fingerprint,
        is_job=runs.is_job(view.root, state.task_id),
        by_agent=runner in AGENTS,
        on_lost=step.main.on_lost if step.main else "rerun",
        dependency_place=max((view.state(need).main_place for need in finished_needs(step)), default=0),
        problem=_problem_of(view, step, runner),
    )


def _last_verdict(view: ProjectView, box: Box) -> dict[str, Any]:
    task_id = box.mark.task_id if box.mark else ""
    ends = [line for line in log_reader.task_lines(view.root, task_id) if line.get("event") in VERDICTS]
    return ends[-1] if ends else {}


def _without_ignored_alerts(step: Step, state: StepState) -> StepState:
    """Return the state without alerts that failed the step while their monitors have `at_end: note` by now."""
    if not state.stood:
        return state
    from executor.monitoring.alerts import failing_alerts

    return state if failing_alerts(state.stood, step.background) else state.replace(stood=())


def _problem_of(view: ProjectView, step: Step, runner: str) -> Problem | None:
    """Return the reason why a step cannot run as it is written, None when it can."""
    main = step.main
    if main is None or not (main.script or main.command or main.agent or main.runner):
        message = "nothing to run: give it a script or a command"
    elif main.script and not script_path(view.project, main.script) and runner not in AGENTS:
        message = f"script {main.script} is neither at the root nor in scripts/; write it, or mend the name"
    else:
        message = beyond_this_version(main, view.plan.settings)
    if not message and view.plan.settings.params:
        return problem_with_values(view, step)
    key = step.slug if isinstance(step.number, str) else f"step_{step.number}_{step.slug}"
    return Problem(view.project.definitions, message, path=f"{key}.main") if message else None


def beyond_this_version(main: Main, settings: Settings) -> str:
    """Return the part of a MAIN that this version does not support, with a remedy; empty when it supports all."""
    runner = main.runner or settings.runner
    if runner == "command" and not (main.script or main.command):
        return "runner: command needs a script or a command in main; for a step that you do by hand, set runner: host"
    if runner and runner not in READY:
        return f"runner {runner!r} is not part of this version; set another, or remove it and the script runs"
    return ""


def is_done(view: ProjectView, number: StepId, box: Box | None = None) -> bool:
    """Return True for a dependency that is ticked well enough; SpecError for a tick that the log contradicts."""
    box = box or box_of(view, number)
    refuse_contradicted(box, view.state(number))
    return box.state == "x" and is_enough(view, box)


def is_enough(view: ProjectView, box: Box, known: KnownFingerprints | None = None) -> bool:
    """Return False for a tick that strict does not accept: its evidence is not complete here, or is of another MAIN."""
    if not view.strict or box.state != "x":
        return True
    return is_enough_for_strict(box, view.state(box.number)) and not is_of_other_work(view, box, known)


def is_of_other_work(view: ProjectView, box: Box, known: KnownFingerprints | None = None) -> bool:
    """Return True when strict holds and the tick of a renumbered step is of another MAIN than the present one."""
    if not (view.strict and box.state == "x" and view.state(box.number).was):
        return False
    return not only_judges(since_passed(view, box.number, box, known))


def changes_that_reopen(
    view: ProjectView, number: StepId, box: Box, known: KnownFingerprints | None = None
) -> tuple[str, ...]:
    """Return the changes of a ticked step that open it again; () unless the plan says `on_change: reopen`."""
    return view.changed(number, box, known) if view.plan.settings.on_change == "reopen" else ()


def finished_needs(step: Step) -> list[StepId]:
    """Return the dependencies with `until: finished`; a step that waits for a first checkpoint needs no later one."""
    return [edge.step for edge in step.depends_on if edge.until == "finished" and not edge.in_order]


def newer_dependency(view: ProjectView, number: StepId) -> StepId:
    """Return a written dependency that passed after this step did, 0 when there is none."""
    place = view.state(number).passed_place if view.plan.gated(number) else 0
    needs = finished_needs(view.step(number)) if place else []
    return next((need for need in needs if view.state(need).passed_place > place), 0)
