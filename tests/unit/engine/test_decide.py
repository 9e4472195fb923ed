"""Holds the table of rules: what runs for a step, and why, from box, log, run folder and fingerprint."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.engine.decide import RULES, decide, rule_of
from executor.engine.step_view import MainView, StepView
from executor.errors import DefinitionError, DoTasksError, Problem, SpecError
from executor.plan.spec.spec_md import Box, Mark
from executor.store.step_state import NEW, StepState
from executor.store.task import Decision
from executor.store.ticks import line_fingerprint
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


def view(line=None, state=NEW, found=None, *, digest=NOW, on_lost="rerun", rerun=False, dependency_place=0, **more):
    """The facts about a step; `more` are other fields of StepView and MainView."""
    of_main = {name: more.pop(name) for name in ("is_job", "by_agent", "problem", "state_now") if name in more}
    older = more.pop("older_verdict", {})
    main = MainView(
        of_main.pop("state_now", state),
        found or RunStatus(),
        digest,
        on_lost=on_lost,
        dependency_place=dependency_place,
        **of_main,
    )
    return StepView(line or box(), state, lambda: main, lambda: older, rerun=rerun, **more)


def decided(*args, **named):
    return decide(view(*args, **named))


PROBLEM = Problem("step_definitions.yaml", "nothing to run", path="step_7_train.main")
OTHER_PASSED = {"event": "StepPassed", "step": 7}
OTHER_FAILED = {"event": "StepFailed", "step": 7, "status": "failed", "reason": "bad"}
TICKED_ELSEWHERE = {"line": box("x", "passed", OTHER), "state": PASSED}
WENT_BACK = PASSED.replace(ticked=True, lines=(line_fingerprint(box()),))
RECHECKED = PASSED.replace(rechecked=OTHER, recheck_full=True)
ERROR = "error"
ROWS = [
    # rule, a name for the row, the facts                        action, main, test reused, why (a part of it)
    (
        "tick contradicts the log",
        "",
        {"line": box("x", "passed"), "state": MAIN_FAILED},
        ERROR,
        "",
        "",
        "line 3 .* exit 1",
    ),
    (
        "tick needs a recheck for strict",
        "",
        {**TICKED_ELSEWHERE, "is_enough": False},
        *("recheck", "run", False, "not enough for strict; do-tasks recheck 7"),
    ),
    (
        "tick needs a recheck for strict",
        "of another number",
        {"line": box("x", "passed"), "state": PASSED, "is_enough": False, "is_of_other_work": True},
        *("recheck", "run", False, "not enough for strict"),
    ),
    (
        "tick contradicts an older verdict",
        "",
        {**TICKED_ELSEWHERE, "older_verdict": OTHER_FAILED},
        *(ERROR, "", "", "failed, bad"),
    ),
    (
        "ticked by an older task",
        "",
        {**TICKED_ELSEWHERE, "older_verdict": OTHER_PASSED},
        *("done", "run", False, "a pass before the last ones"),
    ),
    (
        "ticked by an older task",
        "of another step",
        {**TICKED_ELSEWHERE, "older_verdict": {**OTHER_PASSED, "step": 6}},
        *("done", "run", False, "a task of step 6"),
    ),
    ("ticked by hand", "", {"line": box("x")}, "done", "run", False, "ticked by hand"),
    ("ticked by hand", "marked done", {"line": box("x", "by_hand")}, "done", "run", False, "ticked by hand"),
    ("ticked by hand", "over a failure", {"line": box("x", "failed")}, "done", "run", False, "ticked by hand"),
    ("ticked elsewhere", "", TICKED_ELSEWHERE, "done", "run", False, "not in this log"),
    ("ticked elsewhere", "log gone", {"line": box("x", "passed")}, "done", "run", False, "not in this log"),
    ("rechecked", "", {"line": box("x", "rechecked", OTHER), "state": RECHECKED}, "done", "run", False, "rechecked as"),
    ("passed", "", {"line": box("x", "passed"), "state": PASSED}, "done", "run", False, f"passed as {TASK}"),
    ("started elsewhere", "", {"line": box("~", "started")}, "elsewhere", "run", False, "another clone"),
    ("passed, not ticked", "", {"state": PASSED}, "tick", "run", False, "the tick was not written"),
    (
        "passed, not ticked",
        "a ✗ stands",
        {"line": box(" ", "failed"), "state": PASSED},
        "tick",
        "run",
        False,
        "not written",
    ),
    ("passed, not ticked", "no line", {"state": PASSED.replace(line_lost=True)}, "tick", "run", False, "was missing"),
    ("line went back", "", {"state": WENT_BACK}, "back", "run", False, "do-tasks retick 7"),
    (
        "job without a verdict",
        "",
        {"state": OPEN, "found": seen("alive"), "is_job": True},
        *("attend", "run", False, "it is running"),
    ),
    (
        "job without a verdict",
        "of another fingerprint",
        {"state": OPEN, "found": seen("lost", digest=THEN), "is_job": True},
        *("attend", "run", False, "its process is gone; .*--rerun would end it"),
    ),
    ("brief is out", "", {"state": OPEN.replace(verdict="waiting")}, "wait", "run", False, f"resume {TASK}$"),
    (
        "brief is out",
        "of another fingerprint",
        {"state": OPEN.replace(verdict="waiting"), "digest": THEN},
        *("wait", "run", False, "--rerun gives a new brief"),
    ),
    ("condition does not hold", "", {"read_skip": lambda: "acc is 1"}, "skip", "run", False, "acc is 1"),
    ("cannot run as written", "", {"problem": PROBLEM}, ERROR, "", "", "step_7_train.main: nothing to run"),
    ("runs elsewhere", "", {"state": TRIED, "found": seen("elsewhere")}, "elsewhere", "run", False, "another host"),
    (
        "runs elsewhere",
        "rerun",
        {"state": TRIED, "found": seen("elsewhere"), "rerun": True},
        *("elsewhere", "run", False, "another host"),
    ),
    ("runs elsewhere", "a copy", {"state": TRIED, "found": seen("foreign")}, "elsewhere", "run", False, "is a copy"),
    ("runs elsewhere", "orphan", {"state": TRIED, "found": seen("orphan")}, "elsewhere", "run", False, "lives on"),
    ("must run again", "", {"state": POST_FAILED, "rerun": True}, "run", "run", False, "--rerun"),
    (
        "must run again",
        "a copy",
        {"state": TRIED, "found": seen("foreign"), "rerun": True},
        "run",
        "run",
        False,
        "--rerun",
    ),
    (
        "must run again",
        "ticked",
        {"line": box("x", "passed"), "state": PASSED, "rerun": True},
        "run",
        "run",
        False,
        "--rerun",
    ),
    ("must run again", "passed, not ticked", {"state": PASSED, "rerun": True}, "run", "run", False, "--rerun"),
    (
        "must run again",
        "lost, ask",
        {"state": TRIED, "found": seen("lost"), "on_lost": "ask", "rerun": True},
        *("run", "run", False, "--rerun"),
    ),
    (
        "must run again",
        "a dependency passed later",
        {"line": box("x", "passed"), "state": PASSED, "newer_dependency": 3},
        *("run", "run", False, "step 3, which it depends on, passed after it"),
    ),
    (
        "must run again",
        "changed since",
        {"line": box("x", "passed"), "state": PASSED, "changed": ("script",)},
        *("run", "run", False, "changed since it passed: script"),
    ),
    ("box opened by hand", "", {"state": PASSED.replace(ticked=True)}, "run", "run", False, "opened by hand"),
    ("reopened", "", {"state": StepState(task_id=TASK, verdict="reopened")}, "run", "run", False, "reopened"),
    ("not run before", "", {}, "run", "run", False, "not run before"),
    (
        "not run before",
        "ticked by hand under strict",
        {"line": box("x"), "is_enough": False},
        *("run", "run", False, "ticked by hand, which is not enough for strict; not run before"),
    ),
    (
        "interrupted after MAIN",
        "died in POST",
        {"state": TRIED.replace(run_closed=CLOSED, **EXITED_0), "found": seen("exited")},
        *("run", "reuse", True, "is not repeated"),
    ),
    (
        "interrupted after MAIN",
        "",
        {"state": TRIED.replace(verdict="interrupted", run_closed=CLOSED, **EXITED_0), "found": seen("exited")},
        *("run", "reuse", True, "is not repeated"),
    ),
    ("run records are gone", "", {"state": OPEN.replace(verdict="lost")}, "ask", "run", False, "do-tasks mark-done 7"),
    ("run records are gone", "started", {"state": OPEN.replace(verdict="started")}, "ask", "run", False, "mark-done 7"),
    (
        "lost, on_lost: ask",
        "",
        {"state": TRIED, "found": seen("lost"), "on_lost": "ask"},
        "ask",
        "run",
        False,
        "is lost",
    ),
    (
        "lost, on_lost: ask",
        "while we watched",
        {"state": TRIED.replace(verdict="lost", run_closed=CLOSED), "found": seen("exited"), "on_lost": "ask"},
        *("ask", "run", False, "is lost"),
    ),
    ("interrupted before MAIN ended", "in PRE", {"state": OPEN}, "run", "run", False, "before MAIN ended"),
    ("interrupted before MAIN ended", "after TEST", {"state": TRIED}, "run", "run", True, "before MAIN ended"),
    (
        "interrupted before MAIN ended",
        "after TEST, changed",
        {"state": TRIED, "digest": THEN},
        *("run", "run", False, "before MAIN ended"),
    ),
    (
        "interrupted before MAIN ended",
        "in the handshake",
        {"state": TRIED, "found": seen("never_ran")},
        *("run", "run", True, "before MAIN ended"),
    ),
    (
        "interrupted before MAIN ended",
        "MAIN failed, died before the verdict",
        {"state": TRIED.replace(run_closed=CLOSED), "found": seen("exited")},
        *("run", "run", True, "before MAIN ended"),
    ),
    (
        "interrupted before MAIN ended",
        "died in POST, changed",
        {"state": TRIED.replace(run_closed=CLOSED, **EXITED_0), "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "before MAIN ended"),
    ),
    (
        "interrupted before MAIN ended",
        "in POST, a dependency ran later",
        {
            "state": TRIED.replace(verdict="interrupted", run_closed=CLOSED, **EXITED_0),
            "found": seen("exited"),
            "dependency_place": SECOND,
        },
        *("run", "run", True, "before MAIN ended"),
    ),
    ("MAIN lost", "", {"state": TRIED, "found": seen("lost")}, "run", "run", True, "MAIN was lost"),
    ("MAIN lost", "changed", {"state": TRIED, "found": seen("lost"), "digest": THEN}, "run", "run", False, "was lost"),
    (
        "MAIN ended, and has changed",
        "",
        {"state": TRIED, "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "has changed since"),
    ),
    ("MAIN to adopt", "lives", {"state": TRIED, "found": seen("alive")}, "run", "adopt", True, "still running"),
    ("MAIN to adopt", "ended", {"state": TRIED, "found": seen("exited")}, "run", "adopt", True, "nobody watched"),
    (
        "MAIN to adopt",
        "lives, changed",
        {"state": TRIED, "found": seen("alive", digest=THEN), "digest": NOW},
        *("run", "adopt", True, "--rerun would end it"),
    ),
    (
        "failed, MAIN runs again",
        "changed",
        {"state": POST_FAILED, "found": seen("exited"), "digest": THEN},
        *("run", "run", False, "has changed since"),
    ),
    (
        "failed, MAIN runs again",
        "a dependency ran later",
        {"state": POST_FAILED, "found": seen("exited"), "dependency_place": SECOND},
        *("run", "run", False, "ran later"),
    ),
    (
        "failed, MAIN runs again",
        "an alert stood",
        {"state": POST_FAILED.replace(stood=("loss/nan",)), "found": seen("exited")},
        *("run", "run", False, "alert loss/nan stood at its end"),
    ),
    (
        "failed, MAIN runs again",
        "of an agent",
        {"state": POST_FAILED, "found": seen("exited"), "by_agent": True},
        *("run", "run", False, "the agent begins anew"),
    ),
    (
        "failed, MAIN runs again",
        "",
        {"state": MAIN_FAILED, "found": seen("exited")},
        "run",
        "run",
        False,
        "not passed yet",
    ),
    (
        "failed, MAIN runs again",
        "timed out",
        {"state": MAIN_FAILED.replace(verdict="timed_out")},
        *("run", "run", False, "timed_out before"),
    ),
    (
        "failed, MAIN runs again",
        "stopped",
        {"state": MAIN_FAILED.replace(verdict="cancelled")},
        *("run", "run", False, "cancelled before"),
    ),
    (
        "failed after MAIN",
        "",
        {"state": POST_FAILED, "found": seen("exited")},
        "run",
        "reuse",
        True,
        "failed before: bad",
    ),
    (
        "failed after MAIN",
        "a dependency ran before",
        {"state": POST_FAILED.replace(main_place=SECOND), "found": seen("exited"), "dependency_place": FIRST},
        *("run", "reuse", True, "is not repeated"),
    ),
    (
        "failed after MAIN",
        "only its checks changed",
        {
            "line": box("x", "passed"),
            "state": PASSED,
            "changed": ("checks",),
            "state_now": PASSED.replace(verdict="failed", failed_in="POST"),
            "found": seen("exited"),
        },
        *("run", "reuse", True, "changed since it passed: checks"),
    ),
]


@pytest.mark.parametrize(
    ("rule", "given_", "action", "main", "reuse_test", "why"),
    [(row[0], *row[2:]) for row in ROWS],
    ids=[", ".join(filter(None, row[:2])) for row in ROWS],
)
def test_the_first_rule_that_holds_decides(rule, given_, action, main, reuse_test, why):
    facts = view(**given_)
    assert rule_of(facts).name == rule
    if action == ERROR:
        with pytest.raises(DoTasksError, match=why):
            decide(facts)
        return
    decision = decide(facts)
    assert (decision.action, decision.main, decision.reuse_test) == (action, main, reuse_test)
    assert re.search(why, decision.why), decision.why


def outcome(rules, facts):
    """The decision of the first of these rules that holds, or the text of its error; None where none holds."""
    try:
        return next((rule.decision(facts) for rule in rules if rule.holds(facts)), None)
    except DoTasksError as error:
        return str(error)


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_each_rule_is_reached_and_needed(rule):
    others = [one for one in RULES if one is not rule]
    rows = [view(**row[2]) for row in ROWS if row[0] == rule.name]
    assert any(outcome(RULES, facts) != outcome(others, facts) for facts in rows)


def test_the_names_of_rules_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_ticked_box_is_decided_without_a_look_at_main():
    facts = view(box("x", "passed"), PASSED).replace(read_main=lambda: pytest.fail("MAIN was read"))
    assert decide(facts).action == "done"


def test_main_is_read_once_a_decision():
    looks = []
    main = view(state=TRIED, found=seen("alive")).main
    decide(view(state=TRIED).replace(read_main=lambda: looks.append(1) or main))
    assert looks == [1]


def test_a_definition_that_cannot_run_is_an_error_of_the_definitions():
    with pytest.raises(DefinitionError):
        decided(problem=PROBLEM)


def test_a_living_run_that_is_not_adopted_is_named_to_be_stopped():
    assert decided(state=TRIED, found=seen("alive"), rerun=True).stop_run == "main.1"
    assert decided(state=TRIED, found=seen("alive")).stop_run == ""


def test_an_adopted_run_keeps_the_fingerprint_that_it_began_with():
    assert decided(state=TRIED, found=seen("alive", digest=THEN)).digest == THEN


def test_a_tick_that_a_person_accepted_is_not_enough_for_strict():
    accepted = PASSED.replace(passed_accepted="Ann")
    assert "after a person accepted" in decided(box("x", "passed"), accepted, seen("exited"), is_enough=False).why


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


def test_a_lost_run_is_named_where_an_earlier_one_is_reused():
    decision = decided(state=POST_FAILED.replace(verdict="", run_closed=""), found=seen("lost"))
    assert (decision.main, decision.lost_run) == ("reuse", "main.1")


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
