"""The fold of the log: the state of each step, rebuilt from events alone."""

from __future__ import annotations

import json

from executor.store.cell_state import metrics_at_pass, with_run, with_verdict
from executor.store.chunk_state import with_accepted, with_spent
from executor.store.step_state import NEW, StandingAlert, StepState, key_of_line, last_place, renumbered
from executor.store.ticks import kind_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from executor.plan.step_ids import StepId

    Line = Mapping[str, Any]


UNKNOWN = "unknown"  # the snapshot of the judges at a brief whose line names none
MOST_LINES = 16  # fingerprints of a step's line that are remembered
MOST_OLDER = 8  # earlier passes that are kept; the tick of an older one counts as evidence elsewhere
PLACED = ("StepPassed", "StepMarkedDone", "MainFinished")  # events whose place in the log is recorded


def _started(state: StepState, line: Line) -> StepState:
    return state.replace(
        task_id=line["task_id"],
        verdict="",
        failed_in="",
        reason="",
        digest=line.get("digest", ""),
        test_digest="",
        run_closed="",
        ticked=False,
        note="",
        hand_seen=False,
        job=False,
        checkpoint="",
        alerts=(),
        asked_runner=line.get("asked_runner", ""),
        was=0,
        params=_as_json(line.get("params")),
        metrics_read="",
    )


def _as_json(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) and value else ""


def _resumed(state: StepState, line: Line) -> StepState:
    same = line.get("digest", "") == state.digest
    return state.replace(
        task_id=line["task_id"],
        verdict="",
        digest=line.get("digest", ""),
        test_digest=state.test_digest if same else "",
        was=0,
        asked_runner=line.get("asked_runner", ""),
        params=_as_json(line.get("params")),
        metrics_read="",
    )


def _tested(state: StepState, line: Line) -> StepState:
    return state.replace(test_digest=state.digest) if line.get("status") == "passed" else state


def _main_started(state: StepState, line: Line) -> StepState:
    begun = state.replace(stood=()) if state.stood else state
    return with_spent(begun, line, 0.0) if line.get("chunk") else begun


def _main_ended(state: StepState, line: Line) -> StepState:
    closed = state.replace(run_closed=f"{line['task_id']}/{line.get('run', '')}")
    if line.get("chunk"):
        closed = with_spent(closed, line, line.get("usd") or 0.0)
    if line.get("status") != "passed":
        return closed
    if line.get("cell"):
        return with_run(closed, line)
    if line.get("chunk"):
        closed = with_accepted(closed, line)
    if line.get("chunk", 0) != line.get("chunks", 0):
        return closed
    return closed.replace(
        main_task=line["task_id"],
        main_run=line.get("run", ""),
        main_digest=state.digest,
        main_at=line["timestamp"],
        main_place=line.get("place", 0),
    )


def _result_read(state: StepState, line: Line) -> StepState:
    return state.replace(metrics_read=_as_json(line.get("metrics")))


def _passed(state: StepState, line: Line) -> StepState:
    parts = line.get("parts")
    return state.replace(
        verdict="passed",
        passed_at=line["timestamp"],
        passed_place=line.get("place", 0),
        passed_task=line["task_id"],
        passed_digest=str(line.get("digest", "")),
        passed_judged_by=str(line.get("judged_by", "")),
        passed_outputs=str(parts.get("outputs", "")) if isinstance(parts, dict) else "",
        older=_older(state, line["task_id"]),
        note=line.get("note", ""),
        proven=line.get("proven", 0),
        claimed=line.get("claimed", 0),
        uncontained=line.get("uncontained") is True,
        checks=line.get("checks", 0),
        alerts=(),
        line_lost=False,
        judges="",
        accepted="",
        passed_accepted=str(line.get("accepted", "")),
        metrics=metrics_at_pass(state),
    )


def _older(state: StepState, task_id: str) -> tuple[str, ...]:
    """Return the tasks that passed before this one, as `id kind`."""
    before = state.passed_task
    accepted = bool(state.passed_accepted)
    kind = kind_of(proven=state.proven, claimed=state.claimed, checks=state.checks, accepted=accepted)
    return (*state.older, f"{before} {kind}")[-MOST_OLDER:] if before not in ("", task_id) else state.older


def _failed(state: StepState, line: Line) -> StepState:
    return state.replace(
        verdict=line["status"],
        failed_in=line.get("failed_in", ""),
        reason=line.get("reason", ""),
        ticked=False,
        alerts=(),
        stood=tuple(line.get("alerts") or ()),
    )


def _watched(state: StepState, line: Line) -> StepState:
    return state.replace(job=True)


def _waits(state: StepState, line: Line) -> StepState:
    return state.replace(verdict="waiting", judges=str(line.get("judges") or "") or UNKNOWN)


def _accepted(state: StepState, line: Line) -> StepState:
    return state.replace(judges=str(line.get("judges", "")), accepted=str(line.get("by", "")) or "a person")


def _job_started(state: StepState, line: Line) -> StepState:
    return state.replace(verdict="started", job=True)


