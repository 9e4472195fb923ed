"""The fold of the log: what is known of each step, rebuilt from events alone."""

from __future__ import annotations

from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Line = Mapping[str, Any]


class StepState(Value):
    """What the log says of one step.

    `verdict` is empty while a task is open (started, no verdict yet). `main_*` name the last MAIN that exited 0 and
    may be reused; `run_closed` is the last run whose end was logged; `hand_seen` says that a tick by hand was noted;
    times are the log's UTC strings, which sort; `asked_runner` is whom the command line named for the newest task.
    `job` says that the newest task is a background job; it has the
    verdict started while it runs, `checkpoint` once its first one is there, `alerts` that stand, as `action key`.
    `passed_*` are of the last task that passed: digests of what it did, of what judged it, of what it left.
    `chunks` were accepted, as `number rows sha256 usd made_by`; `chunks_begun` ran, as `number made_by spent_usd`.
    """

    task_id: str = ""
    verdict: str = ""
    failed_in: str = ""
    reason: str = ""
    digest: str = ""
    test_digest: str = ""
    main_task: str = ""
    main_run: str = ""
    main_digest: str = ""
    main_at: str = ""
    run_closed: str = ""
    passed_at: str = ""
    ticked: bool = False
    note: str = ""
    hand_seen: bool = False
    passed_task: str = ""
    job: bool = False
    checkpoint: str = ""
    alerts: tuple[str, ...] = ()
    asked_runner: str = ""
    chunks: tuple[str, ...] = ()
    chunks_begun: tuple[str, ...] = ()
    passed_digest: str = ""
    passed_judged_by: str = ""
    passed_outputs: str = ""


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
    )


def _resumed(state: StepState, line: Line) -> StepState:
    same = line.get("digest", "") == state.digest
    return state.replace(
        task_id=line["task_id"],
        verdict="",
        digest=line.get("digest", ""),
        test_digest=state.test_digest if same else "",
        asked_runner=line.get("asked_runner", ""),
    )


def _tested(state: StepState, line: Line) -> StepState:
    return state.replace(test_digest=state.digest) if line.get("status") == "passed" else state


def _main_started(state: StepState, line: Line) -> StepState:
    if not line.get("chunk"):
        return state
    return _spent(state, line, 0.0)


def _spent(state: StepState, line: Line, usd: float) -> StepState:
    """Note that a chunk has run, and what all runs of it cost that made the same."""
    which = f"{line['chunk']} {line.get('made_by', '')} "
    others = tuple(one for one in state.chunks_begun if one.split()[0] != str(line["chunk"]))
    return state.replace(chunks_begun=(*others, f"{which}{spent_on(state.chunks_begun, which) + usd}"))


def spent_on(begun: tuple[str, ...], which: str) -> float:
    """Return what the runs of a chunk cost so far, `which` being `number made_by `; 0 when none has run."""
    return next((float(one.removeprefix(which)) for one in begun if one.startswith(which)), 0.0)


def _main_ended(state: StepState, line: Line) -> StepState:
    closed = state.replace(run_closed=f"{line['task_id']}/{line.get('run', '')}")
    if line.get("chunk"):
        closed = _spent(closed, line, line.get("usd") or 0.0)
    if line.get("status") != "passed":
        return closed
    if line.get("chunk"):
        usd = spent_on(closed.chunks_begun, f"{line['chunk']} {line.get('made_by', '')} ")
        words = (line["chunk"], line.get("rows"), line.get("sha256"), usd, line.get("made_by"))
        others = tuple(one for one in closed.chunks if one.split()[0] != str(line["chunk"]))
        closed = closed.replace(chunks=(*others, " ".join(map(str, words))))
    if line.get("chunk", 0) != line.get("chunks", 0):
        return closed
    return closed.replace(
        main_task=line["task_id"], main_run=line.get("run", ""), main_digest=state.digest, main_at=line["timestamp"]
    )


def _passed(state: StepState, line: Line) -> StepState:
    parts = line.get("parts")
    return state.replace(
        verdict="passed",
        passed_at=line["timestamp"],
        passed_task=line["task_id"],
        passed_digest=str(line.get("digest", "")),
        passed_judged_by=str(line.get("judged_by", "")),
        passed_outputs=str(parts.get("outputs", "")) if isinstance(parts, dict) else "",
        note=line.get("note", ""),
        alerts=(),
    )


def _failed(state: StepState, line: Line) -> StepState:
    return state.replace(
        verdict=line["status"],
        failed_in=line.get("failed_in", ""),
        reason=line.get("reason", ""),
        ticked=False,
        alerts=(),
    )


def _watched(state: StepState, line: Line) -> StepState:
    return state.replace(job=True)


def _waits(state: StepState, line: Line) -> StepState:
    return state.replace(verdict="waiting")


def _job_started(state: StepState, line: Line) -> StepState:
    return state.replace(verdict="started", job=True)


def _checkpoint(state: StepState, line: Line) -> StepState:
    return state.replace(checkpoint=line.get("path", "") or "there")


def _alert(state: StepState, line: Line) -> StepState:
    key = line.get("key", "")
    others = tuple(alert for alert in state.alerts if alert.partition(" ")[2] != key)
    raised = (f"{line.get('action', '')} {key}",) if line["event"] == "AlertRaised" else ()
    return state.replace(alerts=(*others, *raised))


def _ticked(state: StepState, line: Line) -> StepState:
    return state.replace(ticked=True)


def _opened(state: StepState, line: Line) -> StepState:
    return StepState(
        task_id=state.task_id, verdict="reopened", passed_at=state.passed_at, passed_task=state.passed_task
    )


def _hand_seen(state: StepState, line: Line) -> StepState:
    return state.replace(hand_seen=True)


def _marked_done(state: StepState, line: Line) -> StepState:
    return state.replace(passed_at=line["timestamp"], hand_seen=True)


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
    "CheckpointSaved": _checkpoint,
    "AlertRaised": _alert,
    "AlertCleared": _alert,
    "StepPassed": _passed,
    "StepFailed": _failed,
    "StepInterrupted": _failed,
    "SpecTicked": _ticked,
    "HandTickSeen": _hand_seen,
    "HandUntickSeen": _opened,
    "StepReopened": _opened,
    "StepMarkedDone": _marked_done,
}


def fold(states: dict[int, StepState], lines: Iterable[Line]) -> dict[int, StepState]:
    """Return the states after these lines; unknown events and lines without a step change nothing."""
    after = dict(states)
    for line in lines:
        step = line.get("step")
        if isinstance(step, int) and all(isinstance(line.get(name), str) for name in ENVELOPE):
            apply = FOLDS.get(line["event"])
            state = after.get(step, NEW)
            if apply and not _is_of_older(state, line):
                after[step] = apply(state, line)
    return after


def _is_of_older(state: StepState, line: Line) -> bool:
    """Tell a line of a task that another has replaced: a supervisor may wake up late and still write."""
    known = state.task_id and line["task_id"] not in ("", state.task_id)
    return bool(known) and line["event"] not in ("TaskStarted", "TaskResumed")


ENVELOPE = ("event", "task_id", "timestamp", "status")
NEW = StepState()
