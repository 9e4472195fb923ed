"""Plans of other tools in the run loop: ids everywhere, ticks by hand, files that go back, agents, jobs."""

from __future__ import annotations

import json
import os

import pytest

from executor.checks.evidence import newest_record
from executor.store import runs
from executor.testing import bash, done
from tests.integration.agents import ROLE, SKILL, Play
from tests.integration.projects import Project, finish

PLAN = """\
# Tasks: toy

## Phase 1: Setup

- [ ] T001 Make the folder
- [ ] T002 [P] Write a.txt
- [ ] T003 [P] Write b.txt

## Phase 2: Core

- [ ] T004 Join them
- [ ] T005 Nobody defined this
- [ ] T006 Comes after T005
"""


def writes(task, **more):
    return {"id": task, "main": {"command": f"echo {task} >>ran.txt", "test": "none"}, **more}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.write("specs/001/tasks.md", PLAN)
    return project


def define(project, *entries, **settings):
    body = {"settings": {"plan": "specs/001/tasks.md", **settings}}
    project.write("step_definitions.yaml", json.dumps({**body, **{f"t{at}": one for at, one in enumerate(entries)}}))


def ran(project):
    path = project.root / "ran.txt"
    return path.read_text().split() if path.exists() else []


def plan_of(project):
    return project.text("specs/001/tasks.md")


def test_continue_runs_tasks_in_the_order_of_the_document_and_stops_at_the_undefined_one(project):
    define(project, *map(writes, ("T006", "T004", "T002", "T003", "T001")))
    run = project.run("--continue")
    assert run.code == 0
    assert ran(project) == ["T001", "T002", "T003", "T004"]
    assert "wait for tasks that are not defined: step T006" in run.out
    assert plan_of(project) == PLAN.replace("- [ ] T00", "- [X] T00", 4)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("T002", ["T002"]),
        ("T002-T004", ["T002", "T003", "T004"]),
        ("T001..T002,T004", ["T001", "T002", "T004"]),
        ("join", ["T004"]),
    ],
)
def test_step_takes_ids_ranges_of_ids_and_names(project, words, ids):
    define(project, *map(writes, ("T001", "T002", "T003", "T004")))
    assert project.run("--step", words).code == 0
    assert ran(project) == ids


def test_the_log_has_ids_and_task_ids_are_made_of_them(project):
    project.write("specs/001/tasks.md", "- [ ] 1.2 Ü\n## 1. Work\n- [ ] 1.1 Read\n- [ ] 1.2 Write\n")
    define(project, writes("1.1"))
    assert project.run("--step", "1.1").code == 0
    line = project.event("StepPassed")
    assert line["step"] == "1.1"
    assert line["task_id"].startswith("task_1_1_")
    assert project.run("why", "1.1").out.count(line["task_id"])


def test_a_task_that_passed_is_not_repeated_and_a_changed_one_says_so(project):
    define(project, writes("T001"))
    assert project.run("--step", "T001").code == 0
    assert "already done" in project.run("--step", "T001").out
    define(project, {"id": "T001", "main": {"command": "echo other >>ran.txt", "test": "none"}})
    assert "changed since it passed: command" in project.run("list").out
    assert ran(project) == ["T001"]


def test_a_file_that_goes_back_is_asked_about_and_ticked_again_from_the_log(project):
    define(project, writes("T001"))
    project.run("--step", "T001")
    project.write("specs/001/tasks.md", PLAN)  # git checkout, stash
    again = project.run("--continue")
    assert again.code == 3
    assert "do-tasks retick T001" in again.out + again.err
    assert project.run("retick", "T001").code == 0
    assert "[X] T001" in plan_of(project)
    assert ran(project) == ["T001"]


def test_a_tick_by_hand_counts_as_by_hand_and_no_proof(project):
    define(project, writes("T001"), writes("T002"), strict=True)
    project.write("specs/001/tasks.md", PLAN.replace("[ ] T001", "[X] T001"))
    rows = json.loads(project.run("list", "--json").out)["steps"]
    assert [(row["id"], row["tick"]) for row in rows if row["tick"]] == [("T001", "by_hand")]


