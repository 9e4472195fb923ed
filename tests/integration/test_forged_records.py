"""Records that an agent without a sandbox can forge: caches, records of jobs and of other tasks."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from executor.testing import bash, done
from tests.integration.agents import CLAIMS, Play, project_in
from tests.integration.projects import check

pytest.importorskip("anthropic")
WRITE = "printf 'a\\nb\\na\\nb\\n' >poem.txt"
PATIENCE_S = 60.0
WAITS = "while [ ! -e go ]; do sleep 0.05; done; exit 3"


@pytest.fixture
def project(tmp_path):
    return project_in(tmp_path / "p")


def poet(project, **steps):
    """A plan whose step 2 an agent does without a sandbox."""
    main = {
        "agent": "tinker-executor",
        "runner": "agent",
        "objective": "Write four lines",
        "success_criteria": ["The poem rhymes", {"criterion": "It is there", "file": "poem.txt"}],
    }
    limits = {"sandbox": {"mode": "off"}, "judge": {"rounds": 1}}
    every = {"s2": {"main": main, "depends_on": []}, **steps}
    return project.plan(settings=limits, **dict(sorted(every.items())))


def work(project, command="true"):
    with Play(project, [bash(command), bash(WRITE), done(CLAIMS)]) as scene:
        return scene.run("--step", "2")


def state_with(project, number):
    """A cache of the log in which this step has passed, and lacks only its tick."""
    body = json.loads(project.text(".do-tasks/state.json"))
    names, passed = body["fields"], dict(zip(body["fields"], body["steps"]["2"], strict=True))
    forged = {**passed, "task_id": "task_3_deadbeef", "passed_task": "task_3_deadbeef", "ticked": False}
    body["steps"][str(number)] = [forged[name] for name in names]
    return json.dumps(body)


def test_where_an_agent_worked_no_cache_skips_or_judges_a_step(project):
    third = {"main": {"command": "echo ran >third.txt"}, "post_validation": [check("judge", "test -s never_there")]}
    poet(project, s3={**third, "depends_on": []})
    assert work(project).code == 0
    project.write(".do-tasks/state.json", state_with(project, 3))
    project.run("list")
    cached = project.text(".do-tasks/cache/plan.json") if project.has(".do-tasks/cache/plan.json") else ""
    project.write(".do-tasks/cache/plan.json", cached.replace("test -s never_there", "true"))
    ran = project.run("--step", "3")
    assert ran.code == 1, ran
    assert project.has("third.txt")
    assert "- [ ] **STEP 3**" in project.spec


def test_a_cache_that_an_agent_forges_is_gone_after_its_run(project):
    third = {"main": {"command": "true"}, "post_validation": [check("judge", "test -s never_there")]}
    poet(project, s3={**third, "depends_on": []})
    forge = (
        "sed -i 's/test -s never_there/true/' .do-tasks/cache/plan.json; grep -c never_there .do-tasks/cache/plan.json"
    )
    assert work(project, forge).code == 0
    assert not project.has(".do-tasks/cache/plan.json")


def test_records_of_a_step_that_failed_are_put_back(project):
    """A record of exit 0 would have the step pass without its MAIN."""
    poet(project, s1={"main": {"command": "exit 3"}})
    assert project.run("--step", "1").code == 1
    run = f".do-tasks/jobs/{project.task_id()}"
    before = project.text(f"{run}/main.1/exit.json")
    forge = f"echo '{{\"exit_code\": 0}}' >{run}/main.1/exit.json; cp -r {run}/main.1 {run}/main.2"
    assert work(project, forge).code == 1
    assert {*project.event("ProtectedRestored")["paths"]} == {f"{run}/main.1/exit.json", f"{run}/main.2"}
    assert project.text(f"{run}/main.1/exit.json") == before
    assert not project.has(f"{run}/main.2")


def pid_in(project, path):
    return int(project.text(path).split()[0])


def until(condition):
    """Wait until it holds; fail when it does not in a minute."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def training(project):
    """A job that waits for the file `go`, then fails; its id."""
    job = {"main": {"command": WAITS, "mode": "background", "timeout": 1, "test": "none"}, "depends_on": []}
    poet(project, s1={**job, "post_validation": [check("judge", "test -s never_there")]})
    assert project.run("--step", "1").code == 0
    return project.task_id()


def ended(project, task_id):
    project.write("go", "")
    until(lambda: [one for one in project.events("StepFailed") if one["task_id"] == task_id] or not resumed(project))
    return project.spec


def resumed(project):
    project.run("--continue")
    return True


def test_a_job_is_judged_by_what_it_began_with(project):
    """Its record is rewritten by whoever can, and its supervisor killed: the log knows the record."""
    job = training(project)
    folder = f".do-tasks/jobs/{job}"
    os.kill(pid_in(project, f"{folder}/lock"), signal.SIGKILL)
    project.write(f"{folder}/job.json", project.text(f"{folder}/job.json").replace("test -s never_there", "true"))
    project.run("--monitor")
    until(lambda: "was changed since the job began" in project.text(f"{folder}/supervisor.log"))
    assert project.run("--step", "1").code == 0
    assert "was changed since the job began" in project.event("JobRecorded")["message"]
    assert "test -s never_there" in project.text(f"{folder}/job.json")
    assert "[x]" not in ended(project, job)


def test_an_agent_neither_ends_a_job_nor_changes_its_judges(project):
    job = training(project)
    folder = f".do-tasks/jobs/{job}"
    forge = (
        f"kill -9 $(cat {folder}/lock); echo '{{\"exit_code\": 0}}' >{folder}/main.1/exit.json;"
        f" sed -i 's/test -s never_there/true/' {folder}/job.json"
    )
    assert work(project, forge).code == 1
    told = project.event("ProtectedRestored")["paths"]
    assert {*told} == {f"{folder}/job.json", f"{folder}/main.1/exit.json"}
    assert "[x]" not in ended(project, job)
    reason = next(one["reason"] for one in project.events("StepFailed") if one["task_id"] == job)
    assert "exit 3" in reason
