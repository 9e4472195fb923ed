"""Holds the retention of job folders: only what is old, ended and needed by nothing goes, and only when asked."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess

import pytest

from executor.store import runs
from executor.store.events import (
    MainFinished,
    StepFailed,
    StepInterrupted,
    StepPassed,
    TaskResumed,
    TaskStarted,
)
from executor.store.log_writer import LogWriter
from executor.system import procfs
from executor.system.run_records import Exit
from tests.integration.projects import Project, command

FAILED = (StepFailed(status="failed", reason="exit 3"),)
ENDED = Exit(0)


class Past:
    """A project with tasks that were; `made` counts them, so that each has an id of its own."""

    def __init__(self, root):
        self.project = Project(root).plan(s1=command("true"), s2=command("true"))
        self.root = str(self.project.root)
        self.made = 0

    def task(self, *events, step=1, who=None, end=ENDED, size=4096):
        """Log a task and give it a folder; its MAIN has ended unless `end` is None."""
        self.made += 1
        task_id = f"task_{step}_{self.made:08x}"
        journal = LogWriter(os.path.join(self.root, ".task_execution.log"))
        for event in (TaskStarted(digest="d"), *events):
            journal.write(event, task_id=task_id, step=step)
        journal.close()
        folder = runs.new_run(self.root, task_id, "main.1")
        runs.write_started(folder, who or procfs.identify(os.getpid()), command="x", digest="d")
        if end:
            runs.write_exit(folder, end)
        with open(os.path.join(folder, "stdout.log"), "wb") as file:
            file.write(b"x" * size)
        return task_id

    def failed(self, number, **more):
        return [self.task(*FAILED, **more) for _ in range(number)]

    def clean(self, keep, *words):
        return self.project.run("clean", "--keep", str(keep), *words)

    @property
    def there(self):
        return sorted(os.listdir(os.path.join(self.root, runs.JOBS)))


@pytest.fixture
def past(tmp_path):
    return Past(tmp_path / "project")


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_tasks_of_each_step_stay(past, keep):
    ones, twos = past.failed(3), past.failed(2, step=2)
    assert past.clean(keep).code == 0
    assert past.there == sorted([*ones[-keep:], *twos[-keep:]])


def test_newest_is_what_the_log_began_last_whatever_the_files_say(past):
    first, second, third = past.failed(3)
    os.utime(os.path.join(past.root, runs.JOBS, first))
    past.clean(2)
    assert past.there == [second, third]


def test_it_says_what_was_removed_and_the_bytes(past):
    old, *_ = past.failed(2, size=100_000)
    said = past.clean(1).out
    freed = int(re.search(r"\((\d+) bytes\) freed", said)[1])
    assert (f"removed {old} " in said, "removed 1 of 2 job folders" in said, freed >= 100_000) == (True, True, True)


def test_a_dry_run_says_the_same_and_removes_nothing(past):
    tasks = past.failed(3)
    would = past.clean(1, "--dry-run").out
    assert past.there == sorted(tasks)
    assert would.replace("would remove", "removed").replace("to free", "freed") == past.clean(1).out


def test_nothing_old_is_nothing_removed(past):
    past.failed(2)
    assert "removed 0 of 2" in past.clean(5).out


def test_without_a_job_there_is_nothing_to_do(past):
    assert (past.clean(1).code, past.project.has(".do-tasks/jobs")) == (0, False)


KEPT = {
    "no verdict yet": lambda past: past.task(),
    "taken up again": lambda past: past.task(StepInterrupted(), TaskResumed()),
    "alive": lambda past: past.task(*FAILED, end=None),
    "another host's": lambda past: past.task(
        *FAILED, who=procfs.identify(os.getpid()).replace(machine="another"), end=None
    ),
    "its MAIN may be reused": lambda past: past.task(MainFinished(status="passed", run="main.1"), *FAILED),
    "the last that passed": lambda past: past.task(StepPassed()),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=[*KEPT])
def test_what_is_still_needed_stays(past, make):
    kept = make(past)
    gone, newest = past.failed(2)
    past.clean(1)
    assert past.there == sorted([kept, newest])
    assert gone not in past.there


@pytest.mark.parametrize("escaped", [False, True])
def test_what_spec_md_names_stays(past, escaped):
    named, gone, newest = past.failed(3)
    shown = named.replace("_", "\\_") if escaped else named  # as some formatters write it
    past.project.write("SPEC.md", f"- [x] **STEP 1**: a ✓ [task_id: {shown}] [2026-11-22 10:30]\n- [ ] **STEP 2**: b\n")
    past.clean(0)
    assert (past.there, gone in past.there) == (sorted([named, newest]), False)


def test_a_task_of_which_a_process_lives_stays(past):
    old, _ = past.failed(2)
    env = {**os.environ, "DO_TASKS_RUN": f"{old}/post.1.x"}
    with subprocess.Popen(["sleep", "60"], env=env, cwd=past.project.root) as stray:
        past.clean(0)
        stray.kill()
    assert old in past.there


def test_a_supervised_task_stays(past):
    old, _ = past.failed(2)
    fd = os.open(runs.job_lock(past.root, old), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    past.clean(0)
    os.close(fd)
    assert old in past.there


def test_what_the_log_does_not_know_stays(past):
    past.failed(2)
    runs.new_run(past.root, "task_1_ffffffff", "main.1")
    past.clean(0)
    assert "task_1_ffffffff" in past.there


def test_what_rotated_logs_tell_counts(past):
    old, newest = past.failed(2)
    past.project.run("log", "--rotate")
    past.clean(1)
    assert (past.there, old in past.there) == ([newest], False)


def test_links_are_not_followed(past, tmp_path):
    old, _ = past.failed(2)
    kept = tmp_path / "checkpoints"
    kept.mkdir()
    (kept / "best.pt").write_text("weights")
    os.symlink(kept, os.path.join(past.root, runs.JOBS, old, "main.1", "checkpoints"))
    elsewhere = os.path.join(past.root, runs.JOBS, "task_1_000000ff")
    os.symlink(kept, elsewhere)
    past.clean(1)
    assert (old in past.there, (kept / "best.pt").read_text(), os.path.islink(elsewhere)) == (False, "weights", True)


def test_nothing_goes_while_an_executor_runs(past):
    tasks = past.failed(2)
    fd = os.open(os.path.join(past.root, ".do-tasks", "run.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    done = past.clean(1)
    os.close(fd)
    assert (done.code, past.there) == (5, sorted(tasks))


def test_what_a_clean_that_died_had_put_aside_goes_and_passes_for_no_task(past):
    old, newest = past.failed(2)
    folder = os.path.join(past.root, runs.JOBS)
    os.rename(os.path.join(folder, old), os.path.join(folder, f"removed.{old}"))
    assert (past.project.run("list").code, past.clean(1).code, past.there) == (0, 0, [newest])


def test_what_was_removed_is_still_in_the_log(past):
    old, _ = past.failed(2)
    past.clean(1)
    assert "StepFailed" in past.project.run("log", old, "--json").out


def test_a_run_goes_on_after_a_clean(past):
    past.failed(3)
    past.clean(0)
    assert past.project.run("--all").code == 0
