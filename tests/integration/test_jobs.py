"""Background jobs outlive everything: whoever is killed, one job runs, and the box says what became of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.integration.projects import Project, alive, finish, until

TRAIN = """\
echo "$DO_TASKS_RUN $$ ${DO_TASKS_RESUME:-fresh}" >>runs.txt
mkdir -p ck
for i in $(seq 1 %d); do
  [ -e hold ] && while [ -e hold ]; do sleep 0.02; done
  echo "{\\"progress\\": {\\"done\\": $i, \\"total\\": %d}}"
  [ $i = 2 ] && echo weights >ck/step_2
  [ -e die ] && kill -9 $$
  [ -e fail ] && { echo "no more data" >&2; exit 3; }
  sleep 0.05
done
while [ -e stay ]; do [ -e fail ] && { echo "no more data" >&2; exit 3; }; sleep 0.02; done
echo end >>ends.txt
"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    yield project
    (project.root / "hold").unlink(missing_ok=True)
    (project.root / "stay").unlink(missing_ok=True)
    for pid in supervisors(project):
        os.kill(pid, signal.SIGKILL)
    for row in rows(project):
        if alive(row[1]):
            os.killpg(os.getpgid(row[1]), signal.SIGKILL)


def plan(project, *, steps=50, depends=None, after=True, stay=False, **more):
    """Step 13 trains in the background for `steps` twentieths of a second; step 14 depends on it.

    With `stay` it lives on until `let_end`, however slow the machine is.
    """
    if stay:
        project.write("stay", "")
    job = {"main": {"command": "bash train.sh", "test": "none", "mode": "background", "timeout": 30}}
    job["main"] |= more.pop("main", {})
    eval_step = {"main": {"command": "ls ck >seen.txt", "test": "none"}}
    if depends:
        eval_step["depends_on"] = [depends]
    project.write("train.sh", TRAIN % (steps, steps))
    return project.plan(s13=job | more, **({"s14": eval_step} if after else {}))


def rows(project):
    """What each run wrote as it began: (run, pid, checkpoint it was told of)."""
    found = [line.split() for line in project.text("runs.txt").splitlines()] if project.has("runs.txt") else []
    return [(run.partition("/")[2], int(pid), resume) for run, pid, resume in found]


def folder(project):
    [found] = project.root.glob(".do-tasks/jobs/task_13_*")
    return found


def watch(project):
    return json.loads((folder(project) / "watch.json").read_text())


