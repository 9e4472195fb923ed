"""Holds the view of background jobs: what it tells, what it starts, what it waits for, in processes of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from executor.store import log_reader, runs
from executor.store.events import (
    AlertCleared,
    AlertRaised,
    CheckpointSaved,
    JobStarted,
    MainFinished,
    NoticeSent,
    SpecMarked,
    SpecTicked,
    StepFailed,
    StepMarkedDone,
    StepPassed,
    SupervisorStarted,
    TaskResumed,
    TaskStarted,
)
from executor.store.log_writer import LogWriter
from executor.system import procfs
from tests.integration.projects import Project, command, finish, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "monitor.md"
SECRET = "hunter2hunter2hunter2x"
FIRST = "a3a3a3a3"


class Job:
    """A background job as its supervisor left it on disk; the test process holds the supervisor's lock."""

    def __init__(self, project, step):
        self.project, self.step, self.root = project, step, str(project.root)
        self.task_id = f"task_{step}_{FIRST}"
        self.log(TaskStarted(title="T", digest="d"))
        runs.write_job(self.root, self.task_id, {"title": f"Job {step}"})

    @property
    def folder(self):
        return self.project.root / runs.JOBS / self.task_id

    def log(self, *events):
        journal = LogWriter(os.path.join(self.root, ".task_execution.log"))
        for event in events:
            journal.write(event, task_id=self.task_id, step=self.step)
        journal.close()
        return self

    def let_go(self, identity=None, run="main.1"):
        """Put a run on record: by default of the test process, which lives."""
        folder = runs.new_run(self.root, self.task_id, run)
        identity = identity or procfs.identify(os.getpid())
        runs.write_started(folder, identity, command="train", digest="d")
        self.log(SupervisorStarted(run=run, pid=os.getpid()))
        return self

    def started(self):
        return self.let_go().log(JobStarted(run="main.1", pid=os.getpid()))

    def watched(self, **seen):
        """Hold the lock as a living supervisor does, and leave what it saw."""
        self.project.held.append(fd := os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600))
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, b"%d\n" % os.getpid())
        return self.saw(**seen)

    def saw(self, **seen):
        now = time.monotonic()
        usual = {"v": 1, "task_id": self.task_id, "step": self.step, "title": f"Job {self.step}", "run": "main.1"}
        usual |= {"state": "running", "reason": "", "pid": os.getpid(), "boot": procfs.boot_id(), "written": "then"}
        usual |= {"written_s": now, "began_s": now - 600, "began": "2026-11-22T08:25:00.000Z", "progress": None}
        usual |= {"metrics": {}, "checkpoints": None, "alerts": [], "monitors": [], "restarts": 0}
        runs.write_watch(self.root, self.task_id, {**usual, **seen})
        return self

    def end_supervisor(self):
        while self.project.held:
            os.close(self.project.held.pop())

    @property
    def attended(self):
        return (self.folder / "supervisor.log").exists()


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.held = []
    project.plan(**{f"s{step}": command("true") for step in (3, 4, 5)})
    yield project
    for fd in project.held:
        os.close(fd)


@pytest.fixture
def job(project):
    return Job(project, 3)


def gone():
    """The identity of a process that is dead."""
    process = subprocess.Popen(["sleep", "60"])
    identity = procfs.identify(process.pid)
    process.kill()
    process.wait()
    return identity


def everything():
    now = time.monotonic()
    return {
        "progress": {"done": 412.0, "total": 5000.0, "changed_s": now - 12, "changed": "then", "eta_s": 360.0}
        | {"basis": "median of the last 20 intervals", "source": "stdout"},
        "metrics": {"step": 412, "loss": 1.25, "grad": float("nan")},
        "checkpoints": {"count": 3, "newest": "checkpoints/step_200.pt", "changed_s": now - 240, "changed": "then"}
        | {"bytes": 2048},
        "alerts": [{"key": "loss/nan", "output": "loss is nan at step 412", "since": "then", "action": "stop"}],
        "monitors": [
            {"name": "loss", "kind": "metrics", "interval_s": 60, "looked_s": now - 3, "there": True}
            | {"text": "loss 1.25", "troubled": ""}
        ],
    }


# One look


