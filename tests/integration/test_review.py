"""Holds what hostile files, forged ticks, long plans and odd parents do: a verdict, never a hang or a traceback."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.integration.projects import Project, command, finish, until

FRESH = {"criterion": "made", "file": "out"}
IGNORING = """\
import os, signal, sys
signal.signal(signal.{0}, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "executor", *sys.argv[1:]])
"""
NO_PIDFD = """\
import errno, os, sys
def refused(pid):
    raise PermissionError(errno.EPERM, "filtered")
os.pidfd_open = refused
from executor.cli import entry
entry()
"""
SECRET = {"MY_KEY": "s3cret-enough"}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


def main(text, *criteria, **more):
    return {"main": {"command": text, "test": "none", "success_criteria": [*criteria]}, **more}


def ticked(number, task_id):
    return f"- [x] **STEP {number}**: Title ✓ [task_id: {task_id}] [2026-01-01 10:00] (1 proven)\n"


@pytest.mark.parametrize("environ", [{}, SECRET], ids=["nothing to mask", "a secret"])
@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_a_result_path_that_is_no_file_is_no_evidence(project, make, environ):
    project.environ = environ
    done = project.plan(s1=main(f"{make} $DO_TASKS_RESULT", "ok")).run("--step", "1")
    assert (done.code, "not a file" in project.spec) == (1, True), done


def test_masking_does_not_reach_through_a_link(project):
    project.environ = SECRET
    kept = project.write("kept.env", SECRET["MY_KEY"])
    project.plan(s1=main("ln -s $PWD/kept.env $DO_TASKS_RESULT")).run("--step", "1")
    assert kept.read_text() == SECRET["MY_KEY"]


def test_a_folder_that_a_killed_test_left_in_its_run_is_no_hindrance(project):
    step = {"main": {"command": "true", "test": {"command": 'mkdir -p "${DO_TASKS_RESULT%/*}/a/b"'}}}
    project.plan(s1=step).run("--step", "1")
    folder = next(project.root.glob(".do-tasks/jobs/*/test"))
    project.write(".task_execution.log", project.text(".task_execution.log").partition('"event": "TestFinished"')[0])
    assert folder.joinpath("a", "b").is_dir()
    project.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    assert project.run("--continue").code == 0


def test_a_criterion_that_the_result_file_denies_in_short_is_denied(project):
    done = project.plan(s1=main("""echo '{"criteria": {"ok": false}}' >$DO_TASKS_RESULT""", "ok")).run("--step", "1")
    assert done.code == 1, done


def test_without_a_record_of_mains_start_nothing_is_fresh(project):
    step = main("touch out", FRESH, post_validation=[{"task": "p", "command": "test -e good"}])
    project.plan(s1=step).run("--step", "1")
    for path in sorted(project.root.joinpath(".do-tasks").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    project.write("good", "")
    done = project.run("--step", "1")
    assert (done.code, "no longer on record" in done.out) == (1, True), done


@pytest.mark.parametrize("words", [["--step", "1"], ["--continue"]])
def test_a_tick_with_the_id_of_a_failed_task_is_refused(project, words):
    project.plan(s1=command("exit 1")).run("--step", "1")
    project.write("SPEC.md", ticked(1, project.task_id()))
    done = project.run(*words)
    assert (done.code, "the log says of that task: failed" in done.err) == (2, True), done


def test_a_tick_with_the_id_of_an_older_failed_task_is_refused(project):
    project.plan(s1=command("exit 1")).run("--step", "1")
    older = project.task_id()
    project.run("--step", "1")
    project.write("SPEC.md", ticked(1, older))
    assert project.run("--step", "1").code == 2


def test_a_dependency_ticked_with_the_id_of_a_failed_task_opens_no_gate(project):
    project.plan(s1=command("exit 1"), s2={**command("touch ran"), "depends_on": [1]}).run("--step", "1")
    project.write("SPEC.md", ticked(1, project.task_id()) + "- [ ] **STEP 2**: Two\n")
    assert (project.run("--step", "2").code, project.has("ran")) == (2, False)


def test_a_dependency_ticked_by_hand_opens_no_gate_under_strict(project):
    project.plan(
        spec="- [x] **STEP 1**: One\n- [ ] **STEP 2**: Two\n",
        s1=command("true"),
        s2={**command("true"), "depends_on": [1]},
    )
    assert [project.run("--step", "2", *strict).code for strict in (["--strict"], [])] == [3, 0]


@pytest.mark.parametrize("needs", [(1,), (1, 2, 3)], ids=["chain", "net"])
def test_a_long_row_of_dependencies_is_walked_once(project, needs):
    steps = {f"s{n}": {**command("true"), "depends_on": [n - d for d in needs if n > d]} for n in range(1, 601)}
    done = project.plan(**steps).run("why", "600")
    assert (done.code, "waits for the end of step" in done.out) == (0, True), done


@pytest.mark.parametrize("name", ["SIGHUP", "SIGCHLD"])
def test_a_signal_that_our_parent_ignores_takes_nothing_from_us(project, name):
    step = {"pre_flight": [{"task": "c", "command": "true"}], **main("touch began; sleep 0.5")}
    project.plan(s1=step)
    running = project.start("--step", "1", argv=(sys.executable, "-c", IGNORING.format(name)))
    until(lambda: project.has("began") or running.poll() is not None, "MAIN never began")
    running.send_signal(getattr(signal, name))
    done = finish(running)
    assert done.code == 0, done


def test_orphans_of_a_long_main_do_not_stay_as_our_zombies(project):
    orphans = "for i in $(seq 30); do (setsid sleep 0.01 &) ; done; sleep 1"
    count = "cat /proc/[0-9]*/stat 2>/dev/null | awk -v us=$(ps -o ppid= $PPID) '$3 == \"Z\" && $4 == us+0' | wc -l"
    project.plan(s1=main(f"{orphans}; {count} >zombies")).run("--step", "1")
    assert int(project.text("zombies")) < 5


def test_args_follow_a_command_in_main_as_in_test(project):
    step = {"main": {"command": "printf '%s,' >>said", "args": ["a b"], "test": {"args": ["small"]}}}
    project.plan(s1=step).run("--step", "1")
    assert project.text("said") == "a b,small,a b,"


def test_what_test_made_last_is_older_than_main(project):
    step = {"main": {"command": "true", "test": {"command": "touch out"}, "success_criteria": [FRESH]}}
    project.plan(s1=step).run("--step", "1")
    made = project.root.joinpath("out").stat().st_mtime_ns
    assert next(project.root.glob(".do-tasks/jobs/*/main.1/started.json")).stat().st_mtime_ns > made


def test_the_password_of_an_address_is_not_logged(project):
    asked = {"task": "u", "url": "http://me:sesame@127.0.0.1:9/x?key=abc&b=xyz"}
    project.plan(s1={**command("true"), "pre_flight": [asked]}).run("--step", "1")
    assert [word for word in ("sesame", "abc", "xyz") if word in project.text(".task_execution.log")] == []


@pytest.mark.parametrize("number", ["²", "1" * 5000])
def test_an_odd_number_is_a_wrong_word_not_a_bug(project, number):
    done = project.plan(s1=command("true")).run("mark-done", number, "--by", "me", "--reason", "so")
    assert done.code == 2, done


def test_end_of_file_at_the_question_is_a_no(project):
    project.plan(spec="- [ ] **STEP 1**: One\n", s1=command("true"), s2=command("true"))
    ours, theirs = os.openpty()
    running = project.start("--step", "1", stdin=theirs, stdout=theirs)
    os.write(ours, b"\x04")
    done = finish(running)
    os.close(ours)
    os.close(theirs)
    assert (done.code, "STEP 2" in project.spec) == (0, False), done


def test_a_python_that_is_not_there_leaves_the_path_as_it_is(project):
    project.plan(settings={"python": "python-of-nowhere"}, s1=main('echo "$PATH" >path')).run("--step", "1")
    assert not project.text("path").startswith(":")


def test_a_power_cut_in_the_record_of_a_start_is_a_loss_that_a_person_decides(project):
    project.plan(s1={"main": {"command": "touch ran", "test": "none", "on_lost": "ask"}}).run("--step", "1")
    log = project.text(".task_execution.log").splitlines(keepends=True)
    until_main = next(at for at, line in enumerate(log) if '"MainStarted"' in line) + 1
    project.write(".task_execution.log", "".join(log[:until_main]))
    folder = next(project.root.glob(".do-tasks/jobs/*/main.1"))
    folder.joinpath("exit.json").unlink()
    folder.joinpath("started.json").write_bytes(b"")
    project.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    assert project.run("--continue").code == 3


def test_a_kernel_without_descriptors_of_processes_is_asked_instead(project):
    """A container's filter answers pidfd_open with EPERM; no file is left for it under a low limit."""
    project.plan(s1={**main("sleep 0.3; exec 1>&- 2>&-; sleep 0.3"), "pre_flight": [{"task": "c", "command": "true"}]})
    done = project.run("--step", "1", argv=(sys.executable, "-c", NO_PIDFD))
    assert done.code == 0, done