def test_reopen_opens_the_box_and_the_task_runs_again(project):
    define(project, writes("T001"))
    project.run("--step", "T001")
    assert project.run("reopen", "T001", "--by", "me", "--reason", "again").code == 0
    assert plan_of(project) == PLAN
    assert project.run("--continue").code == 0
    assert ran(project) == ["T001", "T001"]


def test_a_failed_task_stays_open_and_its_reason_stands_in_the_side_file(project):
    define(project, {"id": "T001", "main": {"command": "exit 3", "test": "none"}})
    assert project.run("--continue").code == 1
    assert plan_of(project) == PLAN
    row = json.loads(project.run("list", "--json").out)["steps"][0]
    assert row["state"] == "failed"
    assert "exit 3" in project.run("why", "T001").out


def test_a_dependency_that_the_plan_writes_is_a_gate(project):
    project.write("specs/001/tasks.md", "- [ ] T001 First\n- [ ] T002 Second (depends on T001)\n- [ ] T003 Third\n")
    define(project, writes("T001"), writes("T002"))
    refused = project.run("--step", "T002")
    assert refused.code == 3
    assert "T001" in refused.out + refused.err
    assert project.run("--step", "T002", "--force").code == 0
    assert ran(project) == ["T002"]


def test_a_step_of_a_document_that_runs_again_makes_later_ones_not_stale(project):
    define(project, writes("T001"), writes("T002"))
    project.run("--continue")
    project.run("--step", "T001", "--rerun")
    assert project.run("--continue").code == 0
    assert ran(project) == ["T001", "T002", "T001"]


@pytest.mark.parametrize("task", ["T001 [done?]", "T002"])
def test_an_ambiguous_task_is_refused_before_it_runs(project, task):
    text = PLAN.replace("[ ] T001", "[?] T001").replace("T003", "T002")
    project.write("specs/001/tasks.md", text)
    define(project, writes("T001"), writes("T002"))
    run = project.run("--step", task.split()[0])
    assert run.code == 2
    assert "T00" in run.err
    assert ran(project) == []
    assert plan_of(project) == text


def test_two_plans_and_no_name_is_a_question(project):
    project.write("specs/002/tasks.md", PLAN)
    project.write("step_definitions.yaml", json.dumps({"a": writes("T001")}))
    run = project.run("list")
    assert run.code == 2
    assert "specs/001/tasks.md, specs/002/tasks.md" in run.err
    assert project.run("--plan", "specs/002/tasks.md", "--step", "T001").code == 0
    assert "[X] T001" in project.text("specs/002/tasks.md")
    assert plan_of(project) == PLAN


def test_ids_without_a_plan_of_another_tool_are_refused(project):
    project.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    project.write("step_definitions.yaml", json.dumps({"a": writes("T001")}))
    run = project.run("list")
    assert run.code == 2
    assert "settings: {plan: FILE}" in run.err


def test_a_background_job_is_marked_started_and_ticked_by_its_supervisor(project):
    job = {"command": "while ! test -e end; do sleep 0.1; done", "mode": "background", "test": "none"}
    define(project, {"id": "T001", "main": job}, writes("T002", depends_on=[]))
    assert project.run("--continue", "--no-wait").code == 0
    rows = json.loads(project.run("list", "--json").out)["steps"]
    assert rows[0]["state"] == "running"
    project.write("end", "")
    assert project.run("monitor", "T001", "--until", "finished", "--timeout", "60s").code == 0
    assert project.run("--continue").code == 0
    assert "[X] T001" in plan_of(project)
    assert project.event("SpecTicked", step="T001")["task_id"].startswith("task_T001_")


