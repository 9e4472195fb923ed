"""An agent whose executor, or itself, is killed in mid-turn: one conversation goes on, no second agent starts."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from executor.testing import bash, done
from tests.integration.agents import CLAIMS, Play, poem, project_in
from tests.integration.projects import alive, finish, until

pytest.importorskip("anthropic")
WRITE = "printf 'a\\nb\\na\\nb\\n' >poem.txt"
SLOW = bash(f"echo $$ >shell.pid; sleep 1.5; {WRITE}; echo slept")


@pytest.fixture
def project(tmp_path):
    return project_in(tmp_path / "p")


def agent_pids(project):
    """The launcher, which is on record, and the process of the loop that it started."""
    launcher = psutil.Process(project.events("MainStarted")[-1]["pid"])
    until(launcher.children, "the launcher started nothing")
    return launcher.pid, launcher.children()[0].pid


def agent_pid(project):
    return agent_pids(project)[1]


def sleepers_in(project):
    """The sleeps that live in the project's folder."""
    wanted = {"name": "sleep", "cwd": str(project.root)}
    return [one for one in psutil.process_iter(["name", "cwd"]) if one.info == wanted]


def in_its_first_command(project, scene):
    process = project.start("--step", "1")
    project.until_there("shell.pid")
    return process


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_an_agent_outlives_its_executor_and_is_adopted(project):
    with Play(poem(project), [SLOW, done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid)
        finish(executor)
        again = scene.run("--continue")
        assert again.code == 0, again
        assert len(project.events("MainStarted")) == 1
        assert len(project.events("MainAdopted")) == 1
        assert [line["turn"] for line in project.events("AgentTurned")] == [1, 2]
        scene.server.check()


def test_one_that_ended_while_nobody_watched_is_judged_and_not_sent_out_again(project):
    with Play(poem(project), [SLOW, done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        kill(executor.pid)
        finish(executor)
        until(lambda: not alive(agent), "the agent never ended")
        assert "- [ ] **STEP 1**" in project.spec
        assert scene.run("--continue").code == 0
        assert len(project.events("MainStarted")) == 1
        assert len(scene.requests) == 2


@pytest.mark.parametrize("whole", [True, False], ids=["with its launcher", "alone"])
def test_a_killed_agent_s_conversation_goes_on_in_a_new_run(project, whole):
    with Play(poem(project), [SLOW, bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid, *agent_pids(project)[0 if whole else 1 :])
        finish(executor)
        again = scene.run("--continue")
        assert again.code == 0, again
        assert [line["run"] for line in project.events("MainStarted")] == ["main.1", "main.2"]
        assert len({line["task_id"] for line in project.events("MainStarted")}) == 1
        (answer,) = scene.answers(2)
        assert "Whether it took effect is not known" in answer.text
        assert len(scene.requests) == 3
        scene.server.check()


def test_the_command_of_a_killed_agent_dies_too(project):
    with Play(poem(project), [bash("echo $$ >shell.pid; sleep 60"), bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        until(lambda: sleepers_in(project), "no sleep was started")
        kill(executor.pid, *agent_pids(project))
        finish(executor)
        assert scene.run("--continue").code == 0
        assert not sleepers_in(project)


def test_an_agent_killed_under_its_executor_is_lost_and_goes_on_when_asked(project):
    with Play(poem(project), [SLOW, bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(agent_pid(project))
        ended = finish(executor)
        assert ended.code == 1, ended
        assert project.event("StepFailed")["status"] == "lost"
        assert scene.run("--continue").code == 0
        assert len({line["task_id"] for line in project.events("MainStarted")}) == 1
        assert len(scene.requests) == 3


@pytest.mark.parametrize("whole", [True, False], ids=["with its launcher", "alone"])
def test_what_post_found_is_told_though_the_agent_died_before_it_heard_it(project, whole):
    with Play(poem(project), [bash("echo one >poem.txt"), done(CLAIMS), bash(WRITE), done(CLAIMS)]) as scene:
        executor = project.start("--step", "1")
        until(lambda: len(project.events("MainStarted")) > 1, "there was no second round")
        kill(executor.pid, *agent_pids(project)[0 if whole else 1 :])
        finish(executor)
        task_id = project.event("TaskStarted")["task_id"]
        assert not (project.root / ".do-tasks/jobs" / task_id / "main.2/trajectory.json").exists()
        assert scene.run("--continue").code == 0
        (answer,) = scene.answers(3)
        assert answer.text.startswith("Not accepted")
        assert len({line["task_id"] for line in project.events("MainStarted")}) == 1
        scene.server.check()


def test_the_trajectory_is_whole_at_any_moment(project):
    with Play(poem(project), [SLOW, done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid, agent_pid(project))
        finish(executor)
        kept = scene.trajectory()
        assert [one["role"] for one in kept["messages"]] == ["user", "assistant"]
        assert kept["info"]["spent"]["turns"] == 1


def test_ctrl_c_ends_the_agent_and_continue_goes_on(project):
    with Play(poem(project), [bash("echo $$ >shell.pid; sleep 60"), bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        executor.send_signal(signal.SIGINT)
        assert finish(executor).code == 130
        assert not alive(agent)
        assert scene.run("--continue").code == 0
        assert len({line["task_id"] for line in project.events("MainStarted")}) == 1
        scene.server.check()


def test_do_tasks_stop_ends_the_agent(project):
    with Play(poem(project), [bash("echo $$ >shell.pid; sleep 60")]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        assert project.run("stop", project.events("MainStarted")[0]["task_id"]).code == 0
        assert finish(executor).code == 1
        assert not alive(agent)
        assert project.event("StepFailed")["status"] == "cancelled"


def test_the_time_limit_of_main_ends_the_agent_with_what_it_runs(project):
    with Play(poem(project, timeout=1.5), [bash("echo $$ >shell.pid; sleep 60")]) as scene:
        ran = scene.run()
        assert ran.code == 1, ran
        assert project.event("StepFailed")["status"] in ("timed_out", "failed")
        assert not sleepers_in(project)


def test_killed_between_two_rounds_it_goes_on_with_the_next(project):
    slow_check = {"task": "lines", "command": "echo x >asked; sleep 1; test 4 = $(wc -l <poem.txt)"}
    plan = poem(project, step={"post_validation": [slow_check]})
    with Play(plan, [bash("echo one >poem.txt"), done(CLAIMS), bash(WRITE), done(CLAIMS)]) as scene:
        executor = project.start("--step", "1")
        project.until_there("asked")
        kill(executor.pid)
        finish(executor)
        again = scene.run("--continue")
        assert again.code == 0, again
        assert [line["run"] for line in project.events("MainStarted")] == ["main.1", "main.2"]
        assert "lines: expected exit 0" in scene.answers(3)[0].text
        scene.server.check()


def test_what_it_forged_while_nobody_watched_is_put_back_before_a_box_is_read(project):
    forge = bash("echo $$ >shell.pid; sleep 0.7; sed -i 's/\\[ \\]/[x]/' SPEC.md; sed -i 's/test 4/test 1/' *.yaml")
    plan = poem(project, judge={"rounds": 1}, sandbox={"mode": "off"})
    with Play(plan, [forge, bash("echo one >poem.txt"), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        kill(executor.pid)
        finish(executor)
        until(lambda: not alive(agent), "the agent never ended")
        assert "[x]" in project.spec
        ran = scene.run("--continue")
        assert ran.code == 1, ran
    assert "- [ ] **STEP 1**" in project.spec
    assert "test 4" in project.text("step_definitions.yaml")
    assert not project.events("StepPassed")
    assert not project.events("HandTickSeen")
    assert "changed what judges it" in project.event("StepFailed")["reason"]


def test_nothing_else_runs_beside_an_agent_that_lost_its_executor(project):
    poem(project)
    body = json.loads(project.text("step_definitions.yaml"))
    body["step_2_x"] = {"main": {"command": "echo >two.txt", "test": "none"}}
    project.write("step_definitions.yaml", json.dumps(body))
    project.write("SPEC.md", project.spec + "- [ ] **STEP 2**: Title 2\n")
    with Play(project, [bash("echo $$ >shell.pid; sleep 3"), bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid)
        finish(executor)
        other = scene.run("--step", "2")
        marked = project.run("mark-done", "2", "--by", "me", "--reason", "so")
        assert (other.code, marked.code) == (5, 5), (other, marked)
        assert "do-tasks --continue" in other.err
        both = scene.run("--continue")
        assert both.code == 0, both
    assert project.has("two.txt")
    assert not project.events("ProtectedRestored")


def test_one_that_is_stopped_without_its_executor_leaves_its_judges_as_they_were(project):
    forge = bash("sed -i 's/\\[ \\]/[x]/' SPEC.md; echo $$ >shell.pid; sleep 60")
    with Play(poem(project, sandbox={"mode": "off"}), [forge]) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid)
        finish(executor)
        assert project.run("stop", project.events("MainStarted")[0]["task_id"]).code == 0
        assert scene
    assert "- [ ] **STEP 1**: Title 1 ✗" in project.spec
    assert project.event("ProtectedRestored")["paths"] == ["SPEC.md"]
    assert project.run("mark-done", "1", "--by", "me", "--reason", "so").code == 0


def test_one_that_wiped_its_record_while_nobody_watched_has_a_person_look_first(project):
    forge = "sed -i 's/\\[ \\]/[x]/' SPEC.md; sed -i 's/test 4/test 1/' *.yaml; rm -rf .do-tasks"
    plan = poem(project, judge={"rounds": 1}, sandbox={"mode": "off"})
    wipe = bash(f"echo $$ >shell.pid; sleep 0.7; {forge}")
    with Play(plan, [wipe, bash("echo one >poem.txt"), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        kill(executor.pid)
        finish(executor)
        until(lambda: not alive(agent), "the agent never ended")
        ran = scene.run("--continue")
        assert ran.code == 2, ran
    assert "look at SPEC.md, step_definitions.yaml" in ran.err
    assert "- [ ] **STEP 1**" in project.spec
    assert project.event("StepFailed")["status"] == "failed"
    assert not project.events("HandTickSeen")


@pytest.mark.parametrize("dies", [False, True], ids=["handed in", "killed too"])
def test_a_later_round_that_nobody_watched_is_judged_with_what_it_changed(project, dies):
    forge = bash(f"sed -i 's/Title/Other/' SPEC.md; {WRITE}; echo $$ >shell.pid; sleep 0.7")
    plan = poem(project, sandbox={"mode": "off"})
    with Play(plan, [bash("echo one >poem.txt"), done(CLAIMS), forge, done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        kill(executor.pid, *((agent,) if dies else ()))
        finish(executor)
        until(lambda: not alive(agent), "the agent never ended")
        ran = scene.run("--continue")
        assert ran.code == 1, ran
    assert "changed what judges it (SPEC.md)" in project.event("StepFailed")["reason"]
    assert "- [ ] **STEP 1**: Title 1" in project.spec


def test_a_later_round_that_ended_while_nobody_watched_is_not_passed_over(project):
    with Play(poem(project), [bash("echo one >poem.txt"), done(CLAIMS), SLOW, done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        agent = agent_pid(project)
        kill(executor.pid)
        finish(executor)
        until(lambda: not alive(agent), "the agent never ended")
        assert scene.run("--continue").code == 0
    assert [line["run"] for line in project.events("MainFinished")] == ["main.1", "main.2"]
    assert len(project.events("AgentTurned")) == 4


def test_one_whose_launcher_is_killed_goes_on_with_its_conversation(project):
    with Play(poem(project), [SLOW, bash(WRITE), done(CLAIMS)]) as scene:
        executor = in_its_first_command(project, scene)
        kill(agent_pids(project)[0])
        assert finish(executor).code == 1
        assert project.event("StepFailed")["status"] == "lost"
        assert scene.run("--continue").code == 0
        assert len({line["task_id"] for line in project.events("MainStarted")}) == 1
        assert len(scene.requests) == 3


def test_what_shed_its_environment_dies_with_the_agent_that_it_killed(project):
    escape = "setsid env -i /bin/bash -c 'echo $$ >away.pid; sleep 60; true' & sleep 0.5; kill -9 $PPID; sleep 5"
    with Play(poem(project, sandbox={"mode": "off"}), [bash(escape)]) as scene:
        assert scene.run().code == 1
    assert not alive(int(project.text("away.pid")))
    assert not sleepers_in(project)


def test_a_round_that_was_cut_off_is_not_one_of_those_it_has(project):
    script = [bash("echo one >poem.txt"), done(CLAIMS), SLOW, bash(WRITE), done(CLAIMS)]
    with Play(poem(project, judge={"rounds": 2}), script) as scene:
        executor = in_its_first_command(project, scene)
        kill(executor.pid, *agent_pids(project))
        finish(executor)
        assert scene.run("--continue").code == 0
        assert len(project.events("TaskStarted")) == 1
        scene.server.check()
