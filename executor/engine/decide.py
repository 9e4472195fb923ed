"""The ordered rules that decide what runs for a step."""

from __future__ import annotations

from executor.errors import DefinitionError, SpecError
from executor.store.changes import describe_changes
from executor.store.task import Decision
from executor.store.ticks import begun_again, tick_of, went_back
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.engine.step_view import StepView
    from executor.plan.spec.spec_md import Box
    from executor.store.step_state import StepState
    from executor.system.run_records import RunStatus

CHANGED_MEANWHILE = "; what MAIN does has changed since, --rerun would end it and start anew"
JOB_REASONS = {
    "alive": "it is running",
    "exited": "its process has ended; its supervisor has not given the verdict yet",
    "lost": "its process is gone; its supervisor has not given the verdict yet",
}


class Rule(Record):
    """A row of the table: its name, when it holds, and the function that returns its decision or raises."""

    name: str
    holds: Callable[[StepView], bool]
    decision: Callable[[StepView], Decision]


def decide(view: StepView) -> Decision:
    """Return the decision of the first rule that holds; SpecError or DefinitionError where a person must act first."""
    return rule_of(view).decision(view)


def rule_of(view: StepView) -> Rule:
    """Return the first rule that holds."""
    return next(rule for rule in RULES if rule.holds(view))


def is_contradicted(box: Box, state: StepState) -> bool:
    """Return True for a tick of the newest task where the log has another verdict than passed."""
    if box.state != "x" or begun_again(box, state) or box.mark is None or tick_of(box, state) == "by_hand":
        return False
    return box.mark.task_id == state.task_id and state.verdict not in ("passed", "reopened")


def refuse_contradicted(box: Box, state: StepState) -> None:
    """Raise SpecError for a tick that `is_contradicted`."""
    if is_contradicted(box, state):
        raise _contradiction(box, state.verdict or "has no verdict", state.reason)


def _contradiction(box: Box, verdict: str, reason: str) -> SpecError:
    task_id = box.mark.task_id if box.mark else ""
    return SpecError(
        f"SPEC.md line {box.line} is ticked with {task_id}, but the log says of that task: {verdict}"
        f"{f', {reason}' if reason else ''}. Open the box ([ ]), then run: do-tasks --continue"
        " (a MAIN that exited 0 is not repeated)"
    )


def _refuse_tick(view: StepView) -> Decision:
    raise _contradiction(view.box, view.state.verdict or "has no verdict", view.state.reason)


def _refuse_older_tick(view: StepView) -> Decision:
    raise _contradiction(view.box, str(view.older_verdict.get("status")), str(view.older_verdict.get("reason")))


def _recheck(view: StepView) -> Decision:
    why = (
        f"ticked with {view.task_id}, whose evidence is not in this log or not complete: not enough for strict;"
        f" do-tasks recheck {view.box.number} checks what lies here, if it has a check or a bound criterion;"
        f" do-tasks --step {view.box.number} --rerun runs it again"
    )
    return Decision("recheck", why, task_id=view.task_id)


def _done(view: StepView, why: str) -> Decision:
    return Decision("done", why, task_id=view.task_id)


def _done_by_older_task(view: StepView) -> Decision:
    number = view.older_verdict.get("step")
    which = f"a task of step {number}" if number != view.box.number else "a pass before the last ones"
    return _done(view, f"ticked with {view.task_id}, {which}")


def _started_elsewhere(view: StepView) -> Decision:
    why = (
        f"its line says that {view.task_id} is started, and this log does not know it: it may run in another clone or"
        f" on another machine; if it does not, do-tasks reopen {view.box.number}, and it begins here"
    )
    return Decision("elsewhere", why, task_id=view.task_id)


def _tick(view: StepView) -> Decision:
    missed = "its line was missing" if view.state.line_lost else "the tick was not written"
    return Decision("tick", f"passed before; {missed}", task_id=view.state.task_id)


def _went_back(view: StepView) -> Decision:
    number, task_id = view.box.number, view.state.task_id
    why = (
        f"its line is as it was before {task_id} ticked it (git checkout, stash or switch?);"
        f" do-tasks retick {number} ticks it again from the log, do-tasks reopen {number} runs it again"
    )
    return Decision("back", why, task_id=task_id)


def _attend(view: StepView) -> Decision:
    main, seen = view.main, view.main.seen
    why = JOB_REASONS[seen.status] + ("" if seen.digest in ("", main.fingerprint) else CHANGED_MEANWHILE)
    return Decision("attend", why, task_id=main.state.task_id, main_run=seen.run)