def test_an_agent_that_ticks_its_plan_fails_and_the_file_is_put_back(project):
    pytest.importorskip("anthropic")
    project.write(".claude/agents/AGENT.md", ROLE)
    project.write(".claude/skills/tinker-api/SKILL.md", SKILL)
    project.environ = {"ANTHROPIC_MODEL": "claude-scripted"}
    main = {"agent": "tinker-executor", "runner": "agent", "objective": "Write", "success_criteria": ["It is there"]}
    define(project, {"id": "T001", "main": main}, sandbox={"mode": "off"})
    script = [bash("sed -i 's/\\[ \\] T002/[X] T002/' specs/001/tasks.md"), done({"It is there": "yes"})]
    with Play(project, script) as scene:
        assert scene.run("--step", "T001").code == 1
    assert plan_of(project) == PLAN
    assert project.event("ProtectedRestored")["paths"] == ["specs/001/tasks.md"]


def test_a_plan_without_its_side_file_keeps_its_ticks_as_ticks_by_hand(project):
    define(project, writes("T001"))
    project.run("--step", "T001")
    side = next((project.root / ".do-tasks" / "plans").iterdir())
    os.unlink(side)  # as a lost disk would: the log has the pass, the plan a tick without a name
    rows = json.loads(project.run("list", "--json").out)["steps"]
    assert rows[0]["tick"] == "by_hand"
    assert project.run("--continue").code == 0
    assert ran(project) == ["T001"]


@pytest.fixture
def two(tmp_path):
    """Two plans of one project with the same id, as spec-kit numbers each feature from T001."""
    project = Project(tmp_path / "p")
    project.write("A/tasks.md", "# Tasks: A\n\n- [ ] T001 Login page\n")
    project.write("B/tasks.md", "# Tasks: B\n\n- [ ] T001 Billing page\n")
    entry = {"id": "T001", "main": {"command": "echo run >>runs; test ! -e broken", "test": "none"}}
    project.write("step_definitions.yaml", json.dumps({"t1": entry}))
    return project


def runs_of(project):
    return project.text("runs").count("run")


def test_evidence_of_one_plan_is_none_of_another(two):
    assert two.run("--plan", "A/tasks.md", "--step", "T001").code == 0
    assert json.loads(two.run("list", "--plan", "B/tasks.md", "--json").out)["steps"][0]["tick"] is None
    assert two.run("--plan", "B/tasks.md", "--continue").code == 0
    assert runs_of(two) == 2
    ticks = [
        json.loads(two.run("list", "--plan", name, "--json").out)["steps"][0] for name in ("A/tasks.md", "B/tasks.md")
    ]
    assert ticks[0]["task_id"] != ticks[1]["task_id"]
    assert [one["tick"] for one in ticks] == ["claimed", "claimed"]


def test_a_failure_in_one_plan_opens_no_box_of_another(two):
    assert two.run("--plan", "A/tasks.md", "--step", "T001").code == 0
    two.write("broken", "")
    assert two.run("--plan", "B/tasks.md", "--step", "T001").code == 1
    assert two.run("--plan", "A/tasks.md", "--continue").code == 0
    assert "[X] T001 Login" in two.text("A/tasks.md")
    assert runs_of(two) == 2


def test_a_pass_whose_tick_was_not_written_ticks_its_own_plan_alone(two):
    two.write("A/tasks.md", "# Tasks: A\n\n- [ ] T001 Login page\n- [ ] T002 More\n")
    entry = {"id": "T001", "main": {"command": "echo run >>runs; sed -i /T001/d A/tasks.md", "test": "none"}}
    two.write("step_definitions.yaml", json.dumps({"t1": entry}))
    assert two.run("--plan", "A/tasks.md", "--step", "T001").code != 0
    two.write(
        "step_definitions.yaml", json.dumps({"t1": {"id": "T001", "main": {"command": "exit 7", "test": "none"}}})
    )
    assert two.run("--plan", "B/tasks.md", "--continue").code == 1
    assert "[ ] T001 Billing" in two.text("B/tasks.md")


def test_a_reopened_task_of_one_plan_stays_done_in_another(two):
    for name in ("A/tasks.md", "B/tasks.md"):
        two.run("--plan", name, "--step", "T001")
    assert two.run("reopen", "--plan", "B/tasks.md", "T001", "--by", "me", "--reason", "x").code == 0
    assert "passed" in two.run("why", "--plan", "A/tasks.md", "T001").out
    assert two.run("--plan", "A/tasks.md", "--continue").code == 0
    assert runs_of(two) == 2


