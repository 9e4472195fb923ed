"""What would run for a step, with the reason: decided from the box, the log, the run folder and the digest."""

from __future__ import annotations

from executor.errors import SpecError
from executor.store.task import Decision
from executor.store.ticks import tick_of, went_back
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.spec.spec_md import Box
    from executor.store.step_state import StepState
    from executor.system.run_records import RunStatus


def decide_box(box: Box, state: StepState, *, rerun: bool) -> Decision | None:
    """Return the decision that SPEC.md and the log alone allow, None when the step is open."""
    if box.state == "x" and not rerun and not begun_again(box, state):
        return _ticked(box, state)
    if box.state == "x" or rerun:
        return None
    if is_started_elsewhere(box, state):
        return Decision("elsewhere", _elsewhere(box), task_id=box.mark.task_id if box.mark else "")
    if state.verdict != "passed":
        return None
    if not state.ticked:
        missed = "its line was missing" if state.line_lost else "the tick was not written"
        return Decision("tick", f"passed before; {missed}", task_id=state.task_id)
    return Decision("back", _back(box, state), task_id=state.task_id) if went_back(box, state) else None


def is_started_elsewhere(box: Box, state: StepState) -> bool:
    """Return True for a line that shows a started job of which this log knows nothing: a clone has such lines."""
    mark = box.mark
    return box.state == "~" and mark is not None and mark.kind == "started" and not state.task_id and not state.verdict


def _elsewhere(box: Box) -> str:
    task_id = box.mark.task_id if box.mark else ""
    return (
        f"its line says that {task_id} is started, and this log does not know it: it may run in another clone or on"
        f" another machine; if it does not, do-tasks reopen {box.number}, and it begins here"
    )


def _back(box: Box, state: StepState) -> str:
    return (
        f"its line is as it was before {state.task_id} ticked it (git checkout, stash or switch?);"
        f" do-tasks retick {box.number} ticks it again from the log, do-tasks reopen {box.number} runs it again"
    )


def begun_again(box: Box, state: StepState) -> bool:
    """Tell whether a ticked step was run again since, and that task did not pass: its tick is of the one before."""
    if state.verdict == "passed" or not state.passed_task or state.task_id == state.passed_task:
        return False
    return box.mark is not None and box.mark.kind == "passed" and box.mark.task_id == state.passed_task


def unlogged_tick(box: Box, state: StepState) -> str:
    """Tell whose tick the log does not know: `ours`, when we died behind it, `hand` for a person's; else nothing."""
    if box.state != "x":
        return ""
    if box.mark is not None and tick_of(box, state) != "by_hand":
        missing = box.mark.task_id == state.task_id and state.verdict == "passed" and not state.ticked
        return "ours" if missing else ""
    return "" if state.hand_seen or state.verdict == "passed" else "hand"


def _ticked(box: Box, state: StepState) -> Decision:
    mark, tick = box.mark, tick_of(box, state)
    if mark is None or tick == "by_hand":
        return Decision("done", "ticked by hand")
    if mark.task_id == state.task_id and state.verdict not in ("passed", "reopened"):
        raise contradicted(box, verdict=state.verdict or "has no verdict", reason=state.reason)
    if tick == "elsewhere":
        why = f"ticked with {mark.task_id}; its evidence is not in this log"
    else:
        why = f"{'rechecked' if tick == 'rechecked' else 'passed'} as {mark.task_id}"
    return Decision("done", why, task_id=mark.task_id)


def not_for_strict(box: Box) -> Decision:
    """Return what becomes of a tick with evidence elsewhere where strict wants proof: a person or a recheck decides."""
    task_id = box.mark.task_id if box.mark else ""
    why = (
        f"ticked with {task_id}, whose evidence is not in this log or not complete: not enough for strict;"
        f" do-tasks recheck {box.number} checks what lies here, if it has a check or a bound criterion;"
        f" do-tasks --step {box.number} --rerun runs it again"
    )
    return Decision("recheck", why, task_id=task_id)


def contradicted(box: Box, *, verdict: str, reason: str) -> SpecError:
    """Return what is told of a tick for a task that the log knows otherwise."""
    task_id = box.mark.task_id if box.mark else ""
    return SpecError(
        f"SPEC.md line {box.line} is ticked with {task_id}, but the log says of that task: {verdict}"
        f"{f', {reason}' if reason else ''}. Open the box ([ ]), then run: do-tasks --continue"
        " (a MAIN that exited 0 is not repeated)"
    )


def decide_open(
    state: StepState,
    seen: RunStatus,
    *,
    digest: str,
    on_lost: str,
    dependency_place: int = 0,
    rerun: bool = False,
    by_agent: bool = False,
) -> Decision:
    """Return how an open step runs; `dependency_place` is the place of its newest MAIN."""
    unseen = _ended_unseen(state, seen)
    if unseen and (seen.status in ("elsewhere", "orphan") or (seen.status == "foreign" and not rerun)):
        return Decision("elsewhere", told_elsewhere(state.task_id, seen), task_id=state.task_id)
    if rerun:
        return Decision("run", "--rerun", by_hand="rerun")
    if state.verdict == "passed":
        return Decision("run", "its box was opened by hand", by_hand="opened")
    if state.verdict == "reopened" or not state.task_id:
        return Decision("run", state.verdict or "not run before")
    if state.verdict in ("", "started", "interrupted", "lost") or (unseen and state.failed_in == "PRE-FLIGHT"):
        return _resume(state, seen, digest=digest, on_lost=on_lost, dependency_place=dependency_place)
    return _after_failure(state, digest=digest, dependency_place=dependency_place, by_agent=by_agent)