def test_without_a_job_the_view_says_how_to_get_one(project):
    done = project.run("--monitor")
    assert (done.code, "mode: background" in done.out) == (0, True)


def test_a_foreground_task_is_no_job(project):
    project.run("--step", "3")
    assert project.run("--monitor", "--json").json == {"v": 1, "jobs": []}


@pytest.mark.parametrize(
    "text",
    [
        *("step 3  Job 3", "412/5000 (8 %), last moved 12 s ago", "6 min 00 s left (median of the last 20"),
        *("step 412, loss 1.25, grad nan", "3, newest checkpoints/step_200.pt 4 min 00 s ago, 2.0 KiB"),
        *("loss/nan since then: loss is nan at step 412 [stop]", "loss: loss 1.25, 3 s ago", "alive, heartbeat"),
        *(f"do-tasks stop task_3_{FIRST}", f"do-tasks log task_3_{FIRST} --follow", "running for 10 min 00 s"),
    ],
)
def test_a_job_is_told_whole(project, job, text):
    job.started().watched(**everything())
    said = re.sub(r"\b(1[3-9]|2\d) s ago", "12 s ago", project.run("--monitor").out)
    said = re.sub(r"\b[4-9] s ago", "3 s ago", re.sub(r"min 0\d s", "min 00 s", said))
    assert text in " ".join(said.split()) or text in said


def test_a_job_that_runs_well_is_exit_0(project, job):
    job.started().watched()
    assert project.run("--monitor").code == 0


def test_monitor_is_a_verb_too(project, job):
    job.started().watched()
    assert project.run("monitor", "--json").json["jobs"][0]["task_id"] == job.task_id


@pytest.mark.parametrize("words", [["--json", "--monitor"], ["--project", ".", "--monitor", "--json"]])
def test_the_option_may_stand_anywhere(project, job, words):
    job.started().watched()
    assert project.run(*words).json["jobs"][0]["state"] == "running"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ([StepPassed(), SpecTicked()], 0),
        ([StepFailed(status="failed", reason="died: exit 137")], 4),
        ([StepFailed(status="timed_out")], 4),
        ([StepFailed(status="lost")], 4),
        ([StepFailed(status="cancelled")], 0),
        ([StepFailed(status="failed"), StepMarkedDone(by="me")], 0),
        ([AlertRaised(key="loss/nan", action="notify")], 4),
        ([AlertRaised(key="loss/nan"), AlertCleared(key="loss/nan")], 0),
    ],
    ids=["passed", "failed", "timed out", "lost", "stopped", "ticked by hand since", "alert", "alert cleared"],
)
def test_the_exit_code_says_whether_it_is_well(project, job, end, code):
    job.started().watched().log(*end)
    assert project.run("--monitor").code == code


def test_a_job_of_an_older_task_counts_no_more(project, job):
    job.started().log(StepFailed(status="failed"))
    LogWriter(f"{job.root}/.task_execution.log").write(TaskStarted(), task_id="task_3_bbbbbbbb", step=3)
    done = project.run("--monitor", "--json")
    assert (done.code, done.json["jobs"]) == (0, [])


def test_those_that_run_come_first(project, job):
    job.started().log(StepFailed(status="failed"))
    Job(project, 4).started().watched()
    assert [row["step"] for row in project.run("--monitor", "--json").json["jobs"]] == [4, 3]


@pytest.mark.parametrize("which", ["4", f"task_4_{FIRST}", "step_4"])
def test_one_job_may_be_asked_for(project, job, which):
    job.started().log(StepFailed(status="failed"))
    Job(project, 4).started().watched()
    done = project.run("--monitor", which, "--json")
    assert (done.code, [row["step"] for row in done.json["jobs"]]) == (0, [4])


def test_a_job_that_is_not_there_is_a_usage_error_that_names_those_that_are(project, job):
    job.started().watched()
    done = project.run("--monitor", "5")
    assert (done.code, job.task_id in done.err) == (2, True)


def test_after_a_reboot_nothing_has_an_age(project, job):
    job.started().saw(**{**everything(), "boot": "another boot"}).watched(**everything(), boot="another boot")
    (row,) = project.run("--monitor", "--json").json["jobs"]
    ages = [row["age_s"], row["heartbeat_s"], *(row[part]["age_s"] for part in ("progress", "checkpoints"))]
    assert [*ages, row["monitors"][0]["age_s"]] == [None] * 5