def test_a_main_whose_executor_was_killed_is_adopted_in_its_own_plan_alone(two):
    entry = {
        "id": "T001",
        "main": {"command": "echo run >>runs; while ! test -e end; do sleep 0.1; done", "test": "none"},
    }
    two.write("step_definitions.yaml", json.dumps({"t1": entry}))
    executor = two.start("--plan", "B/tasks.md", "--step", "T001")
    two.until_there("runs")
    executor.kill()
    finish(executor)
    two.write("end", "")
    assert two.run("--plan", "A/tasks.md", "--step", "T001").code == 0
    assert two.run("--plan", "B/tasks.md", "--step", "T001").code == 0
    assert runs_of(two) == 2
    assert len(two.events("MainAdopted")) == 1
    assert two.event("MainAdopted")["plan"] == "B/tasks.md"


def test_a_task_whose_text_changed_since_it_passed_says_so(project):
    define(project, writes("T001"))
    project.run("--step", "T001")
    project.write("specs/001/tasks.md", plan_of(project).replace("Make the folder", "Something wholly else"))
    assert "changed since it passed: text" in project.run("list").out


def test_a_task_whose_text_changes_while_it_runs_is_not_ticked(project):
    command = "sed -i 's/T001 Make the folder/T001 Delete it all/' specs/001/tasks.md; echo T001 >>ran.txt"
    define(project, {"id": "T001", "main": {"command": command, "test": "none"}})
    run = project.run("--step", "T001")
    assert run.code == 1
    assert "asks for something else since it began" in run.out
    assert "[ ] T001 Delete it all" in plan_of(project)


def test_an_id_that_is_in_no_plan_is_left_out_and_said(project):
    define(project, writes("T001"), writes("T099"))
    run = project.run("--all")
    assert run.code == 0
    assert "has no such task: step T099" in run.out
    assert ran(project) == ["T001"]


@pytest.mark.parametrize("others", [("T-1", "p"), ("T_1", "q")])
def test_a_record_of_evidence_is_of_one_task_of_one_plan(tmp_path, others):
    root = str(tmp_path)
    for task_id, step, plan in (("task_T_1_0000000a", "T_1", "p"), ("task_T_1_0000000b", *others)):
        runs.write_task(root, task_id, {"step": step, "plan": plan})
        (tmp_path / runs.JOBS / task_id / "before.x.json").write_text("{}")
        os.utime(tmp_path / runs.JOBS / task_id / "before.x.json", (1, 1 if task_id.endswith("a") else 2))
    assert "task_T_1_0000000a" in newest_record(root, "T_1", "", "p")
    assert "task_T_1_0000000b" in newest_record(root, *(others[0], "", others[1]))
    assert newest_record(root, "T_1", "") == ""


def test_a_plan_with_ids_lists_what_is_ready(project):
    define(project, *map(writes, ("T001", "T002", "T003", "T004")))
    assert [row["id"] for row in project.run("list", "--ready", "--json").json["steps"]] == ["T001"]
    project.run("--step", "T001")
    assert [row["id"] for row in project.run("list", "--ready", "--json").json["steps"]] == ["T002", "T003"]


def hand_in(project, number):
    """Claim every criterion of a task's open brief."""
    task = project.events("TaskStarted", step=number)[-1]["task_id"]
    folder = project.root / ".do-tasks" / "jobs" / task / "main.1"
    text = (folder / "brief.md").read_text()
    criteria = [line.split(". ", 1)[1] for line in text.split("\n") if line[:1].isdigit()]
    claims = {one: {"met": True, "evidence": "ran.txt, 5 bytes"} for one in criteria}
    (folder / "result.json").write_text(json.dumps({"criteria": claims}))
    return project.run("resume", task)