def _wait(view: StepView) -> Decision:
    state = view.main.state
    is_same = state.digest == view.main.fingerprint
    changed = "" if is_same else "; what MAIN does has changed since, --rerun gives a new brief"
    why = f"its brief is out; when the work is done: do-tasks resume {state.task_id}{changed}"
    return Decision("wait", why, task_id=state.task_id)


def _refuse_definition(view: StepView) -> Decision:
    raise DefinitionError(*filter(None, (view.main.problem,)))


def _open(view: StepView, why: str, action: str = "run", **details: Any) -> Decision:
    """Return the decision for a step that is not done; the cause that opened it again replaces the reason `why`."""
    seen = view.main.seen
    decision = Decision(action, why, **details)
    if view.newer_dependency:
        why = f"step {view.newer_dependency}, which it depends on, passed after it"
    elif view.changed:
        why = describe_changes(view.changed)
    if not view.is_enough:
        how = "after a person accepted its judges" if view.tick == "accepted" else "by hand"
        why = f"ticked {how}, which is not enough for strict; {why}"
    stop_run = seen.run if seen.status == "alive" and decision.main != "adopt" else ""
    return decision.replace(why=why, stop_run=stop_run, digest=_fingerprint_of(view, decision))


def _fingerprint_of(view: StepView, decision: Decision) -> str:
    """Return the fingerprint for the task; an equal one by an older recipe stays as it was recorded."""
    main = view.main
    current = main.seen.digest if decision.main == "adopt" and main.seen.digest else main.fingerprint
    if decision.main == "reuse" and main.state.main_digest == current:
        return view.state.main_digest
    return view.state.digest if decision.task_id and main.state.digest == current else current


def _elsewhere(view: StepView) -> Decision:
    task_id = view.main.state.task_id
    return _open(view, _place_of(task_id, view.main.seen), "elsewhere", task_id=task_id)


def _place_of(task_id: str, seen: RunStatus) -> str:
    """Return the place of a run that is out of reach from here (folder, host, container), with the next commands."""
    run = f"{task_id}/{seen.run}"
    if seen.status == "foreign":
        again = f"do-tasks --step {task_id.split('_')[1]} --rerun"
        return f"{run} runs {seen.where}, of which this one is a copy; to begin anew here: {again}"
    if seen.status == "orphan":
        return f"{run} lives on {seen.where}; what it writes is lost with it; end it: do-tasks stop {task_id}"
    where = seen.where or "on another host"
    return f"{run} runs {where}; wait for it or go on from there; when it is gone for sure: do-tasks stop {task_id}"


def _reuse(view: StepView, why: str, **details: str) -> Decision:
    task, run = view.main.state.main_task, view.main.state.main_run
    return _open(view, why, main="reuse", main_task=task, main_run=run, reuse_test=True, **details)


def _reuse_in_task(view: StepView) -> Decision:
    main, why = view.main, "interrupted after MAIN had exited 0; MAIN is not repeated"
    is_lost = main.seen.status == "lost" and main.has_unlogged_run
    return _reuse(view, why, task_id=main.state.task_id, lost_run=main.seen.run if is_lost else "")


def _ask_without_records(view: StepView) -> Decision:
    task_id = view.main.state.task_id
    done = f"do-tasks mark-done {task_id.split('_')[1]}"
    why = f"what {task_id} left in .do-tasks/jobs is gone, so nobody knows how MAIN ended"
    return _open(view, f"{why}; if it is done: {done}; to begin anew: --rerun", "ask", task_id=task_id)


def _ask_after_loss(view: StepView) -> Decision:
    task_id = view.main.state.task_id
    how = "--rerun begins anew, on_lost: rerun goes on from a checkpoint"
    why = f"{task_id}/{view.main.seen.run} is lost: it died without an exit code; {how}"
    return _open(view, why, "ask", task_id=task_id)


def _resume(view: StepView, why: str, lost_run: str = "") -> Decision:
    """Return the decision that continues a task with a new run of MAIN; TEST is reused while MAIN is the same."""
    state = view.main.state
    reuse_test = state.digest == state.test_digest == view.main.fingerprint
    return _open(view, why, task_id=state.task_id, lost_run=lost_run, reuse_test=reuse_test)


def _resume_without_run(view: StepView) -> Decision:
    return _resume(view, "MAIN was lost" if view.main.state.verdict == "lost" else "interrupted before MAIN ended")


def _adopt(view: StepView) -> Decision:
    main, task_id, run = view.main, view.main.state.task_id, view.main.seen.run
    why = "MAIN is still running" if main.seen.status == "alive" else "MAIN ended while nobody watched"
    why += "" if main.is_same else CHANGED_MEANWHILE
    return _open(view, why, task_id=task_id, main="adopt", main_task=task_id, main_run=run, reuse_test=True)