def test_ages_count_from_the_clock_that_nobody_sets(project, job):
    job.started().watched(began_s=time.monotonic() - 7200)
    assert 7200 <= project.run("--monitor", "--json").json["jobs"][0]["age_s"] < 7260


@pytest.mark.parametrize("text", ["", "{", "[]", '{"progress": 3, "alerts": {"a": 1}, "monitors": [1], "metrics": []}'])
def test_a_watch_file_that_is_no_such_thing_is_no_traceback(project, job, text):
    job.started().watched()
    (job.folder / "watch.json").write_text(text)
    done = project.run("--monitor", "--json")
    assert (done.code, done.json["jobs"][0]["progress"], done.json["jobs"][0]["alerts"]) == (0, None, [])


def test_json_holds_no_nan(project, job):
    job.started().watched(**{**everything(), "metrics": {"loss": float("nan"), "best": float("inf")}})
    assert '"loss": "nan", "best": "inf"' in project.run("--monitor", "--json").out


def test_secrets_are_masked_and_nothing_drives_the_terminal(project, job):
    project.environ = {"WANDB_API_KEY": SECRET}
    seen = {"name": "a", "text": f"key {SECRET} \x1b[2Jb"}
    job.started().watched(title=f"with {SECRET}", monitors=[seen], metrics={SECRET: 1})
    for words in ([], ["--json"]):
        said = project.run("--monitor", *words).out
        assert (SECRET in said, "\x1b" in said, "***" in said) == (False, False, True)


# The page and the program


def paths(value, at=""):
    """The fields of a document: `a`, `a.b` in a mapping, `a[].b` in a list of mappings."""
    for name, inner in value.items():
        yield f"{at}{name}"
        if isinstance(inner, dict) and name != "metrics":
            yield from paths(inner, f"{at}{name}.")
        elif isinstance(inner, list):
            yield from paths(inner[0], f"{at}{name}[].")


def test_the_page_has_every_field_and_no_other(project, job):
    job.started().watched(**everything())
    told = re.findall(r"^\| `([\w.\[\]]+)` \|", PAGE.read_text().split("| Field | |")[1], re.MULTILINE)
    assert told == list(paths(project.run("--monitor", "--json").json["jobs"][0]))


def test_the_example_of_the_page_has_the_fields_of_the_program(project, job):
    job.started().watched(**everything())
    example = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    assert list(paths(example)) == list(paths(project.run("--monitor", "--json").json))


# Supervisors


def test_a_job_without_supervisor_gets_one(project, job):
    job.started().saw()
    project.run("--monitor")
    assert job.attended


def test_a_job_whose_end_nobody_saw_gets_a_supervisor(project, job):
    job.let_go(gone()).log(JobStarted(run="main.1"))
    project.run("--monitor")
    assert job.attended


@pytest.mark.parametrize("words", [["list"], ["why", "3"], ["validate"], ["log"]])
def test_other_read_verbs_start_nothing(project, job, words):
    job.started().saw()
    project.run(*words)
    assert not job.attended


def test_a_supervised_job_gets_no_second_supervisor(project, job):
    job.started().watched()
    project.run("--monitor")
    assert not job.attended


def test_a_job_with_its_verdict_gets_no_supervisor(project, job):
    job.started().log(StepFailed(status="failed"))
    project.run("--monitor")
    assert not job.attended


def test_a_job_that_was_not_let_go_gets_no_supervisor(project, job):
    row = project.run("--monitor", "--json").json["jobs"][0]
    assert (row["state"], job.attended) == ("unfinished", False)


def test_a_job_of_another_host_is_shown_and_left_alone(project, job):
    job.let_go(procfs.identify(os.getpid()).replace(machine="another machine", boot="another boot"))
    job.log(JobStarted(run="main.1")).saw(boot="another boot")
    done = project.run("--monitor", "--json")
    row = done.json["jobs"][0]
    assert (done.code, row["state"], row["age_s"], job.attended) == (0, "elsewhere", None, False)


