"""File systems that refuse: no flock, no locks at all, no fsync, no chmod, no room for a cache."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.projects import WITHOUT_RIGHTS, Project, command, finish, until, without_rights

FAKE = Path(__file__).with_name("refusals.c")
NO_LOCKS = [37, 38, 95]  # ENOLCK, ENOSYS, EOPNOTSUPP
RANGES = "flock=37"
FILES = "flock=38 range=38"
NEITHER = f"{FILES} turn=1"


@pytest.fixture(scope="session")
def fake(tmp_path_factory):
    """The library that refuses, as a path."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("fake") / "refusals.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), str(FAKE), "-ldl"], check=True, timeout=300)
    return path


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def refusing(project, fake, words):
    """Let everything that this project starts be refused these calls."""
    project.environ = {"LD_PRELOAD": str(fake), "REFUSE": words} if words else {}
    return project


def slow(project):
    """A plan whose step 1 says that it began, and lasts until it is let go."""
    return project.plan(s1=command("echo > began; until [ -e go ]; do sleep 0.05; done"), s2=command("true"))


def told(project, word):
    return [line["message"] for line in project.events("WarningRaised") if word in line["message"]]


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("number", NO_LOCKS)
@pytest.mark.parametrize("calls", ["flock={0}", "flock={0} range={0}"], ids=["flock", "both"])
def test_a_plan_runs_where_there_are_no_locks_of_a_kind(project, fake, calls, number):
    refusing(project.plan(s1=command("true")), fake, calls.format(number))
    done = project.run("--step", "1")
    assert done.code == 0, done
    assert "[x] **STEP 1**" in project.spec
    assert len(told(project, "has no locks")) == ("range" in calls)


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("first", ["", RANGES, FILES], ids=["flock", "ranges", "files"])
@pytest.mark.parametrize("second", ["", RANGES, FILES], ids=["flock", "ranges", "files"])
def test_a_second_executor_is_refused_however_each_of_the_two_locks(project, fake, first, second):
    running = refusing(slow(project), fake, first).start("--step", "1")
    project.until_there("began")
    done = refusing(project, fake, second).run("--step", "2")
    assert (done.code, f"pid {running.pid}" in done.err) == (5, True), done
    doctor = project.run("doctor")
    assert f"held by pid {running.pid}" in doctor.out
    project.write("go", "")
    assert finish(running).code == 0
    assert refusing(project, fake, second).run("--step", "2").code == 0


@pytest.mark.parametrize("words", [RANGES, FILES], ids=["ranges", "files"])
def test_the_lock_of_a_killed_executor_is_free(project, fake, words):
    running = refusing(slow(project), fake, words).start("--step", "1")
    project.until_there("began")
    running.kill()
    finish(running)
    project.write("go", "")
    done = project.run("--continue")
    assert done.code == 0, done
    assert project.spec.count("[x]") == 2


def test_runs_are_refused_where_nothing_can_lock_and_reading_works(project, fake):
    refusing(project.plan(s1=command("echo ran > ran")), fake, NEITHER)
    done = project.run("--step", "1")
    assert (done.code, project.has("ran")) == (6, False), done
    assert str(project.root / ".do-tasks") in done.err
    assert "no locks" in done.err
    for verb in ("list", "why 1", "validate", "--monitor", "--dry-run", "doctor"):
        assert project.run(*verb.split()).code == 0, verb


@pytest.mark.parametrize("words", ["", RANGES, FILES], ids=["flock", "ranges", "files"])
def test_a_background_job_is_watched_to_its_end_in_any_way_of_locking(project, fake, words):
    job = command("sleep 2.5", mode="background", timeout=1)
    refusing(project.plan(s1=job, s2=command("true")), fake, words)
    assert project.run("--step", "1").code == 0
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0
    assert "[x] **STEP 1**" in project.spec
    assert len(project.events("StepPassed")) == 1
    assert len(told(project, "has no locks")) == (words == FILES)


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("number", [22, 38, 95])
@pytest.mark.parametrize("call", ["fsync_folder", "fsync", "fdatasync"])
def test_what_cannot_be_synced_is_told_once_and_work_goes_on(project, fake, call, number):
    refusing(project.plan(s1=command("true"), s2=command("true")), fake, f"{call}={number}")
    done = project.run("--continue")
    assert done.code == 0, done
    assert project.spec.count("[x]") == 2
    assert len(told(project, "fsync")) == 1


def test_a_disk_that_breaks_at_a_sync_ends_the_run(project, fake):
    refusing(project.plan(s1=command("true")), fake, "fdatasync=5")
    done = project.run("--continue")
    assert (done.code, "Input/output error" in done.err, "[x]" in project.spec) == (6, True, False), done


@pytest.mark.parametrize("number", [1, 22, 38, 95])
def test_what_cannot_be_given_its_mode_is_told_once_and_work_goes_on(project, fake, number):
    refusing(project.plan(s1=command("true"), s2=command("true")), fake, f"chmod={number} chown={number}")
    for verb in ("list", "why 1", "validate", "--dry-run", "doctor"):
        assert project.run(*verb.split()).code == 0, verb
    os.umask(os.umask(0o027) & 0o027)
    done = project.run("--continue")
    assert done.code == 0, done
    assert project.spec.count("[x]") == 2
    assert len(told(project, "chmod")) <= 1