def test_a_secret_parted_by_an_escape_is_not_joined_in_the_spec(project):
    project.environ = SECRET
    parted = SECRET["MY_KEY"][:4] + "\\033[0m" + SECRET["MY_KEY"][4:]
    project.plan(s1=main(f"printf '{parted}\\n'; exit 1")).run("--step", "1")
    assert SECRET["MY_KEY"] not in project.spec


def test_metrics_too_long_for_a_line_stay_in_the_result_file(project):
    code = (
        "import json, os; json.dump({'metrics': {'loss': [0.5] * 100_000}}, open(os.environ['DO_TASKS_RESULT'], 'w'))"
    )
    project.plan(s1=main(f'{sys.executable} -c "{code}"')).run("--step", "1")
    assert list(project.event("ResultRead")["metrics"]) == ["too_long_for_the_log_bytes"]


def test_following_a_task_whose_executor_died_ends_and_says_so(project):
    process = project.plan(s1=main("sleep 1")).start("--step", "1")
    project.until_logged("MainStarted")
    process.kill()
    finish(process)
    told = project.run("log", project.task_id(), "--follow")
    assert (told.code, "no executor watches it" in told.out) == (3, True)


def test_a_look_at_the_lock_starts_no_quarrel(project):
    project.plan(s1=main("true"))
    project.run("doctor")
    looks = [project.start("doctor") for _ in range(3)]
    done = project.run("--step", "1")
    codes = [finish(look).code for look in looks]
    assert (done.code, codes) == (0, [0, 0, 0])


def test_a_stop_that_came_too_late_does_not_end_the_next_run(project):
    project.plan(s1=main("exit 1", "ok")).run("--step", "1")
    task_id = project.task_id()
    project.run("stop", task_id)
    project.plan(s1=main("true", "ok"))
    assert project.run("--continue").code == 0