def told_elsewhere(task_id: str, seen: RunStatus) -> str:
    """Return where a run is that this folder, host and container can neither watch nor end, with the next moves."""
    which = f"{task_id}/{seen.run}"
    if seen.status == "foreign":
        anew = f"do-tasks --step {task_id.split('_')[1]} --rerun"
        return f"{which} runs {seen.where}, of which this one is a copy; to begin anew here: {anew}"
    if seen.status == "orphan":
        return f"{which} lives on {seen.where}; what it writes is lost with it; end it: do-tasks stop {task_id}"
    where = seen.where or "on another host"
    return f"{which} runs {where}; wait for it or go on from there; when it is gone for sure: do-tasks stop {task_id}"


def decide_waiting(state: StepState, *, digest: str) -> Decision | None:
    """Return how a task goes on whose brief is out, None when there is none."""
    if state.verdict != "waiting":
        return None
    changed = "" if state.digest == digest else "; what MAIN does has changed since, --rerun gives a new brief"
    why = f"its brief is out; when the work is done: do-tasks resume {state.task_id}{changed}"
    return Decision("wait", why, task_id=state.task_id)


def decide_job(state: StepState, seen: RunStatus, *, digest: str) -> Decision | None:
    """Return how a background job goes on that was let go and has no verdict; None when there is none."""
    if state.verdict not in ("", "started") or seen.status not in ("alive", "exited", "lost"):
        return None
    ended = "its supervisor has not given the verdict yet"
    why = {
        "alive": "it is running",
        "exited": f"its process has ended; {ended}",
        "lost": f"its process is gone; {ended}",
    }
    changed = (
        "; what MAIN does has changed since, --rerun would end it and start anew"
        if seen.digest not in ("", digest)
        else ""
    )
    return Decision("attend", f"{why[seen.status]}{changed}", task_id=state.task_id, main_run=seen.run)


def _ended_unseen(state: StepState, seen: RunStatus) -> bool:
    """Tell whether the newest MAIN was let go and its end is not in the log."""
    closed = state.run_closed == f"{state.task_id}/{seen.run}" or state.verdict == "cancelled"
    return seen.status not in ("none", "never_ran") and not closed


def _after_failure(state: StepState, *, digest: str, dependency_place: int, by_agent: bool) -> Decision:
    again = f"{state.verdict} before: {state.reason}" if state.reason else f"{state.verdict} before"
    stale = "the agent begins anew" if by_agent else _stale(state, digest=digest, dependency_place=dependency_place)
    if stale:
        return Decision("run", f"{again}; {stale}")
    why = f"{again}; MAIN exited 0 as {state.main_task} and is not repeated"
    return Decision("run", why, main="reuse", main_task=state.main_task, main_run=state.main_run, reuse_test=True)


def _stale(state: StepState, *, digest: str, dependency_place: int) -> str:
    if not state.main_task:
        return "MAIN has not passed yet"
    if state.stood:
        return f"alert {state.stood[0]} stood at its end"
    if state.main_digest != digest:
        return "what MAIN does has changed since"
    if dependency_place > state.main_place:
        return "a step it depends on ran later"
    return ""


def _resume(state: StepState, seen: RunStatus, *, digest: str, on_lost: str, dependency_place: int) -> Decision:
    task = state.task_id
    same = (seen.digest or state.digest) == digest
    tested = state.digest == digest and state.test_digest == digest
    newer = seen.status == "exited" and state.main_task == task and _ended_unseen(state, seen)
    if not (newer or seen.status == "alive" or _stale(state, digest=digest, dependency_place=dependency_place)):
        why = "interrupted after MAIN had exited 0; MAIN is not repeated"
        return Decision(
            "run", why, task_id=task, main="reuse", main_task=state.main_task, main_run=state.main_run, reuse_test=True
        )
    if seen.status == "none" and state.verdict in ("started", "lost"):
        done = f"do-tasks mark-done {task.split('_')[1]}"
        why = f"what {task} left in .do-tasks/jobs is gone, so nobody knows how MAIN ended"
        return Decision("ask", f"{why}; if it is done: {done}; to begin anew: --rerun", task_id=task)
    if on_lost == "ask" and "lost" in (seen.status, state.verdict):
        how = "--rerun begins anew, on_lost: rerun goes on from a checkpoint"
        why = f"{task}/{seen.run} is lost: it died without an exit code; {how}"
        return Decision("ask", why, task_id=task)
    lost = state.verdict == "lost"
    return _resume_run(seen, task=task, same=same, tested=tested, closed=state.run_closed, lost=lost)


def _resume_run(seen: RunStatus, *, task: str, same: bool, tested: bool, closed: str, lost: bool) -> Decision:
    if seen.status in ("none", "never_ran") or closed == f"{task}/{seen.run}":
        why = "MAIN was lost" if lost else "interrupted before MAIN ended"
        return Decision("run", why, task_id=task, reuse_test=tested)
    if seen.status == "lost":
        return Decision("run", "MAIN was lost", task_id=task, lost_run=seen.run, reuse_test=tested)
    if not same and seen.status != "alive":
        why = "interrupted, and what MAIN does has changed since"
        return Decision("run", why, task_id=task, reuse_test=tested)
    why = "MAIN is still running" if seen.status == "alive" else "MAIN ended while nobody watched"
    why += "" if same else "; what MAIN does has changed since, --rerun would end it and start anew"
    return Decision("run", why, task_id=task, main="adopt", main_task=task, main_run=seen.run, reuse_test=True)
