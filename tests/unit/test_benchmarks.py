"""The harness's own arithmetic, its judgement, the projects it writes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks import append, evidence, trace_step
from benchmarks.goals import GOALS, Goal, Verdict, judged
from benchmarks.measure import BenchError, Row, Sample, Series, interleave, timed
from benchmarks.peers import PEERS, Generated
from benchmarks.projects import DoTasks, Floor, Load, Memory, expected_marks, interpreter_of, pad_log, plan_text
from benchmarks.report import Machine, document, result_table
from benchmarks.verify import verified
from benchmarks.workloads import WORKLOADS, Result, Sizes
from executor.plan.schema import schema_issues
from executor.plan.spec.spec_md import boxes
from executor.plan.yaml_loader import load as loaded


def series(name, *wall_ms, cpu_ms=1.0, units=1, given_s=0.0):
    return Series(name, tuple(Sample(wall / 1e3, cpu_ms / 1e3, 7.0) for wall in wall_ms), units, given_s)


def goal(unit="x", at_most=2.0, against="other"):
    return Goal("a claim", "w", "ours", against, at_most, unit)


def measured(ours, other):
    return {"w": {"ours": ours, "other": other}}


def test_a_series_is_read_as_its_median_and_least_per_unit():
    entry = series("x", 30.0, 10.0, 20.0, units=2)
    assert (entry.wall_s, entry.wall_min_s) == (0.01, 0.005)


def test_the_given_time_is_no_cost():
    assert series("x", 250.0, given_s=0.2).wall_s == pytest.approx(0.05)


def test_a_ratio_at_the_limit_is_met():
    assert judged(goal(), measured(series("a", 20.0), series("b", 10.0)), busy=False).verdict == Verdict.MET


def test_a_ratio_above_the_limit_is_missed():
    assert judged(goal(), measured(series("a", 21.0), series("b", 10.0)), busy=False).verdict == Verdict.MISSED


def test_on_a_busy_machine_the_cpu_ratio_decides():
    rows = measured(series("a", 90.0, cpu_ms=1.0), series("b", 10.0, cpu_ms=1.0))
    assert judged(goal(), rows, busy=True).verdict == Verdict.MET


def test_a_difference_is_told_in_milliseconds():
    rows = measured(series("a", 25.0), series("b", 10.0))
    assert judged(goal("ms more"), rows, busy=False).wall == pytest.approx(15.0)


def test_a_peak_needs_no_other_row():
    found = judged(goal("MiB", 8.0, against=""), measured(series("a", 1.0), series("b", 1.0)), busy=False)
    assert (found.wall, found.verdict) == (7.0, Verdict.MET)


def test_what_was_not_measured_is_not_judged():
    assert judged(goal(), {}, busy=False).verdict == Verdict.UNKNOWN


def test_a_row_that_failed_is_a_miss():
    assert judged(goal(), {"w": {"other": series("b", 10.0)}}, busy=False).verdict == Verdict.MISSED


def test_every_goal_names_a_workload_that_is_run():
    keys = set(WORKLOADS) | {f"list-{count}" for count in Sizes().lists}
    assert {entry.workload for entry in GOALS} <= keys


def test_a_table_gives_both_ratios():
    result = Result("w", "title", "floor", [series("floor", 10.0), series("do-tasks", 20.0), series("doit", 40.0)])
    assert result_table(result).splitlines()[-1] == "| doit | 40.00 | 40.00 | 1.00 | 1.00 | 4.00 | 1.00 | 0.50 | 1.00 |"


def test_the_page_shows_a_miss():
    result = Result("w", "title", "other", [series("ours", 30.0), series("other", 10.0)])
    page = document(Machine(2, "Linux", "3.11", 0.0, 0.0), [goal()], [result], [Floor("python")], [])
    assert "| a claim: ours ÷ other | 2 x | 3.00 | 1.00 | **missed** |" in page


def test_the_page_says_when_the_floor_itself_misses():
    rows = [series("ours", 40.0, cpu_ms=4.0), series("other", 10.0), series("floor", 30.0, cpu_ms=3.0)]
    page = document(Machine(2, "Linux", "3.11", 0.0, 0.0), [goal()], [Result("w", "title", "floor", rows)], [], [])
    assert "- a claim ÷ other: the floor alone is 3.00 in wall and 3.00 in CPU" in page


def test_rows_take_turns(tmp_path):
    order = []
    rows = [Row(name, ["true"], tmp_path, lambda name=name: order.append(name)) for name in "ab"]
    interleave(rows, rounds=2, cap_s=10.0)
    assert order == ["a", "b"] * 3


def test_a_row_that_fails_is_left_out_by_name(tmp_path):
    counted, notes = interleave([Row("good", ["true"], tmp_path), Row("bad", ["false"], tmp_path)], 1, 10.0)
    assert ([entry.name for entry in counted], notes) == (["good"], ["bad is left out: false: exit 1"])


def test_a_run_over_its_limit_is_ended(tmp_path):
    with pytest.raises(BenchError, match=r"over 0\.1 s"):
        timed(["sleep", "60"], tmp_path, limit_s=0.1)


@pytest.mark.parametrize("load", [Load(1), Load(3, 3, 2), Load(2, 3, 2, marks=True), Load(1, 3, check="sleep 0.2")])
def test_the_plans_written_for_do_tasks_are_valid(load):
    plan = loaded(plan_text(load).encode(), file="step_definitions.yaml")
    assert schema_issues(plan) == []


def test_the_spec_written_has_a_box_for_each_step(tmp_path):
    DoTasks("do-tasks").write(tmp_path / "p", Load(12))
    assert [box.number for box in boxes((tmp_path / "p" / "SPEC.md").read_bytes())] == list(range(1, 13))


def test_marks_count_each_command_once_and_test_apart():
    counted = expected_marks(Load(2, 1, 1, marks=True), 2, tests_first=True)
    assert counted == Counter(["p2_0", "m2_0", "q2_0", "t2_0"])


@pytest.mark.parametrize("kind", [kind for kind in PEERS if issubclass(kind, Generated)])
def test_the_files_written_for_peers_are_python(kind, tmp_path):
    kind("peer").write(tmp_path / "p", Load(2, 3, 2, check="it's"))
    assert ast.parse((tmp_path / "p" / kind.file).read_text()).body


def test_the_floor_does_the_work_that_is_timed(tmp_path):
    assert verified(Floor(sys.executable), tmp_path) == ""


def test_a_tool_that_does_nothing_is_found_out(tmp_path):
    assert "not run ['m1_0'" in verified(DoTasks("true"), tmp_path)


def test_a_padded_log_keeps_its_history_last_and_its_inode(tmp_path):
    log = tmp_path / "log"
    history = b'{"task_id": "task_1_a1b2c3d4"}\n{"task_id": "task_2_00000000"}\n'
    log.write_bytes(history)
    inode = log.stat().st_ino
    pad_log(log, 1000)
    assert (log.stat().st_ino, log.read_bytes().endswith(history), log.stat().st_size >= 1000) == (inode, True, True)


def test_padding_is_of_other_tasks(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b'{"task_id": "task_1_a1b2c3d4"}\n')
    pad_log(log, 1000)
    lines = log.read_bytes().splitlines()
    assert len(set(lines)) == len(lines)


def test_a_memory_takes_back_what_a_step_changed(tmp_path):
    jobs = tmp_path / ".do-tasks" / "jobs"
    (jobs / "task_1_a1b2c3d4").mkdir(parents=True)
    (tmp_path / "SPEC.md").write_text("old")
    (tmp_path / ".task_execution.log").write_text("old\n")
    memory = Memory.of(tmp_path)
    (jobs / "task_2_a1b2c3d4").mkdir()
    (tmp_path / "SPEC.md").write_text("new")
    (tmp_path / ".task_execution.log").write_text("old\nnew\n")
    memory.restore(tmp_path)
    assert Memory.of(tmp_path) == memory


def test_a_project_that_is_forgotten_keeps_its_plan_and_deletes_nothing(tmp_path):
    tool, folder = DoTasks("do-tasks"), tmp_path / "p"
    tool.write(folder, Load(1))
    job = folder / ".do-tasks" / "jobs" / "task_1_a1b2c3d4"
    job.mkdir(parents=True)
    (job / "task.json").write_text("{}")
    tool.forget(folder)
    assert [*(folder / ".do-tasks").iterdir()] == []
    assert len([*tmp_path.glob("forgotten-*/jobs/task_1_a1b2c3d4/task.json")]) == 1


def test_each_row_of_evidence_can_be_timed(tmp_path):
    assert all(evidence.spent(work) > (0.0, 0.0) for work in evidence.rows(tmp_path, files=2).values())


@pytest.mark.parametrize("writer", [append.do_tasks, append.do_tasks_with_a_secret])
def test_an_event_is_appended_as_in_a_run(writer, tmp_path):
    append.spent(writer(tmp_path / "log"), events=2)
    assert [line["event"] for line in map(json.loads, (tmp_path / "log").read_text().splitlines())] == [
        "CheckFinished"
    ] * 2


@pytest.mark.parametrize("head", ["#!{python}\n", '#!/bin/sh\n\'\'\'exec\' "{python}" "$0" "$@"\n'])
def test_the_interpreter_is_read_from_a_console_script(head, tmp_path):
    script = tmp_path / "do-tasks"
    script.write_text(head.format(python=sys.executable))
    assert interpreter_of(str(script)) == sys.executable


def test_a_stack_that_leaves_a_package_and_enters_it_again_is_reported():
    way = [("engine/step.py", "run_step"), ("runners/agent_run.py", "attempt"), ("engine/phases.py", "main")]
    assert trace_step.returning(way) == ["engine"]


def test_the_way_of_a_step_enters_no_package_twice():
    done = subprocess.run(
        [sys.executable, trace_step.__file__], capture_output=True, text=True, timeout=120, check=True, cwd="/"
    )
    assert "spawn of MAIN: depth" in done.stdout
    assert "write of SPEC.md: depth" in done.stdout
    assert "entered twice" not in done.stdout