def hold_run_lock(project):
    """Hold what an executor holds."""
    project.held.append(fd := os.open(project.root / ".do-tasks" / "run.lock", os.O_RDWR | os.O_CREAT))
    fcntl.flock(fd, fcntl.LOCK_EX)


def test_a_job_that_its_executor_runs_again_is_left_to_it(project, job):
    job.let_go(gone()).log(JobStarted(run="main.1"), MainFinished(status="failed", run="main.1"))
    job.log(StepFailed(status="lost"), TaskResumed())
    hold_run_lock(project)
    row = project.run("--monitor", "--json").json["jobs"][0]
    assert (row["state"], job.attended) == ("starting", False)


# --until


@pytest.mark.parametrize(
    ("event", "logged", "code"),
    [
        ("started", [], 0),
        ("started", [StepPassed()], 0),
        ("started", [StepFailed(status="failed", reason="died: exit 137")], 4),
        ("first_checkpoint", [CheckpointSaved(path="step_1")], 0),
        ("first_checkpoint", [StepPassed()], 4),
        ("first_checkpoint", [StepFailed(status="lost")], 4),
        ("finished", [StepPassed()], 0),
        ("finished", [StepFailed(status="timed_out")], 4),
        ("finished", [StepFailed(status="cancelled")], 4),
        ("alert", [AlertRaised(key="loss/nan")], 4),
        ("alert", [StepPassed()], 0),
        ("alert", [StepFailed(status="failed")], 4),
        ("alert", [StepFailed(status="cancelled")], 0),
    ],
)
def test_what_came_about_is_not_waited_for(project, job, event, logged, code):
    job.started().watched().log(*logged)
    done = project.run("--monitor", "--until", event)
    assert (done.code, done.out.startswith(f"{job.task_id}: "), done.out.count("\n")) == (code, True, 1)


def test_a_wait_for_an_alert_says_what_it_rests_on_and_does(project, job):
    stands = {"key": "loss/nan", "output": "loss is nan at step 412", "since": "then", "action": "stop"}
    job.started().watched(alerts=[stands]).log(AlertRaised(key="loss/nan"))
    said = project.run("monitor", "--until", "alert").out
    assert "alert loss/nan: loss is nan at step 412 [stop]; see: do-tasks" in said


@pytest.mark.parametrize("event", ["first_checkpoint", "finished", "alert"])
def test_a_wait_that_is_too_long_is_exit_3_with_one_line(project, job, event):
    job.started().watched()
    done = project.run("--monitor", "--until", event, "--timeout", "0.2")
    assert (done.code, done.out.count("\n"), "within 0.2 s" in done.out) == (3, 1, True)


@pytest.mark.parametrize(
    ("event", "logged", "code"),
    [
        ("started", JobStarted(run="main.1"), 0),
        ("first_checkpoint", CheckpointSaved(path="checkpoints/step_1"), 0),
        ("finished", StepPassed(), 0),
        ("finished", StepFailed(status="failed", reason="died: exit 137"), 4),
        ("alert", AlertRaised(key="loss/nan"), 4),
    ],
)
def test_a_wait_ends_when_it_comes_about(project, job, event, logged, code):
    job.let_go().watched()
    waiting = project.start("--monitor", "3", "--until", event)
    asleep(waiting.pid)
    job.log(logged)
    assert finish(waiting).code == code


def asleep(pid):
    """Wait until a process reads nothing any more."""

    def still():
        before = read_by(pid)
        time.sleep(0.2)
        return before == read_by(pid)

    until(still, "it never waited")


def read_by(pid):
    """Bytes that a process has read."""
    return re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1]


def test_a_wait_among_several_jobs_wants_a_name(project, job):
    job.started().watched()
    other = Job(project, 4).started().watched()
    done = project.run("--monitor", "--until", "finished")
    assert (done.code, job.task_id in done.err, other.task_id in done.err) == (2, True, True)


def test_a_wait_takes_the_only_job_that_runs(project, job):
    job.log(SupervisorStarted(), StepPassed())
    other = Job(project, 4).started().watched()
    assert other.task_id in project.run("--monitor", "--until", "started").out


