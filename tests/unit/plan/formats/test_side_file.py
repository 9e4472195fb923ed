"""The side file keeps what a format has no place for, and what later versions add."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import SpecError
from executor.plan.formats.model import STATES, PlanDocument, PlanTask, TaskMark
from executor.plan.formats.side_file import SideFile, SideState, decoded, encoded, side_path, with_mark, with_states

KEYS = st.text(max_size=8)
MORE = st.dictionaries(st.text(min_size=1, max_size=4).map("x_{}".format), st.integers() | KEYS | st.none(), max_size=3)
STATE = st.builds(SideState, st.sampled_from(STATES), KEYS, KEYS, KEYS, st.sampled_from(("", *STATES)), KEYS, MORE)
MARK = TaskMark("done", task_id="task_T001_ab", time="2026-11-22 10:30")
TASK = PlanTask("T001", "Start", text="Start")


@given(side=st.builds(SideFile, st.just("docs/plan.md"), st.dictionaries(KEYS, STATE, max_size=4), st.just(1), MORE))
def test_a_round_trip_is_identity(side):
    assert decoded(encoded(side), "docs/plan.md") == side


def test_its_name_is_made_of_the_path_of_the_plan():
    assert side_path("docs/plan.md") == ".do-tasks/plans/61bf2008.json"


def test_keys_of_later_versions_are_kept():
    data = json.dumps({"v": 1, "plan": "p", "later": 1, "tasks": {"T9": {"state": "done", "proof": [1]}}}).encode()
    after = json.loads(encoded(with_mark(decoded(data, "p"), TASK, MARK)))
    assert after["later"] == 1
    assert after["tasks"]["T9"] == {"state": "done", "proof": [1]}
    assert after["tasks"]["T001"]["task_id"] == "task_T001_ab"


def test_a_second_mark_changes_nothing():
    once = with_mark(SideFile("p"), TASK, MARK)
    assert with_mark(once, TASK, MARK.replace(time="2026-11-22 11:00")) is once


def test_tasks_of_one_id_have_keys_of_their_own():
    side = with_mark(with_mark(SideFile("p"), TASK, MARK), TASK.replace(nth=2), MARK.replace(state="failed"))
    assert {key: one.state for key, one in side.tasks.items()} == {"T001": "done", "T001#2": "failed"}


@pytest.mark.parametrize(("now", "expected"), [("open", "done"), ("started", "started"), ("cancelled", "cancelled")])
def test_a_state_counts_until_the_plan_itself_changes(now, expected):
    side = with_mark(SideFile("p"), TASK, MARK)
    document = with_states(PlanDocument("report", (TASK.replace(state=now),)), side)
    assert [one.state for one in document.tasks] == [expected]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "no side file"),
        (b'{"v": 1, "tasks": {"a": {"state": "finished"}}}', "no known state"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_side_file_is_refused_with_its_path(data, reason):
    with pytest.raises(SpecError, match=rf"\.do-tasks/plans/\w{{8}}\.json: .*{reason}"):
        decoded(data, "p")


def test_a_later_version_is_read_and_never_written():
    side = decoded(b'{"v": 2, "plan": "p", "tasks": {"a": {"state": "done"}}}', "p")
    assert side.tasks["a"].state == "done"
    with pytest.raises(SpecError, match="update do-tasks"):
        encoded(side)