def test_a_cache_without_room_fails_no_reading(project):
    project.plan(s1=command("true"))
    project.run("--continue")
    shutil.rmtree(project.root / ".do-tasks" / "cache")
    (project.root / ".do-tasks" / "cache").symlink_to("/dev/full")
    for verb in ("list", "why 1", "--dry-run", "--monitor", "doctor"):
        assert project.run(*verb.split()).code == 0, verb


def test_a_project_that_may_only_be_read_is_read(project):
    project.plan(s1=command("true"), s2=command("true"))
    project.run("--step", "1")
    for path in (project.root / ".do-tasks", project.root):
        path.chmod(0o555)
    try:
        for verb in ("list", "why 1", "validate", "--monitor", "--dry-run", "log", "doctor"):
            done = without_rights(project, *verb.split())
            assert done.code == 0, (verb, done)
        done = without_rights(project, "--continue")
    finally:
        for path in (project.root, project.root / ".do-tasks"):
            path.chmod(0o755)
    assert (done.code, done.err.count("\n")) == (6, 1), done


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_any_umask_leaves_a_plan_that_works_and_records_that_are_private(project, mask):
    project.plan(s1=command("echo out; echo err >&2; false"), s2=command("true"))
    argv = ("sh", "-c", f'umask {mask:o}; exec {sys.executable} -c "$0" "$@"')

    done = project.run(WITHOUT_RIGHTS, "--all", "--keep-going", argv=argv)
    assert (done.code, "exit 1: err" in done.out) == (1, True), done
    assert "[x] **STEP 2**" in project.spec
    private = [path for path in (project.root / ".do-tasks").rglob("*") if path.stat().st_mode & 0o077]
    assert not private


def test_a_folder_that_is_gone_is_the_machines_trouble(project, tmp_path):
    project.plan(s1=command("true"))
    gone = tmp_path / "gone"
    gone.mkdir()
    done = project.run(
        "--continue", argv=("sh", "-c", f'cd {gone}; rmdir {gone}; exec {sys.executable} -m executor "$0"')
    )
    assert done.code in (2, 6), done
    assert done.err.count("\n") == 1


def test_a_stop_reaches_a_job_where_there_are_no_locks(project, fake):
    job = command("sleep 60", mode="background", timeout=1)
    refusing(project.plan(s1=job), fake, FILES)
    assert project.run("--step", "1").code == 0
    task_id = project.event("TaskStarted")["task_id"]
    done = project.run("stop", task_id, "--grace", "0")
    assert (done.code, "cancelled" in done.out) == (0, True), done


def test_the_lock_file_of_the_dead_is_taken_over_by_one_alone(project, fake):
    """All see the same dead holder; what it started lives, and is adopted by the one."""
    refusing(slow(project), fake, FILES)
    first = project.start("--step", "1")
    project.until_there("began")
    first.send_signal(signal.SIGKILL)
    finish(first)
    started = [project.start("--step", "1") for _ in range(8)]
    until(lambda: sum(one.poll() is not None for one in started) == 7, "more than one holds the lock")
    project.write("go", "")
    assert sorted(finish(one).code for one in started) == [0, *[5] * 7]


def test_a_quota_that_is_used_up_fails_runs_in_one_sentence_and_no_reading(project, fake):
    project.plan(s1=command("true"), s2=command("true"))
    project.run("--step", "1")
    shutil.rmtree(project.root / ".do-tasks" / "cache")
    refusing(project, fake, "write=122")
    for verb in ("list", "why 1", "--dry-run", "--monitor", "log", "doctor"):
        assert project.run(*verb.split()).code == 0, verb
    done = project.run("--continue")
    assert (done.code, done.err.count("\n"), "quota" in done.err) == (6, 1, True), done


def test_a_second_user_of_a_project_may_look_and_is_told_why_no_more(project):
    """The records are private to whom they belong: for another user they are not there."""
    project.plan(s1=command("true"), s2=command("true"))
    project.run("--step", "1")
    (project.root / ".do-tasks").chmod(0)
    try:
        for verb in ("list", "why 1", "validate", "--dry-run", "--monitor", "doctor"):
            assert without_rights(project, *verb.split()).code == 0, verb
        done = without_rights(project, "--continue")
    finally:
        (project.root / ".do-tasks").chmod(0o700)
    assert (done.code, done.err.count("\n")) == (6, 1), done


def test_neither_home_nor_a_place_for_temporary_files_is_needed(project):
    project.plan(s1=command("true"))
    project.environ = {"HOME": "/nowhere/at/all", "TMPDIR": "/nowhere/at/all"}
    assert project.run("--continue").code == 0
    assert project.run("doctor").code == 0


@pytest.mark.parametrize("name", ["a\nb", os.fsdecode(b"caf\xe9 \xff")], ids=["newline", "bytes"])
def test_a_project_may_lie_in_a_folder_of_any_name(tmp_path, name):
    project = Project(tmp_path / name).plan(s1=command("sleep 1.2", mode="background", timeout=1), s2=command("true"))
    assert project.run("--continue").code == 0
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0
    assert project.run("list", "--json").json["steps"][0]["state"] == "done"
