"""Holds the fold of the log: a state is what its events say, in any pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.store.events import EVENTS
from executor.store.state import FOLDS, fold
from executor.store.step_state import NEW, AcceptedChunk, BegunChunk, StandingAlert, StepState, packed, unpacked

STATUSES = ("passed", "failed", "timed_out", "cancelled", "skipped", "interrupted", "lost")
TASKS = ("task_1_00000001", "task_1_00000002", "task_2_00000001")


def line(event, status="passed", **more):
    envelope = {"v": 1, "timestamp": "2026-11-22T09:00:00.000Z", "task_id": TASKS[0], "step": 1, "phase": "MAIN"}
    return {**envelope, "event": event, "status": status, **more}


def after(*lines):
    return fold({}, lines).get(1, NEW)


STARTED = line("TaskStarted", "started", digest="d1")
MAIN = line("MainFinished", run="main.1", timestamp="2026-11-22T09:01:00.000Z")
LINES = st.builds(
    line,
    st.sampled_from([*FOLDS]),
    st.sampled_from(STATUSES),
    task_id=st.sampled_from(TASKS),
    step=st.integers(1, 3),
    digest=st.sampled_from(["d1", "d2"]),
    run=st.sampled_from(["main.1", "main.2"]),
    timestamp=st.integers(0, 59).map("2026-11-22T09:{:02}:00.000Z".format),
)
UNFOLDED = [*sorted(set(EVENTS) - set(FOLDS) - {"StepsRenumbered"}), "OfTheFuture"]
NOISE = st.one_of(
    st.builds(line, st.sampled_from(UNFOLDED), step=st.integers(1, 3)),
    st.builds(line, st.sampled_from([*FOLDS]), step=st.sampled_from([None, "", 1.0, [1]])),
    st.just({}),
)


@given(st.lists(LINES, max_size=30), st.integers(0, 30))
def test_a_log_folded_in_two_halves_is_the_log_folded_whole(lines, cut):
    assert fold(fold({}, lines[:cut]), lines[cut:]) == fold({}, lines)


@given(st.lists(LINES, max_size=15), st.lists(st.tuples(st.integers(0, 15), NOISE), max_size=8))
def test_unknown_events_and_lines_without_a_step_change_nothing(lines, noise):
    noisy = list(lines)
    for at, one in noise:
        noisy.insert(at, one)
    assert fold({}, noisy) == fold({}, lines)


@given(st.lists(LINES, max_size=10))
def test_folding_leaves_what_it_was_given(lines):
    first = fold({}, lines)
    copy = dict(first)
    fold(first, [STARTED, MAIN])
    assert first == copy


def placeless(state):
    """The state without its places in the log: they are counted over all steps."""
    return state and state.replace(passed_place=0, main_place=0)


@given(st.lists(LINES, max_size=10))
def test_a_step_is_folded_alone(lines):
    only = [one for one in lines if one["step"] == 2]
    assert placeless(fold({}, lines).get(2)) == placeless(fold({}, only).get(2))


@pytest.mark.parametrize("event", [*FOLDS])
def test_what_is_folded_is_an_event_of_ours(event):
    assert event in EVENTS


def test_a_new_task_forgets_the_verdict_of_the_one_before_but_not_its_main():
    failed = [STARTED, MAIN, line("StepFailed", "failed", reason="bad", failed_in="POST")]
    state = after(*failed, {**STARTED, "task_id": TASKS[1]})
    assert (state.task_id, state.verdict, state.reason, state.failed_in) == (TASKS[1], "", "", "")
    assert (state.main_task, state.main_run, state.main_digest) == (TASKS[0], "main.1", "d1")


def test_a_main_that_failed_is_closed_and_not_kept():
    state = after(STARTED, line("MainFinished", "failed", run="main.1"))
    assert (state.run_closed, state.main_task) == (f"{TASKS[0]}/main.1", "")


def test_a_lost_main_is_closed():
    assert after(STARTED, line("MainLost", "lost", run="main.1")).run_closed == f"{TASKS[0]}/main.1"


@pytest.mark.parametrize(("status", "tested"), [("passed", "d1"), ("failed", ""), ("skipped", "")])
def test_only_a_test_that_passed_is_remembered(status, tested):
    assert after(STARTED, line("TestFinished", status)).test_digest == tested


@pytest.mark.parametrize(("digest", "tested"), [("d1", "d1"), ("d2", "")])
def test_a_test_is_remembered_over_a_resume_only_under_its_digest(digest, tested):
    state = after(STARTED, line("TestFinished"), line("TaskResumed", "started", digest=digest))
    assert (state.digest, state.test_digest) == (digest, tested)


@pytest.mark.parametrize("event", ["HandUntickSeen", "StepReopened"])
def test_a_box_that_a_person_opened_forgets_its_main(event):
    state = after(STARTED, MAIN, line("StepPassed"), line("SpecTicked"), line(event, "info"))
    assert (state.verdict, state.main_task, state.ticked) == ("reopened", "", False)


def test_a_step_is_passed_before_it_is_ticked():
    passed = after(STARTED, MAIN, line("StepPassed", note="1 proven"))
    assert (passed.verdict, passed.ticked, passed.note) == ("passed", False, "1 proven")
    assert after(STARTED, MAIN, line("StepPassed"), line("SpecTicked")).ticked


@pytest.mark.parametrize("status", ["failed", "timed_out", "cancelled", "lost"])
def test_the_verdict_of_a_failure_is_its_status(status):
    state = after(STARTED, line("StepFailed", status, reason="r", failed_in="MAIN"))
    assert (state.verdict, state.reason, state.failed_in) == (status, "r", "MAIN")


def test_a_tick_by_hand_is_noted_until_the_step_runs():
    assert after(line("HandTickSeen", "info", task_id="")).hand_seen
    assert not after(line("HandTickSeen", "info", task_id=""), STARTED).hand_seen


def test_a_state_with_records_is_read_back_from_the_cache_as_it_was():
    state = StepState(
        task_id="task_1_0000000a",
        alerts=(StandingAlert("loss/nan", "stop"),),
        chunks=(AcceptedChunk(1, 100, "ab", 0.5, "2:made@0"),),
        chunks_begun=(BegunChunk(2, "2:made@100", 0.25),),
    )
    states = {1: state, 2: StepState(task_id="task_2_0000000b")}
    assert unpacked(json.loads(json.dumps(packed(states)))) == states


def test_a_cache_whose_records_have_other_fields_is_not_read():
    body = json.loads(json.dumps(packed({1: StepState()})))
    body["records"][0] = ["key"]
    with pytest.raises(ValueError, match="another version"):
        unpacked(body)