def _checkpoint(state: StepState, line: Line) -> StepState:
    return state.replace(checkpoint=line.get("path", "") or "there")


def _alert(state: StepState, line: Line) -> StepState:
    key = line.get("key", "")
    others = tuple(alert for alert in state.alerts if alert.key != key)
    raised = (StandingAlert(key, line.get("action", "")),) if line["event"] == "AlertRaised" else ()
    return state.replace(alerts=(*others, *raised))


def _ticked(state: StepState, line: Line) -> StepState:
    return _line_changed(state, line).replace(ticked=True, line_lost=False)


def _line_changed(state: StepState, line: Line) -> StepState:
    before = line.get("before", "")
    return state.replace(lines=(*state.lines, before)[-MOST_LINES:]) if before else state


def _line_missing(state: StepState, line: Line) -> StepState:
    return state.replace(ticked=False, line_lost=True)


def _rechecked(state: StepState, line: Line) -> StepState:
    passed = line["status"] == "passed"
    return state.replace(rechecked=line["task_id"] if passed else "", recheck_full=bool(line.get("full")) and passed)


def _opened(state: StepState, line: Line) -> StepState:
    return StepState(
        task_id=state.task_id,
        verdict="reopened",
        passed_at=state.passed_at,
        passed_place=state.passed_place,
        main_place=state.main_place,
        passed_task=state.passed_task,
        older=state.older,
        lines=state.lines,
        judges=state.judges if line.get("terminal") is not True else "",
        accepted=state.accepted,
    )


def _hand_seen(state: StepState, line: Line) -> StepState:
    return state.replace(hand_seen=True)


def _marked_done(state: StepState, line: Line) -> StepState:
    judges = state.judges if line.get("terminal") is not True else ""
    return state.replace(passed_at=line["timestamp"], passed_place=line.get("place", 0), hand_seen=True, judges=judges)


FOLDS: dict[str, Callable[[StepState, Line], StepState]] = {
    "TaskStarted": _started,
    "TaskResumed": _resumed,
    "TestFinished": _tested,
    "TestSkipped": _tested,
    "MainStarted": _main_started,
    "MainFinished": _main_ended,
    "MainLost": _main_ended,
    "SupervisorStarted": _watched,
    "JobStarted": _job_started,
    "BriefGiven": _waits,
    "JudgesAccepted": _accepted,
    "CheckpointSaved": _checkpoint,
    "AlertRaised": _alert,
    "AlertCleared": _alert,
    "ResultRead": _result_read,
    "CellFinished": with_verdict,
    "StepPassed": _passed,
    "StepFailed": _failed,
    "StepInterrupted": _failed,
    "SpecTicked": _ticked,
    "SpecMarked": _line_changed,
    "SpecLineMissing": _line_missing,
    "StepRechecked": _rechecked,
    "HandTickSeen": _hand_seen,
    "HandUntickSeen": _opened,
    "StepReopened": _opened,
    "StepMarkedDone": _marked_done,
}


def fold(states: dict[StepId, StepState], lines: Iterable[Line], plan: str | None = None) -> dict[StepId, StepState]:
    """Return the states after these lines; unknown events and lines without a step change nothing.

    The steps of plans of other tools have keys of `step_ids.in_plan`. With `plan` only its lines count, by their ids.
    """
    after, place = dict(states), 0
    for line in lines:
        if line.get("event") == "StepsRenumbered" and not plan:
            after = renumbered(after, _moves(line))
        step = key_of_line(line, plan)
        if step is None:
            continue
        apply = FOLDS.get(line["event"])
        step = _step_of(after, step, line) if apply else step
        state = after.get(step, NEW)
        if apply and not _is_of_older(state, line):
            if line["event"] in PLACED:
                place = place or last_place(after)
                after[step] = apply(state, {**line, "place": place + 1})
                place += place + 1 in (after[step].passed_place, after[step].main_place)
            else:
                after[step] = apply(state, line)
    return after


def _moves(line: Line) -> dict[StepId, StepId]:
    """Return the moves that an event records, {} for one in another form."""
    try:
        return {int(new): int(old) for new, _, old in (move.partition(" was ") for move in line["moves"])}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _step_of(states: Mapping[StepId, StepState], step: StepId, line: Line) -> StepId:
    """Return the present number of the step of this line: a renumbered one is found by its task."""
    task_id = line["task_id"]
    if not task_id or line["event"] in ("TaskStarted", "TaskResumed"):
        return step
    state = states.get(step, NEW)
    if task_id in (state.task_id, state.rechecked):
        return step
    moved = (number for number, one in states.items() if one.was == step and one.task_id == task_id)
    return next(moved, step)


def _is_of_older(state: StepState, line: Line) -> bool:
    """Return True for a line of a task that a newer task has replaced: a supervisor may write late."""
    if line["event"] in ("TaskStarted", "TaskResumed", "StepRechecked"):
        return False
    return bool(state.task_id) and line["task_id"] not in ("", state.task_id)
