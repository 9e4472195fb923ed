"""Holds the order of decisions: what runs for a step, and why, from box, log, run folder and digest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.engine.decide import decide_box, decide_open
from executor.errors import SpecError
from executor.plan.model import Check, Criterion, Main, Step, TestForm
from executor.plan.spec.spec_md import Box, Mark
from executor.store.fingerprint_recipes import first
from executor.store.step_state import NEW, StepState
from executor.store.task import Decision
from executor.system.run_records import RunStatus

NOW, THEN = "digest-now", "digest-then"
TASK, OTHER = "task_7_0000000a", "task_7_0000000b"
EARLY, LATE = "2026-11-22T09:00:00.000Z", "2026-11-22T10:00:00.000Z"
FIRST, SECOND = 1, 2  # places in the log

OPEN = StepState(task_id=TASK, digest=NOW)
TRIED = OPEN.replace(test_digest=NOW)
EXITED_0 = {"main_task": TASK, "main_run": "main.1", "main_digest": NOW, "main_at": EARLY, "main_place": FIRST}
CLOSED = f"{TASK}/main.1"
PASSED = OPEN.replace(
    verdict="passed", passed_at=EARLY, passed_place=FIRST, passed_task=TASK, run_closed=CLOSED, **EXITED_0
)
POST_FAILED = OPEN.replace(verdict="failed", failed_in="POST", reason="bad", run_closed=CLOSED, **EXITED_0)
MAIN_FAILED = OPEN.replace(verdict="failed", failed_in="MAIN", reason="exit 1", run_closed=CLOSED)


def box(state=" ", kind="", task_id=TASK):
    mark = Mark(kind, "" if kind == "by_hand" else task_id, "2026-11-22 10:30") if kind else None
    return Box(7, state, "Train", mark, 0, 10, 3)


def seen(status, run="main.1", digest=NOW):
    return RunStatus(run, status, 0 if status == "exited" else None, 4711, digest=digest)


def decided(line=None, state=NEW, found=None, *, digest=NOW, on_lost="rerun", rerun=False, dependency_place=0):
    """The decision as `decide` in desk takes it: the box and the log first, then the run folder."""
    line = line or box()
    return decide_box(line, state, rerun=rerun) or decide_open(
        state, found or RunStatus(), digest=digest, on_lost=on_lost, dependency_place=dependency_place, rerun=rerun
    )


ROWS = [
    # what stands there                                          action, main, test reused, why (a part of it)
    ("ticked by hand", {"line": box("x")}, "done", "run", False, "ticked by hand"),
    ("marked done", {"line": box("x", "by_hand")}, "done", "run", False, "ticked by hand"),
    ("ticked by hand over a failure", {"line": box("x", "failed")}, "done", "run", False, "ticked by hand"),
    ("ticked by us", {"line": box("x", "passed"), "state": PASSED}, "done", "run", False, f"passed as {TASK}"),
    ("ticked elsewhere", {"line": box("x", "passed", OTHER), "state": PASSED}, "done", "run", False, "not in this log"),
    ("ticked, log gone", {"line": box("x", "passed")}, "done", "run", False, "not in this log"),
    ("ticked, rerun", {"line": box("x", "passed"), "state": PASSED, "rerun": True}, "run", "run", False, "--rerun"),
    ("passed, not ticked", {"state": PASSED}, "tick", "run", False, "the tick was not written"),
    ("passed, not ticked, rerun", {"state": PASSED, "rerun": True}, "run", "run", False, "--rerun"),
    ("passed, a ✗ stands", {"line": box(" ", "failed"), "state": PASSED}, "tick", "run", False, "not written"),
    ("unticked by hand", {"state": PASSED.replace(ticked=True)}, "run", "run", False, "opened by hand"),
    ("reopened", {"state": StepState(task_id=TASK, verdict="reopened")}, "run", "run", False, "reopened"),
    ("never run", {}, "run", "run", False, "not run before"),
    ("in doubt", {"line": box("~", "started")}, "elsewhere", "run", False, "another clone"),
    ("died in PRE", {"state": OPEN}, "run", "run", False, "before MAIN ended"),
    ("died after TEST", {"state": TRIED}, "run", "run", True, "before MAIN ended"),
    ("died after TEST, changed", {"state": TRIED, "digest": THEN}, "run", "run", False, "before MAIN ended"),
    ("died in the handshake", {"state": TRIED, "found": seen("never_ran")}, "run", "run", True, "before MAIN ended"),
    ("MAIN lives", {"state": TRIED, "found": seen("alive")}, "run", "adopt", True, "still running"),
    ("MAIN ended alone", {"state": TRIED, "found": seen("exited")}, "run", "adopt", True, "nobody watched"),
    (
        "MAIN lives, changed",
        {"state": TRIED, "found": seen("alive", digest=THEN), "digest": NOW},
        *("run", "adopt", True, "--rerun would end it"),
    ),
    (
        "MAIN ended alone, changed",
        {"state": TRIED, "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "has changed since"),
    ),
    ("MAIN lost", {"state": TRIED, "found": seen("lost")}, "run", "run", True, "MAIN was lost"),
    ("MAIN lost, changed", {"state": TRIED, "found": seen("lost"), "digest": THEN}, "run", "run", False, "was lost"),
    ("MAIN lost, ask", {"state": TRIED, "found": seen("lost"), "on_lost": "ask"}, "ask", "run", False, "is lost"),
    (
        "lost while we watched, ask",
        {"state": TRIED.replace(verdict="lost", run_closed=CLOSED), "found": seen("exited"), "on_lost": "ask"},
        *("ask", "run", False, "is lost"),
    ),
    (
        "lost, ask, rerun",
        {"state": TRIED, "found": seen("lost"), "on_lost": "ask", "rerun": True},
        *("run", "run", False, "--rerun"),
    ),
    ("MAIN elsewhere", {"state": TRIED, "found": seen("elsewhere")}, "elsewhere", "run", False, "another host"),
    (
        "MAIN elsewhere, rerun",
        {"state": TRIED, "found": seen("elsewhere"), "rerun": True},
        *("elsewhere", "run", False, "another host"),
    ),
    (
        "MAIN failed, died before the verdict",
        {"state": TRIED.replace(run_closed=CLOSED), "found": seen("exited")},
        *("run", "run", True, "before MAIN ended"),
    ),
    (
        "died in POST",
        {"state": TRIED.replace(run_closed=CLOSED, **EXITED_0), "found": seen("exited")},
        *("run", "reuse", True, "is not repeated"),
    ),
    (
        "died in POST, changed",
        {"state": TRIED.replace(run_closed=CLOSED, **EXITED_0), "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "before MAIN ended"),
    ),
    (
        "interrupted in POST",
        {"state": TRIED.replace(verdict="interrupted", run_closed=CLOSED, **EXITED_0), "found": seen("exited")},
        *("run", "reuse", True, "is not repeated"),
    ),
    (
        "interrupted in POST, a dependency ran later",
        {
            "state": TRIED.replace(verdict="interrupted", run_closed=CLOSED, **EXITED_0),
            "found": seen("exited"),
            "dependency_place": SECOND,
        },
        *("run", "run", True, "before MAIN ended"),
    ),
    ("POST failed", {"state": POST_FAILED, "found": seen("exited")}, "run", "reuse", True, "failed before: bad"),
    (
        "POST failed, changed",
        {"state": POST_FAILED, "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "has changed since"),
    ),
    (
        "POST failed, a dependency ran later",
        {"state": POST_FAILED, "found": seen("exited"), "dependency_place": SECOND},
        *("run", "run", False, "ran later"),
    ),
    (
        "POST failed, a dependency ran before",
        {"state": POST_FAILED.replace(main_place=SECOND), "found": seen("exited"), "dependency_place": FIRST},
        *("run", "reuse", True, "is not repeated"),
    ),
    ("MAIN failed", {"state": MAIN_FAILED, "found": seen("exited")}, "run", "run", False, "MAIN has not passed yet"),
    ("timed out", {"state": MAIN_FAILED.replace(verdict="timed_out")}, "run", "run", False, "timed_out before"),
    ("stopped", {"state": MAIN_FAILED.replace(verdict="cancelled")}, "run", "run", False, "cancelled before"),
    ("POST failed, rerun", {"state": POST_FAILED, "rerun": True}, "run", "run", False, "--rerun"),
]


@pytest.mark.parametrize(
    ("given_", "action", "main", "reuse_test", "why"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_what_stands_there_decides_what_runs(given_, action, main, reuse_test, why):
    decision = decided(**given_)
    assert (decision.action, decision.main, decision.reuse_test) == (action, main, reuse_test)
    assert why in decision.why


@pytest.mark.parametrize("verdict", ["failed", "timed_out", "cancelled", "interrupted", "lost"])
def test_a_tick_for_a_task_that_did_not_pass_is_refused_with_its_line(verdict):
    state = MAIN_FAILED.replace(verdict=verdict)
    with pytest.raises(SpecError, match=rf"line 3 .*{verdict}, exit 1.*do-tasks --continue"):
        decided(box("x", "passed"), state)


@pytest.mark.parametrize("verdict", ["", "interrupted", "lost"])
def test_what_was_not_decided_goes_on_under_its_own_id(verdict):
    assert decided(state=TRIED.replace(verdict=verdict)).task_id == TASK


@pytest.mark.parametrize("verdict", ["failed", "timed_out", "cancelled", "reopened"])
def test_after_a_final_verdict_there_is_a_new_task(verdict):
    assert decided(state=MAIN_FAILED.replace(verdict=verdict)).task_id == ""


def test_a_reused_main_is_named():
    decision = decided(state=POST_FAILED, found=seen("exited"))
    assert (decision.main_task, decision.main_run) == (TASK, "main.1")


def test_a_lost_run_is_named_so_that_the_log_can_say_it():
    assert decided(state=TRIED, found=seen("lost")).lost_run == "main.1"


STATES = st.builds(
    StepState,
    task_id=st.just(TASK),
    verdict=st.sampled_from(["", "passed", "failed", "timed_out", "cancelled", "interrupted", "lost", "reopened"]),
    failed_in=st.sampled_from(["", "PRE-FLIGHT", "MAIN", "POST"]),
    digest=st.sampled_from([NOW, THEN]),
    test_digest=st.sampled_from(["", NOW, THEN]),
    main_task=st.sampled_from(["", TASK]),
    main_run=st.just("main.1"),
    main_digest=st.sampled_from([NOW, THEN]),
    main_place=st.sampled_from([FIRST, SECOND]),
    run_closed=st.sampled_from(["", CLOSED]),
    ticked=st.booleans(),
)
FOUND = st.builds(seen, st.sampled_from(["none", "never_ran", "alive", "exited", "lost", "elsewhere"]))
ANY = {"state": STATES, "found": FOUND, "on_lost": st.sampled_from(["rerun", "ask"]), "rerun": st.booleans()}


@given(**ANY)
def test_every_state_of_an_open_box_has_a_decision_with_a_reason(**known):
    decision = decided(**known)
    assert isinstance(decision, Decision)
    assert decision.why
    assert decision.action in ("tick", "run", "ask", "elsewhere")


@given(**ANY)
def test_a_main_of_another_digest_is_never_reused_nor_its_test(**known):
    known["state"] = known["state"].replace(digest=THEN, main_digest=THEN, test_digest=THEN)
    known["found"] = known["found"].replace(digest=THEN)
    decision = decided(**known)
    lives = known["found"].status == "alive"  # a living MAIN is adopted whatever it does
    assert decision.main == "run" or (lives and decision.main == "adopt")
    assert decision.main == "adopt" or not decision.reuse_test


@given(**ANY)
def test_rerun_never_reuses(**known):
    decision = decided(**{**known, "rerun": True})
    assert (decision.main, decision.reuse_test) == ("run", False)


STEP = Step(7, "train", title="Train", main=Main(script="train.py", args=("--fast",), objective="Train it"))


def parts(step, script=b"print()", env=("B", "A"), dependencies=None):
    return first(step, script=script, env=env, dependencies=dependencies or {3: "abc"})


def main_with(**changes):
    return STEP.replace(main=STEP.main.replace(**changes))


@pytest.mark.parametrize(
    "other",
    [
        parts(STEP, script=b"print(1)"),
        parts(STEP, env=("A",)),
        parts(STEP, dependencies={3: "abd"}),
        parts(main_with(args=())),
        parts(main_with(script="", command="true")),
        parts(main_with(objective="Train it well")),
        parts(main_with(mode="background")),
        parts(main_with(agent="tinker-executor")),
        parts(main_with(chunks=(100,))),
    ],
)
def test_what_changes_what_main_does_is_in_its_digest(other):
    assert other != parts(STEP)


@pytest.mark.parametrize(
    "same",
    [
        parts(STEP, env=("A", "B")),
        parts(STEP.replace(title="Train the student", pre_flight=(Check("a", "command", "true"),))),
        parts(STEP.replace(post_validation=(Check("a", "command", "true"),))),
        parts(main_with(limit_s=5.0, on_lost="ask", criteria=(Criterion("good"),), sample=TestForm("none"))),
    ],
)
def test_what_only_judges_main_is_not_in_its_digest(same):
    assert same == parts(STEP)


@pytest.mark.parametrize("verdict", ["started", "lost"])
def test_a_job_whose_records_are_gone_is_asked_about(verdict):
    state = StepState(task_id="task_7_0000000a", verdict=verdict, digest=NOW)
    decision = decided(state=state, found=RunStatus(), on_lost="rerun", rerun=False)
    assert decision.action == "ask"
    assert "do-tasks mark-done 7" in decision.why