def test_a_wait_for_what_nobody_works_at_ends(project, job):
    done = project.run("--monitor", "3", "--until", "finished")
    assert (done.code, "do-tasks --continue" in done.out) == (4, True)


def test_a_wait_may_end_with_json(project, job):
    job.started().watched()
    done = project.run("--monitor", "--until", "started", "--json")
    assert (done.code, done.json["jobs"][0]["task_id"], job.task_id in done.err) == (0, job.task_id, True)


def test_a_wait_starts_the_supervisor_that_is_missing(project, job):
    job.started().saw()
    project.run("--monitor", "--until", "alert", "--timeout", "0.2")
    assert job.attended


def test_a_wait_reads_nothing_while_nothing_changes(project, job):
    job.started().watched()
    waiting = project.start("--monitor", "--until", "finished")
    asleep(waiting.pid)
    before = read_by(waiting.pid)
    time.sleep(1.2)
    assert read_by(waiting.pid) == before
    job.log(StepPassed())
    finish(waiting)


# --watch


def test_a_watch_on_a_pipe_prints_a_line_a_change(project, job):
    job.started().watched(**{**everything(), "alerts": []})
    watching = project.start("--monitor", "--watch", bufsize=0)
    first = watching.stdout.readline().decode()
    job.saw(**{**everything(), "alerts": [], "metrics": {"loss": 1.0}})
    job.log(AlertRaised(key="loss/nan", action="notify"))
    second = watching.stdout.readline().decode()
    job.log(StepFailed(status="failed", reason="died: exit 137"))
    done = finish(watching)
    assert ("running" in first, "loss/nan" in second, "failed" in done.out) == (True, True, True)
    assert (done.code, done.out.count("\n"), "\x1b" in first + second + done.out) == (4, 1, False)