def test_an_agent_does_undefined_tasks_by_their_text_only_when_asked(project):
    define(project, *map(writes, ("T001", "T002", "T003", "T004", "T006")))
    assert "T005" in project.run("--all").out
    assert ran(project) == ["T001", "T002", "T003", "T004"]
    asked = project.run("--all", "--agent-from-text", "--runner", "host")
    assert ("Nobody defined this" in asked.out, asked.code) == (True, 3)
    handed = hand_in(project, "T005")
    assert "- [X] T005 Nobody defined this" in plan_of(project)
    assert "--agent-from-text" in handed.out
    assert project.run("list", "--json").json["steps"][4]["tick"] == "claimed"
    assert "T006" not in ran(project)


def test_a_setting_gives_undefined_tasks_to_an_agent(project):
    define(project, *map(writes, ("T001", "T002", "T003", "T004", "T006")), agent_from_text=True, runner="host")
    assert project.run("validate").code == 0
    assert [row["state"] for row in project.run("list", "--json").json["steps"]] == ["open"] * 6


def test_a_claimed_task_is_not_ticked_under_strict(project):
    define(project, agent_from_text=True)
    project.run("--step", "T001", "--runner", "host", "--strict")
    assert hand_in(project, "T001").code != 0
    assert "- [ ] T001" in plan_of(project)


def test_an_agent_gets_no_task_without_words_and_no_parent_of_open_tasks(project):
    tasks = [
        {
            "id": 1,
            "title": "Parent",
            "status": "pending",
            "subtasks": [{"id": 1, "title": "Child", "status": "pending"}],
        },
        {"id": 2, "title": "", "status": "pending"},
        {"id": 3, "title": "Alone", "status": "pending"},
    ]
    project.write("tasks.json", json.dumps({"master": {"tasks": tasks}}))
    project.write("step_definitions.yaml", json.dumps({"settings": {"plan": "tasks.json", "agent_from_text": True}}))
    states = {row["id"]: row["state"] for row in project.run("list", "--json").json["steps"]}
    assert states == {"1": "not defined", "1.1": "open", "2": "not defined", "3": "open"}


def test_a_task_of_an_agent_is_listed_and_explained_with_the_flag(project):
    define(project)
    project.run("--step", "T001", "--agent-from-text", "--runner", "host")
    assert "not defined" in project.run("list").out.split("\n")[0]
    assert "not defined" not in project.run("list", "--agent-from-text").out.split("\n")[0]
    assert project.run("why", "T001", "--agent-from-text").code == 0


def test_a_brief_that_is_out_by_the_text_of_a_task_is_read_and_checked_with_the_flag(project):
    project.run("--step", "T001", "--agent-from-text", "--runner", "host")
    shown = project.run("brief", "T001", "--agent-from-text")
    assert (shown.code, "## Objective" in shown.out) == (0, True), shown
    assert project.run("recheck", "--agent-from-text").code == 0
    assert "or give --agent-from-text" in project.run("brief", "T001").err


def test_steps_of_a_spec_are_not_done_from_their_text(project):
    project.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    project.write("step_definitions.yaml", "settings: {agent_from_text: true}\n")
    refused = project.run("--all")
    assert (refused.code, "agent_from_text is for plans of other tools" in refused.err) == (2, True)


def test_a_plan_without_definitions_is_done_by_its_text(project):
    asked = project.run("--step", "T001", "--agent-from-text", "--runner", "host")
    assert (asked.code, (project.root / "step_definitions.yaml").exists()) == (3, False)
    assert "--agent-from-text" in hand_in(project, "T001").out
    assert "- [X] T001" in plan_of(project)
    assert project.run("list").out.startswith("[x] T001")
    assert project.run("list", "--agent-from-text", "--json").json["steps"][0]["tick"] == "claimed"


@pytest.mark.parametrize("words", [("--continue",), ("validate",), ("--step", "T001"), ("why", "T001")])
def test_without_definitions_the_message_names_what_works(project, words):
    refused = project.run(*words)
    assert refused.code == 2
    assert "do-tasks import specs/001/tasks.md --scaffold, or" in refused.err
    assert "--agent-from-text" in refused.err