def _run_after_failure(view: StepView) -> Decision:
    return _open(view, f"{_verdict_before(view)}; {view.main.repeats_after_failure}")


def _reuse_after_failure(view: StepView) -> Decision:
    main_task = view.main.state.main_task
    return _reuse(view, f"{_verdict_before(view)}; MAIN exited 0 as {main_task} and is not repeated")


def _verdict_before(view: StepView) -> str:
    state = view.main.state
    return f"{state.verdict} before: {state.reason}" if state.reason else f"{state.verdict} before"


# Ordered: a rule is asked only when none above it holds. The rules of the box come first; they read neither files nor
# processes; the first rule that uses `view.main` reads them.
RULES = (
    # A ticked box.
    Rule("tick contradicts the log", lambda v: v.is_ticked and is_contradicted(v.box, v.state), _refuse_tick),
    Rule("tick needs a recheck for strict", lambda v: v.is_ticked and v.needs_recheck, _recheck),
    Rule("tick contradicts an older verdict", lambda v: v.is_done and v.failed_before, _refuse_older_tick),
    Rule("ticked by an older task", lambda v: v.is_done and bool(v.older_verdict), _done_by_older_task),
    Rule("ticked by hand", lambda v: v.is_done and v.tick == "by_hand", lambda _: Decision("done", "ticked by hand")),
    Rule(
        "ticked elsewhere",
        lambda v: v.is_done and v.tick == "elsewhere",
        lambda v: _done(v, f"ticked with {v.task_id}; its evidence is not in this log"),
    ),
    Rule(
        "rechecked",
        lambda v: v.is_done and v.tick == "rechecked",
        lambda v: _done(v, f"rechecked as {v.task_id}"),
    ),
    Rule("passed", lambda v: v.is_done, lambda v: _done(v, f"passed as {v.task_id}")),
    # An open box.
    Rule("started elsewhere", lambda v: v.is_open and v.is_started_elsewhere, _started_elsewhere),
    Rule("passed, not ticked", lambda v: v.is_open and v.state.verdict == "passed" and not v.state.ticked, _tick),
    Rule("line went back", lambda v: v.is_open and went_back(v.box, v.state), _went_back),
    # A task that a process or a host works on.
    Rule("job without a verdict", lambda v: not v.rerun and v.main.is_job_without_verdict, _attend),
    Rule("brief is out", lambda v: not v.rerun and v.main.state.verdict == "waiting", _wait),
    Rule("condition does not hold", lambda v: bool(v.skip_why), lambda v: Decision("skip", v.skip_why)),
    # A step to run.
    Rule("cannot run as written", lambda v: v.main.problem is not None, _refuse_definition),
    Rule("runs elsewhere", lambda v: v.main.is_out_of_reach(must_rerun=v.must_rerun), _elsewhere),
    Rule("must run again", lambda v: v.must_rerun, lambda v: _open(v, "--rerun", by_hand="rerun")),
    Rule(
        "box opened by hand",
        lambda v: v.main.state.verdict == "passed",
        lambda v: _open(v, "its box was opened by hand", by_hand="opened"),
    ),
    Rule("reopened", lambda v: v.main.state.verdict == "reopened", lambda v: _open(v, "reopened")),
    Rule(
        "not run before",
        lambda v: not v.main.state.task_id,
        lambda v: _open(v, v.main.state.verdict or "not run before"),
    ),
    # A task that stopped before its verdict.
    Rule("interrupted after MAIN", lambda v: v.main.is_unfinished and v.main.is_reusable, _reuse_in_task),
    Rule("run records are gone", lambda v: v.main.is_unfinished and v.main.lacks_records, _ask_without_records),
    Rule("lost, on_lost: ask", lambda v: v.main.is_unfinished and v.main.asks_after_loss, _ask_after_loss),
    Rule(
        "interrupted before MAIN ended", lambda v: v.main.is_unfinished and v.main.has_no_open_run, _resume_without_run
    ),
    Rule(
        "MAIN lost",
        lambda v: v.main.is_unfinished and v.main.seen.status == "lost",
        lambda v: _resume(v, "MAIN was lost", v.main.seen.run),
    ),
    Rule(
        "MAIN ended, and has changed",
        lambda v: v.main.is_unfinished and v.main.seen.status != "alive" and not v.main.is_same,
        lambda v: _resume(v, "interrupted, and what MAIN does has changed since"),
    ),
    Rule("MAIN to adopt", lambda v: v.main.is_unfinished, _adopt),
    # A task with a verdict other than passed.
    Rule("failed, MAIN runs again", lambda v: bool(v.main.repeats_after_failure), _run_after_failure),
    Rule("failed after MAIN", lambda _: True, _reuse_after_failure),
)