def supervisors(project):
    """Pids of living supervisors of this project, by their command lines."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = str(project.root).encode() in words and any(b"executor.supervisor" in word for word in words)
        if ours and alive(int(name)):
            found.append(int(name))
    return found


def kill_supervisor(project):
    until(lambda: supervisors(project), "there never was a supervisor")
    [pid] = supervisors(project)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not supervisors(project), "the supervisor did not die")


def let_end(project):
    (project.root / "stay").unlink(missing_ok=True)


def until_ticked(project, number=13):
    let_end(project)
    until(lambda: f"- [x] **STEP {number}**" in project.spec, f"step {number} was never ticked: {project.spec}")
    until(lambda: project.events("SpecTicked", step=number), f"the tick of step {number} was never logged")


def test_a_job_is_started_then_ticked_at_its_end(project):
    done = plan(project).run("--step", "13")
    assert done.code == 0, done
    assert "- [~] **STEP 13**: Title 13 ⏳ started [task_id: task_13_" in project.spec
    until_ticked(project)
    assert project.event("MainFinished")["exit_code"] == 0
    assert [row[0] for row in rows(project)] == ["main.1"]
    until(lambda: not supervisors(project), "the supervisor stayed")


def test_the_plan_goes_on_while_a_job_runs(project):
    done = plan(project).run("--continue")
    assert done.code == 0, done
    assert "- [~] **STEP 13**" in project.spec
    assert "- [x] **STEP 14**" in project.spec
    assert "Still running: step 13" in done.out


def test_a_job_that_has_ended_is_not_said_to_run(project):
    done = plan(project, depends=13).run("--continue")
    assert done.code == 0, done
    assert "- [x] **STEP 13**" in project.spec
    assert "Still running" not in done.out


def test_a_step_waits_for_the_first_checkpoint(project):
    project.write("hold", "")
    checks = [{"task": "ck", "checkpoints": "ck/step_*", "interval": 0.2}]
    plan(project, depends={"step": 13, "until": "first_checkpoint"}, background=checks)
    process = project.start("--continue")
    until(lambda: "- [~] **STEP 13**" in project.spec, "step 13 never started")
    assert not project.has("seen.txt")
    (project.root / "hold").unlink()
    assert finish(process).code == 0
    assert project.text("seen.txt") == "step_2\n"
    assert project.events("CheckpointSaved")
    assert "- [~] **STEP 13**" in project.spec


def test_without_waiting_a_held_step_is_exit_3(project):
    plan(project, stay=True, depends={"step": 13, "until": "finished"}, steps=70)
    done = project.run("--continue", "--no-wait")
    assert done.code == 3, done
    assert "waits for the end of step 13" in done.out
    assert project.run("--continue", "--wait", "0.5").code == 3


def test_going_on_waits_for_the_end_of_a_job(project):
    done = plan(project, depends=13).run("--continue")
    assert done.code == 0, done
    assert "- [x] **STEP 13**" in project.spec
    assert "- [x] **STEP 14**" in project.spec


def test_a_step_that_waits_hears_of_the_death(project):
    plan(project, depends=13, steps=5000)
    process = project.start("--continue")
    until(lambda: "- [~] **STEP 13**" in project.spec, "step 13 never started")
    project.write("die", "")
    assert finish(process).code == 1
    assert "died: exit 137 after step" in project.spec
    assert not project.has("seen.txt")


def test_a_death_stands_in_spec_and_log(project):
    plan(project, stay=True).run("--step", "13")
    project.write("fail", "")
    until(lambda: "✗ Failed" in project.spec, "the death never showed")
    assert "]: died: exit 3 after step" in project.spec
    assert "no more data" in project.spec
    assert project.event("MainFinished")["exit_code"] == 3
    assert project.event("StepFailed")["status"] == "failed"


def test_a_job_outlives_its_executor(project):
    process = plan(project).start("--step", "13")
    until(lambda: rows(project), "the job never began")
    process.kill()
    finish(process)
    until_ticked(project) if supervisors(project) else project.run("--continue")
    until_ticked(project)
    assert [row[0] for row in rows(project)] == ["main.1"]
    assert project.text("ends.txt") == "end\n"


def test_a_job_outlives_its_terminal(project):
    plan(project)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.root)
        os.execve(sys.executable, [sys.executable, "-m", "executor", "--step", "13"], project.env())
    until(lambda: rows(project), "the job never began")
    os.close(terminal)  # the kernel hangs up: SIGHUP to the whole session
    os.waitpid(pid, 0)
    until_ticked(project) if supervisors(project) else project.run("--continue")
    until_ticked(project)
    assert [row[0] for row in rows(project)] == ["main.1"]


@pytest.mark.parametrize("verb", [("--continue",), ("--step", "13"), ("--monitor",)], ids=" ".join)
def test_a_killed_supervisor_is_replaced(project, verb):
    plan(project, stay=True, steps=70, after=False).run("--step", "13")
    kill_supervisor(project)
    done = project.run(*verb)
    assert done.code == 0, done
    until(lambda: len(supervisors(project)) == 1, "nobody took over")
    until_ticked(project)
    assert [row[0] for row in rows(project)] == ["main.1"]
    assert len(project.events("SupervisorStarted")) == 2
    assert len(project.events("JobStarted")) == 1
    assert len(project.events("MainFinished")) == 1


@pytest.mark.parametrize("verb", [("list",), ("why", "13"), ("validate",)], ids=" ".join)
def test_verbs_that_read_start_nothing(project, verb):
    plan(project, stay=True, steps=70, after=False).run("--step", "13")
    kill_supervisor(project)
    project.run(*verb)
    assert not supervisors(project)


def test_a_job_that_ended_while_nobody_watched_is_judged_later(project):
    plan(project, stay=True, steps=50, after=False).run("--step", "13")
    kill_supervisor(project)
    let_end(project)
    until(lambda: project.has("ends.txt"), "the job never ended")
    time.sleep(0.2)
    assert "- [~]" in project.spec
    assert project.run("--continue").code == 0
    assert "- [x] **STEP 13**" in project.spec
    assert project.event("MainFinished")["exit_code"] == 0


def test_two_supervisors_started_at_once_are_one(project):
    plan(project, stay=True, steps=70, after=False).run("--step", "13")
    kill_supervisor(project)
    together = [project.start("--monitor") for _ in range(4)]
    assert [finish(process).code for process in together] == [0, 0, 0, 0]
    until(lambda: len(supervisors(project)) == 1, "not one supervisor")
    assert len(project.events("SupervisorStarted")) == 2


def test_a_lost_job_is_marked_then_run_again_from_its_checkpoint(project):
    checks = [{"task": "ck", "checkpoints": "ck/step_*", "interval": 0.2}]
    plan(project, stay=True, steps=55, after=False, background=checks).run("--step", "13")
    until(lambda: project.events("CheckpointSaved"), "no checkpoint was seen")
    kill_supervisor(project)
    launcher = json.loads((folder(project) / "main.1" / "started.json").read_text())["pid"]
    os.killpg(launcher, signal.SIGKILL)
    project.run("--monitor")
    until(lambda: "✗ Failed" in project.spec, "nobody marked the loss")
    assert "]: lost after step" in project.spec
    done = project.run("--continue")
    assert done.code == 0, done
    assert "MAIN was lost" in done.out
    until_ticked(project)
    assert [(row[0], os.path.basename(row[2])) for row in rows(project)] == [("main.1", "fresh"), ("main.2", "step_2")]
    assert len({line["task_id"] for line in project.lines() if line["task_id"]}) == 1


def test_stop_leaves_nothing_alive_and_says_so(project):
    plan(project, steps=700, after=False)
    script = project.text("train.sh")
    project.write("train.sh", "sleep 600 & echo $! >child.txt\nsetsid sleep 600 & echo $! >session.txt\n" + script)
    project.run("--step", "13")
    done = project.run("stop", folder(project).name)
    assert done.code == 0, done
    left = [int(project.text(name)) for name in ("child.txt", "session.txt")]
    until(lambda: not any(map(alive, left)), "a grandchild lives")
    assert not alive(rows(project)[0][1])
    assert "stopped by do-tasks stop" in project.spec
    assert project.event("StepFailed")["status"] == "cancelled"
    until(lambda: not supervisors(project), "the supervisor stayed")


def test_a_rerun_replaces_the_living_job(project):
    plan(project, stay=True, steps=55, after=False).run("--step", "13")
    first = rows(project)[0][1]
    done = project.run("--step", "13", "--rerun")
    assert done.code == 0, done
    assert not alive(first)
    until_ticked(project)
    assert project.text("ends.txt") == "end\n"


def test_a_job_that_cannot_start_up_fails_at_once(project):
    project.write("fail", "")
    done = plan(project, after=False).run("--step", "13")
    assert done.code == 1, done
    assert "died: exit 3" in project.spec


def test_what_is_pending_when_the_start_up_time_is_over_does_not_end_the_job(project):
    criteria = [{"criterion": "It has written its end", "file": "ends.txt", "at": "start"}]
    plan(project, stay=True, steps=70, after=False, main={"timeout": 2.5, "success_criteria": criteria}).run(
        "--step", "13"
    )
    assert project.event("JobStarted")["pending"] == ["It has written its end"]
    until_ticked(project)
    assert "(1 proven)" in project.spec


def test_a_check_right_after_the_start_can_fail_the_step(project):
    checks = [{"task": "config", "command": "test -e config.json", "when": "start"}]
    plan(project, steps=700, after=False, post_validation=checks).run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "the step did not fail")
    assert "right after the start: config" in project.spec
    assert not alive(rows(project)[0][1])


def test_what_judges_the_end_is_asked_at_the_end(project):
    checks = [{"task": "ended", "command": "test -e ends.txt"}]
    plan(project, after=False, post_validation=checks).run("--step", "13")
    until_ticked(project)
    assert project.check("ended")["status"] == "passed"


def test_a_failed_attempt_is_tried_again_as_retry_says(project):
    retry = {"attempts": 2, "on": ["exit:3"]}
    project.write("fail", "")
    plan(project, after=False, main={"retry": retry})
    process = project.start("--step", "13")
    until(lambda: project.events("MainRetried"), "no second attempt was announced")
    (project.root / "fail").unlink()
    finish(process)
    until_ticked(project)
    assert [row[0] for row in rows(project)] == ["main.1", "main.2"]


@pytest.mark.parametrize("verb", ["mark-done", "reopen"])
def test_nobody_marks_a_step_whose_job_runs(project, verb):
    project.write("hold", "")
    plan(project, after=False).run("--step", "13")
    before = project.text("SPEC.md")
    done = project.run(verb, "13", "--by", "Ann", "--reason", "so")
    assert done.code == 2
    assert f"then: do-tasks {verb} 13" in done.err
    assert project.text("SPEC.md") == before
    (project.root / "hold").unlink()
    until_ticked(project)


def test_a_changed_script_does_not_end_a_running_job(project):
    plan(project, stay=True, steps=70, after=False).run("--step", "13")
    body = json.loads(project.text("step_definitions.yaml"))
    body["step_13_one"]["main"]["args"] = ["--new"]
    project.write("step_definitions.yaml", json.dumps(body))
    done = project.run("--continue")
    assert done.code == 0, done
    assert "what MAIN does has changed since" in done.out
    until_ticked(project)
    assert len(rows(project)) == 1


def test_the_log_may_be_rotated_under_a_supervisor(project):
    plan(project, stay=True, steps=110, after=False).run("--step", "13")
    assert project.run("log", "--rotate").code == 0
    until_ticked(project)
    assert project.event("SpecTicked")["step"] == 13


def test_a_terminated_supervisor_leaves_the_job_to_the_next(project):
    plan(project, stay=True, steps=70, after=False).run("--step", "13")
    [pid] = supervisors(project)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not supervisors(project), "it did not go")
    assert alive(rows(project)[0][1])
    assert not project.events("StepInterrupted")
    assert project.run("--continue").code == 0
    until_ticked(project)