def test_settings_alone_are_definitions_where_an_agent_works_by_the_text(project):
    define(project, agent_from_text=True)
    assert "no step is defined" not in project.run("validate").out


def test_a_renamed_plan_keeps_what_its_side_file_and_the_log_know(project):
    define(project, writes("T001"), {"id": "T002", "main": {"command": "false", "test": "none"}})
    project.run("--all", "--keep-going")
    os.rename(project.root / "specs" / "001", project.root / "specs" / "login")
    define(project, writes("T001"), writes("T002"), plan="specs/login/tasks.md")
    rows = project.run("list", "--json").json["steps"]
    assert [row["state"] for row in rows[:2]] == ["done", "failed"]
    assert rows[0]["tick"] == "claimed"
    assert project.run("--all").code == 0
    assert ran(project) == ["T001", "T002"]
    (side,) = (project.root / ".do-tasks" / "plans").iterdir()
    body = json.loads(side.read_text())
    assert (body["plan"], body["formerly"]) == ("specs/login/tasks.md", ["specs/001/tasks.md"])


def test_a_plan_with_other_tasks_takes_no_side_file_of_one_that_is_gone(project):
    define(project, {"id": "T001", "main": {"command": "false", "test": "none"}})
    project.run("--all")
    os.unlink(project.root / "specs" / "001" / "tasks.md")
    project.write("specs/002/tasks.md", PLAN.replace("Join them", "Split them"))
    define(project, writes("T001"), plan="specs/002/tasks.md")
    assert project.run("list", "--json").json["steps"][0]["state"] == "open"


def test_an_archived_plan_keeps_its_ticks(project):
    project.write("openspec/changes/add/tasks.md", "## 1. Work\n- [ ] 1.1 Read\n")
    define(project, writes("1.1"), plan="openspec/changes/add/tasks.md")
    project.run("--all")
    assert project.run("archive").code == 0
    (moved,) = (project.root / "openspec" / "changes" / "archive").glob("*/tasks.md")
    define(project, writes("1.1"), plan=str(moved.relative_to(project.root)))
    assert project.run("list", "--json").json["steps"][0]["tick"] == "claimed"


def test_a_folder_of_task_files_stays_the_plan_when_they_are_archived(project):
    head = "---\nid: task-{0}\ntitle: Work {0}\nstatus: To Do\nassignee: []\ncreated_date: 2026-01-01\n---\n"
    for number in (1, 2):
        project.write(f"backlog/tasks/task-{number} - Work.md", head.format(number))
    define(project, writes("task-1"), writes("task-2"), plan="backlog/tasks")
    project.run("--step", "task-1")
    assert "completed" in project.run("archive").out
    assert [row["state"] for row in project.run("list", "--json").json["steps"]] == ["done", "open"]
    assert project.run("--continue").code == 0
    assert ran(project) == ["task-1", "task-2"]
    refused = project.run("lint", "backlog/tasks/task-1 - Work.md")
    assert "settings: {plan: backlog/tasks}" in refused.err


@pytest.mark.parametrize(("outputs", "code"), [([], 1), (["specs/002/tasks.md"], 0)])
def test_an_agent_of_one_plan_may_not_edit_another_unless_it_is_to_make_it(project, outputs, code):
    pytest.importorskip("anthropic")
    project.write(".claude/agents/AGENT.md", ROLE)
    project.write(".claude/skills/tinker-api/SKILL.md", SKILL)
    project.write("specs/002/tasks.md", PLAN)
    project.environ = {"ANTHROPIC_MODEL": "claude-scripted"}
    main = {"agent": "tinker-executor", "runner": "agent", "objective": "Write", "success_criteria": ["It is there"]}
    define(project, {"id": "T001", "main": main | {"outputs": outputs}}, sandbox={"mode": "off"})
    script = [bash("sed -i 's/\\[ \\] T002/[X] T002/' specs/002/tasks.md"), done({"It is there": "yes"})]
    with Play(project, script) as scene:
        assert scene.run("--step", "T001").code == code
    assert (project.text("specs/002/tasks.md") == PLAN) is (code == 1)
