"""Tests of what is found in a plan that contradicts itself: one row a kind."""

from __future__ import annotations

import pytest

from executor.plan.contradictions import contradictions
from executor.plan.formats.model import Finding, PlanDocument, PlanTask


def task(name: str, *needs: str, **more: object) -> PlanTask:
    return PlanTask(name, f"do {name}", **{"depends_on": needs, "line": 10 + len(name), **more})


CRITERIA = "Each task must have at least 2 acceptance criteria.\n"
ROWS = {
    "missing-dependency": ([task("a", "x")], "a depends on x"),
    "circular-dependency": ([task("a", "b"), task("b", "a")], "a -> b -> a"),
    "done-with-open-dependency": ([task("a"), task("b", "a", state="done")], "b is done, its dependency a is open"),
    "edge-to-later-phase": ([task("a", "b", phase="1"), task("b", phase="2")], "later phase 2"),
    "done-over-open": ([task("a", state="done"), task("a1", parent="a")], "its part a1 is not"),
    "open-over-done": ([task("a"), task("a1", parent="a", state="done")], "all its parts are done"),
    "done-under-active": ([task("a", state="done", section="Active Tasks")], "stands under 'Active Tasks'"),
    "open-under-completed": ([task("a", section="Completed Tasks (Recent)")], "tick it, or move it"),
    "edge-in-parallel-group": ([task("a", parallel=True), task("b", "a", parallel=True)], "parallel to a"),
    "ambiguous": ([task("a", ambiguous="an unclosed fence")], "never ticked: an unclosed fence"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_each_kind_is_found_with_its_line_and_what_would_have_to_be_true(kind):
    tasks, words = ROWS[kind]
    found = [one for one in contradictions("PLAN.md", PlanDocument("test", tuple(tasks))) if one.kind == kind]
    assert len(found) == 1
    assert found[0].file == "PLAN.md"
    assert found[0].line in {one.line for one in tasks}
    assert words in found[0].message


@pytest.mark.parametrize(
    "tasks",
    [
        [task("a", state="done"), task("b", "a")],
        [task("a", state="cancelled"), task("b", "a", state="done")],
        [task("a", phase="1"), task("b", "a", phase="2")],
        [task("a"), task("a1", parent="a", state="done"), task("a2", parent="a")],
        [task("a", parallel=True), task("b"), task("c", "a", parallel=True)],
        [task("a", state="done", section="Completed"), task("b", section="Active")],
        [task("a", state="done", section="Phase 1: Setup")],
    ],
)
def test_a_plan_that_adds_up_has_no_finding(tasks):
    assert contradictions("PLAN.md", PlanDocument("test", tuple(tasks))) == ()


def test_a_critical_path_is_held_against_the_longest_and_against_the_edges():
    tasks = (task("a", estimate_h=1.0), task("b", "a", estimate_h=2.0), task("c", estimate_h=1.0))
    document = PlanDocument("test", tasks, critical_path=("a", "c"), critical_line=3)
    found = {one.kind: one for one in contradictions("PLAN.md", document)}
    assert found["critical-path-without-edge"].line == 3
    assert "a -> b has 3h" in found["critical-path-not-longest"].message
    assert contradictions("PLAN.md", document.replace(critical_path=("a", "b"))) == ()


def test_a_rule_that_the_plan_sets_itself_is_asked_of_every_task():
    tasks = (task("a", criteria=("one", "two")), task("b", criteria=("one",)))
    found = contradictions("PLAN.md", PlanDocument("test", tasks), f"# Plan\n{CRITERIA}")
    assert [one.message for one in found] == ["b has 1 criteria, line 2 demands at least 2 of every task"]


def test_findings_of_the_format_come_first_and_a_finding_is_not_repeated():
    own = Finding("PLAN.md", 11, "unknown-mark", "[?] is no mark here")
    document = PlanDocument("test", (task("a", ambiguous="unknown mark"),), findings=(own, own))
    assert contradictions("PLAN.md", document) == (own,)