def test_a_watch_ends_when_no_job_runs(project, job):
    job.started().log(StepPassed())
    done = project.run("--monitor", "--watch")
    assert (done.code, done.out.count("passed")) == (0, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_a_normal_end_of_a_watch(project, job, number):
    job.started().watched()
    watching = project.start("--monitor", "--watch", bufsize=0)
    watching.stdout.readline()
    watching.send_signal(number)
    assert finish(watching).code == 0


def on_terminal(project, *words, columns=80, lines=24, ends_at="", **more):
    """What a terminal is sent, and the exit code; at `ends_at` there comes a Ctrl-C."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    project.environ = {"TERM": "xterm", **more}
    process = project.start(*words, stdout=theirs)
    os.close(theirs)
    got = ""
    try:
        while piece := os.read(ours, 65536).decode():
            got += piece
            if ends_at and ends_at in got:
                process.send_signal(signal.SIGINT)
                ends_at = ""
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return got, finish(process).code


def test_a_watch_on_a_terminal_gives_the_screen_back(project, job):
    job.started().watched()
    got, code = on_terminal(project, "--monitor", "--watch", ends_at="--follow")
    assert (code, got.count("\x1b[?1049h"), got.count("\x1b[?1049l")) == (0, 1, 1)
    assert "Job 3" in got.split("\x1b[?1049l")[1]


def test_a_watch_draws_no_more_than_the_window_holds(project, job):
    job.started().watched(**everything())
    got, _ = on_terminal(project, "--monitor", "--watch", lines=8, ends_at="more lines")
    assert got.split("\x1b[?1049l")[0].count("\r\n") == 7


def test_a_dumb_terminal_gets_lines(project, job):
    job.started().watched()
    got, _ = on_terminal(project, "--monitor", "--watch", ends_at="running", TERM="dumb")
    assert "\x1b[?1049h" not in got


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(project, job, columns):
    job.started().watched(**{**everything(), "title": "long " * 50})
    got, code = on_terminal(project, "--monitor", columns=columns, NO_COLOR="1")
    assert (code, max(map(len, got.splitlines())) <= columns, "\x1b" in got) == (4, True, False)


# log --follow and stop of jobs


def output(job, run="main.1", name="stdout.log"):
    return job.folder / run / name


def wrote(path, text):
    with path.open("a") as file:
        file.write(text)


class Following:
    """`log --follow` of a job, its lines as they come."""

    def __init__(self, project, job, *words):
        self.process = project.start("log", job.task_id, "--follow", *words, bufsize=0)
        self.got = []

    def until(self, text):
        while text not in (self.got or [""])[-1]:
            line = self.process.stdout.readline().decode()
            assert line, f"{text!r} never came: {self.got}"
            self.got.append(line)

    def end(self):
        done = finish(self.process)
        self.got += done.out.splitlines(keepends=True)
        return done.code, "".join(self.got)


def passed(job):
    job.log(StepPassed(), SpecTicked(line=3))


def test_following_a_job_shows_what_both_its_streams_say(project, job):
    job.started().watched()
    wrote(output(job), "before\n")
    following = Following(project, job)
    following.until("before")
    wrote(output(job), "loss 1.2\n")
    following.until("loss 1.2")
    wrote(output(job, name="stderr.log"), "a warning\n")
    following.until("a warning")
    passed(job)
    code, said = following.end()
    assert (code, said.count("loss 1.2"), "marked complete" in said) == (0, 1, True)


def test_of_what_a_job_wrote_long_ago_only_the_end_is_shown(project, job):
    job.started().watched()
    wrote(output(job), "".join(f"line {number}\n" for number in range(10_000)))
    following = Following(project, job)
    following.until("line 9999")
    passed(job)
    assert 0 < following.end()[1].count("| line ") < 1000


def test_output_is_masked_line_by_line(project, job):
    project.environ = {"WANDB_API_KEY": SECRET}
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), f"half {SECRET[:9]}")
    wrote(output(job), f"{SECRET[9:]} and \x1b[2Jmore\n")
    following.until("half")
    passed(job)
    said = following.end()[1]
    assert ("half *** and more" in said, SECRET[:9] in said, "\x1b" in said) == (True, False, False)


def test_of_a_bar_that_redraws_its_line_the_last_is_shown(project, job):
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), "\r 10%\r 50%\r100%\nnext\n")
    following.until("next")
    passed(job)
    said = following.end()[1]
    assert ("100%" in said, "50%" in said) == (True, False)


def test_a_last_line_without_an_end_is_shown_with_the_verdict(project, job):
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), "first\nno end")
    following.until("first")
    passed(job)
    assert "| no end" in following.end()[1]


def test_the_run_after_a_restart_is_followed_too(project, job):
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), "one\n")
    following.until("one")
    job.let_go(run="main.2")
    wrote(output(job, "main.2"), "two\n")
    following.until("two")
    passed(job)
    assert following.end()[0] == 0


@pytest.mark.parametrize("move", ["empty", "rename"])
def test_output_is_followed_over_truncation_and_rotation(project, job, move):
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), "first\nhalf")
    following.until("first")
    output(job).rename(output(job, name="stdout.log.1")) if move == "rename" else output(job).write_text("")
    wrote(output(job), "whole\n")
    following.until("whole")
    passed(job)
    said = following.end()[1]
    assert ("| whole" in said, said.count("first")) == (True, 1)


def test_a_rotated_log_is_followed_to_the_verdict(project, job):
    job.started().watched()
    following = Following(project, job)
    wrote(output(job), "one\n")
    following.until("one")
    log = project.root / ".task_execution.log"
    log.rename(f"{log}.1")
    passed(job)
    assert following.end()[0] == 0


def test_a_started_job_has_not_ended(project, job):
    job.started().watched().log(SpecMarked(status="started", line=3))
    following = Following(project, job)
    wrote(output(job), "goes on\n")
    following.until("goes on")
    job.log(StepFailed(status="failed", reason="died"), SpecMarked(status="failed", text="died"))
    assert "stays open" in following.end()[1]


def test_a_job_that_its_supervisor_still_judges_is_not_alone(project, job):
    job.let_go(gone()).log(JobStarted(run="main.1")).watched()
    following = Following(project, job)
    with pytest.raises(subprocess.TimeoutExpired):
        following.process.wait(2.6)
    passed(job)
    assert following.end()[0] == 0


def test_a_job_that_nobody_watches_is_told_so(project, job):
    job.let_go(gone()).log(JobStarted(run="main.1"))
    code, said = Following(project, job).end()
    assert (code, "do-tasks monitor" in said) == (3, True)


def test_what_is_logged_behind_the_verdict_opens_nothing(project, job):
    job.started().log(StepPassed(), SpecTicked(), NoticeSent(notice="finished"))
    assert Following(project, job).end()[0] == 0


def test_following_as_json_stays_json(project, job):
    job.started().watched()
    wrote(output(job), "no json\n")
    following = Following(project, job, "--json")
    following.until("JobStarted")
    passed(job)
    assert all(json.loads(line) for line in following.end()[1].splitlines())


# stop


@pytest.fixture
def training():
    """Starts processes of a job; none outlives the test."""
    begun = []

    def start(job, script="exec sleep 300"):
        env = {**os.environ, "DO_TASKS_RUN": f"{job.task_id}/main.1"}
        ready = job.folder / "ready"
        words = ["bash", "-c", f"{script.replace('READY', str(ready))}"]
        begun.append(process := subprocess.Popen(words, env=env, cwd=job.root))
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait()


def test_stop_of_a_job_that_nobody_watches_cancels_it(project, job, training):
    process = training(job)
    job.let_go(procfs.identify(process.pid)).log(JobStarted(run="main.1"))
    done = project.run("stop", job.task_id)
    assert (done.code, done.out) == (0, f"{job.task_id}: ended 1 process; its verdict: cancelled\n")
    assert (project.event("StepFailed")["status"], "stopped by do-tasks stop" in project.spec) == ("cancelled", True)


def test_stop_leaves_the_verdict_to_the_supervisor(project, job, training):
    process = training(job)
    job.let_go(procfs.identify(process.pid)).log(JobStarted(run="main.1")).watched()
    stopping = project.start("stop", job.task_id)
    process.wait(30)
    job.log(StepFailed(status="cancelled", reason=runs.STOPPED))
    done = finish(stopping)
    assert (done.code, "its verdict: cancelled" in done.out, len(project.events("StepFailed"))) == (0, True, 1)


def test_stop_takes_over_from_a_supervisor_that_dies(project, job):
    job.started().watched()
    stopping = project.start("stop", job.task_id)
    until(lambda: runs.stop_asked(job.root, job.task_id), "nobody was asked to stop")
    job.end_supervisor()
    assert (finish(stopping).code, project.event("StepFailed")["status"]) == (0, "cancelled")


def test_stop_of_a_job_with_its_verdict_changes_nothing(project, job):
    job.started().log(StepPassed())
    done = project.run("stop", job.task_id)
    assert (done.out, project.events("StepFailed")) == (
        f"{job.task_id}: nothing of it was running; its verdict: passed\n",
        [],
    )


SAVES = "trap 'sleep 2.5; echo saved >READY.saved; exit' TERM; echo >READY; while :; do sleep 0.05; done"


@pytest.mark.parametrize(("words", "saved"), [([], True), (["--grace", "0.2"], False)])
def test_a_job_is_given_time_to_save(project, job, training, words, saved):
    process = training(job, SAVES)
    job.let_go(procfs.identify(process.pid)).log(JobStarted(run="main.1"))
    project.until_there(f"{runs.JOBS}/{job.task_id}/ready")
    project.run("stop", job.task_id, *words)
    assert (process.wait(30) is not None, (job.folder / "ready.saved").exists()) == (True, saved)


# What it costs


def test_the_view_of_many_jobs_loads_nothing_heavy_and_reads_no_log(project):
    for step in range(1, 51):
        Job(project, step).started().watched(**everything())
    log = project.root / ".task_execution.log"
    seen = log_reader.recall(str(project.root))
    with log.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    log_reader.save(str(project.root), seen.replace(offset=log.stat().st_size))
    argv = (sys.executable, "-X", "importtime", "-c", READS)
    done = project.run("--monitor", "--json", argv=argv)
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert not loaded & {"yaml", "jsonschema", "psutil", "typing", "dataclasses", "subprocess", "asyncio", "pathlib"}
    assert (len(done.json["jobs"]), int(done.err.rpartition("rchar: ")[2].split()[0]) < 16 << 20) == (50, True)


READS = """\
import sys
from executor.cli.main import main
code = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.write(open("/proc/self/io").read())
"""
