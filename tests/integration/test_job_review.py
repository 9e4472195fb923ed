"""What an unkind reader tried on background jobs: no verdict, alert or notice lost or doubled, no secret on disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

from executor.monitoring.model import Monitor
from executor.monitoring.monitor import MonitorState
from executor.plan.model import Main, Step
from executor.runners.process_run import LaunchRequest, begin
from executor.store import runs
from executor.store.state import fold
from executor.supervisor.history import job_history
from executor.system import launcher
from executor.system.masking import Masker
from tests.integration.projects import alive, finish, until
from tests.integration.test_jobs import folder, kill_supervisor, let_end, plan, rows, supervisors, until_ticked
from tests.integration.test_jobs import project as job_project

project = job_project  # the fixture, which ends what a test leaves
SECRET = "s3cr3t-value-that-nobody-may-see-42"


def line(event, **fields):
    return {"event": event, "status": "info", "timestamp": "2026", "task_id": "task_13_aaaaaaaa", "step": 13, **fields}


def tell(project, hook):
    """Have a command told of what becomes of the job."""
    body = json.loads(project.text("step_definitions.yaml"))
    project.write("step_definitions.yaml", json.dumps(body | {"settings": {"notify": [{"command": hook}]}}))
    return project


def found_in(root, text):
    """Files below the root that hold a text, but for what defines the plan."""
    return [path.name for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


# Alerts, notices, runs: each once


def test_what_a_restart_clears_is_no_recovery_to_tell_of():
    cleared = [line("AlertCleared", key="a/nan", reason=why) for why in ("restarted as main.2", "the job ended")]
    assert job_history(cleared).pending_notices == ()
    assert job_history([line("AlertCleared", key="a/nan", reason="well again")]).pending_notices == ("recovered a/nan",)


def test_a_notice_that_was_owed_is_sent_once_whatever_runs_follow(project):
    """The supervisor dies between the alert and its notice; the job it leaves is then tried again."""
    project.write("hold", "")
    hook = 'echo "$DO_TASKS_NOTICE $DO_TASKS_KEY" >>told.txt'
    main = {"retry": {"attempts": 2, "on": ["exit:3"]}}
    tell(plan(project, after=False, main=main), hook).run("--step", "13")
    kill_supervisor(project)
    owed = {**project.lines()[-1], "event": "AlertRaised", "status": "failed", "key": "x/nan", "action": "notify"}
    with (project.root / ".task_execution.log").open("a") as log:
        log.write(json.dumps(owed | {"output": "nan", "samples": []}) + "\n")
    project.run("--monitor")
    until(lambda: project.has("told.txt"), "nobody was told")
    project.write("fail", "")
    (project.root / "hold").unlink()
    until(lambda: len(rows(project)) == 2, "it was not tried again")
    until(lambda: "✗" in project.spec, "it never ended")
    assert project.text("told.txt").count("alert x/nan") == 1


def test_a_task_that_was_replaced_writes_no_verdict_over_the_new_one():
    new = line("TaskStarted", task_id="task_13_bbbbbbbb")
    states = fold({}, [line("TaskStarted"), new, line("StepFailed", status="cancelled"), line("JobStarted")])
    assert (states[13].task_id, states[13].verdict) == ("task_13_bbbbbbbb", "")


def test_a_supervisor_that_wakes_up_late_leaves_the_box_to_the_new_task(project):
    plan(project, steps=60, after=False).run("--step", "13")
    task_id = folder(project).name
    new = line("TaskStarted", task_id="task_13_bbbbbbbb", phase="PRE-FLIGHT", digest="", title="", why="", v=1)
    with (project.root / ".task_execution.log").open("a") as log:
        log.write(json.dumps(new) + "\n")
    before = project.spec
    until(lambda: project.events("StepFailed"), "the old task was never closed")
    until(lambda: not supervisors(project), "its supervisor stayed")
    assert project.event("StepFailed")["task_id"] == task_id
    assert project.spec == before


def test_what_a_probe_changes_later_is_not_in_what_was_kept():
    one = MonitorState(Monitor("m", "log", asks="x"), {})
    one.memory["files"] = {"x": {"at": 1}}
    kept = one.kept()
    one.memory["files"]["x"]["at"] = 2
    assert kept["probe"] == {"files": {"x": {"at": 1}}}


# Monitors


def test_a_monitor_named_as_one_of_ours_is_not_put_aside(project):
    mine = {"task": "progress", "command": "echo x >>looked.txt", "interval": 0.2}
    plan(project, steps=40, after=False, background=[mine]).run("--step", "13")
    assert project.has("looked.txt")


def test_the_questions_of_a_killed_supervisor_do_not_outlive_it(project):
    slow = {"task": "slow", "command": "echo $$ >asker.txt; sleep 300", "interval": 1, "timeout": 20}
    project.write("hold", "")
    plan(project, steps=2, after=False, background=[slow]).run("--step", "13")
    project.until_there("asker.txt")
    first = int(project.text("asker.txt"))
    kill_supervisor(project)
    assert alive(first)
    project.run("--monitor")
    until(lambda: not alive(first), "it lives on")
    assert [alive(row[1]) for row in rows(project)] == [True]
    (project.root / "hold").unlink()
    until_ticked(project)


def test_a_monitor_fills_no_disk_when_its_supervisor_is_gone(project):
    grows = (
        "echo $$ >grower.txt; until test -e gone; do sleep 0.1; done; truncate -s 2G big || touch refused; echo >tried"
    )
    project.write("hold", "")
    slow = {"task": "slow", "command": grows, "interval": 1, "timeout": 60}
    plan(project, steps=2, after=False, background=[slow]).run("--step", "13")
    project.until_there("grower.txt")
    kill_supervisor(project)
    project.write("gone", "")
    project.until_there("tried")
    assert project.has("refused")
    project.run("--monitor")
    (project.root / "hold").unlink()
    until_ticked(project)


@pytest.mark.deep
def test_a_monitor_that_floods_stderr_is_stopped(project):
    flood = {"task": "flood", "command": "yes >&2", "interval": 3, "timeout": 20}
    plan(project, steps=160, after=False, background=[flood]).run("--step", "13")
    [errors] = folder(project).glob("monitors/*.err")
    watched = folder(project) / "watch.json"
    until(lambda: b"MiB" in watched.read_bytes(), "nobody stopped it")
    until(lambda: errors.stat().st_size <= 4096, "the flood stays on the disk")


# Secrets


def test_no_secret_stays_in_what_the_supervisor_leaves(project):
    project.environ["API_TOKEN"] = SECRET
    says = 'echo "it is $API_TOKEN"; echo "no $API_TOKEN" >&2; exit 1'
    monitors = [
        {"task": "cmd", "command": says, "interval": 0.3, "env": ["API_TOKEN"]},
        {"task": "own", "log": "stdout", "interval": 0.3},
    ]
    plan(project, steps=50, after=False, background=monitors, post_validation=[{"task": "post", "command": says}])
    project.write("train.sh", 'echo "login with $API_TOKEN"\n' + project.text("train.sh"))
    project.run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "the check did not fail")
    until(lambda: not supervisors(project), "the supervisor stayed")
    assert found_in(project.root, SECRET) == []


# Evidence


def test_a_check_for_the_start_is_asked_at_the_end_of_a_job_that_was_too_quick(project):
    checks = [{"task": "config", "command": "test -e config.json", "when": "start"}]
    done = plan(project, steps=2, after=False, post_validation=checks).run("--step", "13")
    assert done.code == 1, done
    until(lambda: "config" in project.spec, "its supervisor did not mark SPEC.md")
    assert project.check("config")["status"] == "failed"


def test_a_check_that_passed_right_after_the_start_is_not_asked_again(project):
    checks = [{"task": "config", "command": "test -e config.json", "when": "start"}]
    project.write("config.json", "{}")
    plan(project, steps=50, after=False, post_validation=checks).run("--step", "13")
    (project.root / "config.json").unlink()
    until_ticked(project)
    assert project.check("config")["status"] == "passed"


# Stop


class SmallBench:
    """The part of a RunContext that the start of a run needs."""

    def __init__(self, root):
        self.root = str(root)
        self.masker = Masker()

    def folder(self, task, run):
        return runs.run_folder(self.root, task.task_id, run)

    def environment(self, _task, **extra):
        return {"PATH": os.environ["PATH"], **extra}

    def env_trouble(self, _task):
        return ""

    def trace(self, _act, **_facts):
        return

    def relative(self, path):
        return path


class SmallTask:
    task_id, digest, runner = "task_13_aaaaaaaa", "", "command"
    step = Step(13, "one", main=Main(command="true"))


def test_a_stop_that_came_just_before_the_start_finds_nothing_to_run(tmp_path):
    bench, task = SmallBench(tmp_path), SmallTask()
    argv = ("/bin/sh", "-c", f"touch {tmp_path}/ran")
    request = LaunchRequest(
        "main.1", argv, lambda _: runs.ask_stop(bench.root, task.task_id), environ=bench.environment(task)
    )
    pid = begin(bench, task, request)
    os.waitpid(pid, 0)
    assert not (tmp_path / "ran").exists()
    assert runs.status_of(bench.root, task.task_id, "main.1").status == "never_ran"


def test_a_launcher_that_is_left_runs_nothing(tmp_path):
    held = launcher.start_paused(("/bin/sh", "-c", f"touch {tmp_path}/ran"), {}, folder=str(tmp_path))
    launcher.abandon(held)
    assert os.waitstatus_to_exitcode(os.waitpid(held.pid, 0)[1]) == 125
    assert not (tmp_path / "ran").exists()


def test_a_stop_while_the_end_is_judged_is_a_stop(project):
    checks = [{"task": "slow", "command": "touch judging; sleep 20"}]
    plan(project, steps=50, after=False, post_validation=checks).run("--step", "13")
    project.until_there(".task_execution.log")
    until(lambda: project.has("judging"), "the end was never judged")
    project.run("stop", folder(project).name)
    until(lambda: "✗" in project.spec, "no verdict")
    assert project.event("StepFailed")["status"] == "cancelled"
    assert "stopped by do-tasks stop" in project.spec


# People and disks


def test_a_step_whose_line_a_person_took_out_still_has_its_verdict_and_notice(project):
    tell(plan(project, steps=70, after=False), 'echo "$DO_TASKS_NOTICE" >>told.txt')
    process = project.start("--step", "13")
    until(lambda: rows(project), "the job never began")
    project.write("SPEC.md", "# Plan\n\n- [ ] **STEP 12**: Another\n")
    done = finish(process)
    assert "Traceback" not in done.err
    project.until_there("told.txt")
    assert project.text("told.txt") == "finished\n"
    assert project.events("StepPassed")
    assert len(project.events("SupervisorStarted")) == 1
    assert not (folder(project) / "supervisor.log").read_text()


def test_a_log_that_is_taken_away_does_not_end_who_waits(project):
    project.write("hold", "")
    plan(project, depends=13, steps=6)
    process = project.start("--continue")
    until(lambda: "- [~] **STEP 13**" in project.spec, "step 13 never started")
    (project.root / ".task_execution.log").unlink()
    time.sleep(0.7)
    (project.root / "hold").unlink()
    until_ticked(project)
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in finish(process).err


def test_what_cannot_be_seen_is_watched_on(project):
    """watch.json cannot be written, as on a full disk."""
    project.write("hold", "")
    plan(project, steps=6, after=False)
    process = project.start("--step", "13")
    until(lambda: rows(project), "the job never began")
    watch = folder(project) / "watch.json"
    watch.unlink(missing_ok=True)
    watch.mkdir()
    finish(process)
    (project.root / "hold").unlink()
    until(lambda: project.events("StepPassed"), "the verdict is lost")
    assert len(project.events("SupervisorStarted")) == 1


@pytest.mark.deep
def test_a_log_that_cannot_be_written_for_a_while_gets_its_verdict_later(project):
    project.write("hold", "")
    plan(project, steps=6, after=False).run("--step", "13")
    log, aside = project.root / ".task_execution.log", project.root / "aside"
    log.rename(aside)
    log.mkdir()
    (project.root / "hold").unlink()
    until(lambda: project.has("ends.txt"), "the job never ended")
    time.sleep(1.0)
    assert len(supervisors(project)) == 1
    log.rmdir()
    aside.rename(log)
    until_ticked(project)
    assert len(rows(project)) == 1


@pytest.mark.deep
def test_a_supervisor_that_cannot_live_is_not_started_over_and_over(project):
    project.write("hold", "")
    plan(project, depends=13).run("--step", "13")
    kill_supervisor(project)
    job = folder(project) / "job.json"
    job.write_text(json.dumps(json.loads(job.read_text()) | {"plan": {}}))
    finish(project.start("--continue", "--wait", "6"))
    assert (folder(project) / "supervisor.log").read_text().count("Traceback") <= 2


def test_what_a_job_leaves_running_when_it_ends_well_is_ended_and_told(project):
    plan(project, steps=55, after=False)
    project.write("train.sh", f"setsid sleep 611 & echo $! >left.txt\n{project.text('train.sh')}")
    project.run("--step", "13")
    until_ticked(project)
    assert "ended what it left running: sleep 611" in project.spec
    assert "left processes that were ended: sleep 611" in project.event("WarningRaised")["message"]
    assert not alive(int(project.text("left.txt")))


def test_a_job_whose_records_are_taken_away_is_asked_about_not_begun_again(project):
    plan(project, after=False, stay=True).run("--step", "13")
    kill_supervisor(project)
    launcher = os.getpgid(rows(project)[0][1])
    shutil.rmtree(project.root / ".do-tasks")
    let_end(project)
    until(lambda: project.has("ends.txt") and not alive(launcher), "the job never ended")
    seen = project.run("--monitor")
    assert (seen.code, "are gone: how it ended is unknown" in " ".join(seen.out.split())) == (4, True)
    for _ in range(2):
        done = project.run("--continue")
        assert (done.code, "do-tasks mark-done 13; to begin anew: --rerun" in done.out) == (3, True), done
    assert [row[0] for row in rows(project)] == ["main.1"]
