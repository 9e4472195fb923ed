"""Holds what MAIN's command promises: no failure is lost, nothing is left behind, args arrive, the cause is told."""

from __future__ import annotations

import sys

import psutil
import pytest

from tests.integration.projects import Project

MANY = "for n in $(seq 3000); do : > some_long_checkpoint_name_$n.pt; done"
TRACEBACK = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n'


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "plan")


def main(command, **more):
    return {"command": command, "test": "none", **more}


def ticked(project, number=1):
    return f"- [x] **STEP {number}**" in project.spec


def living(word):
    """The processes with this word on their command line."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if word in (one.info["cmdline"] or [])]


# What is left behind


@pytest.mark.first_rows(8)
@pytest.mark.parametrize("mode", ["normal", "background"])
@pytest.mark.parametrize(
    "command",
    [
        "nohup sleep 4711 > log 2>&1 &",
        "sleep 4711 & echo started",
        "sleep 4711 &\necho $! > pid",
        "(setsid sleep 4711 &)",
        "setsid --fork sleep 4711",
        "tmux new-session -ds train 'sleep 4711'",
        "for gpu in 0 1; do sleep 4711 & done",
        "bash -c 'sleep 4711 &'",
        "nohup sleep 4711 & disown",
    ],
)
def test_a_command_that_detaches_itself_is_refused_before_it_runs(project, command, mode):
    project.plan(s1={"main": main(command, mode=mode)})
    done = project.run("--step", "1")
    assert (done.code, ticked(project), living("4711")) == (2, False, [])
    assert "step_definitions.yaml:1:" in done.err
    assert "do-tasks detaches it itself (mode: background)" in done.err


def test_a_chunked_command_that_detaches_itself_is_refused(project):
    chunks = {"mode": "chunked", "chunks": [{"size": 1}], "rows": "rows_{chunk}.jsonl"}
    project.plan(s1={"main": main("python make.py &", **chunks)})
    assert project.run("validate").code == 2


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    "command",
    [
        "sleep 0.1 & sleep 0.1 & wait",
        "true && echo b",
        "echo a 2>&1",
        "echo a &> out",
        "echo a |& cat",
        'echo "x & y"',
        "cat <<END\nsleep 5 &\nEND",
        "echo a # &",
        "sleep 0.1 & wait $!",
    ],
)
def test_a_command_that_stays_is_run(project, command):
    project.plan(s1={"main": main(command)})
    assert project.run("--step", "1").code == 0


def test_a_job_that_ends_at_once_and_leaves_a_process_is_no_success(project):
    project.plan(s1={"main": {"script": "go.sh", "test": "none", "mode": "background", "timeout": 10}})
    project.write("go.sh", "#!/bin/bash\nsetsid sleep 4712 > log 2>&1 &\n", mode=0o755)
    done = project.run("--step", "1")
    assert (done.code, ticked(project), living("4712")) == (1, False, [])
    assert "left a process running: sleep 4712; drop the `&`: do-tasks detaches it itself" in done.out
    assert len(project.events("MainStarted")) == 1


def test_a_helper_that_ends_a_moment_later_is_no_process_left(project):
    project.plan(s1={"main": {"script": "go.sh", "test": "none", "mode": "background", "timeout": 10}})
    project.write("go.sh", "#!/bin/bash\nsleep 0.15 &\n", mode=0o755)
    project.run("--step", "1")
    project.run("--monitor", "--until", "finished", "--timeout", "300")
    assert ticked(project)


# Every line counts


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    "command",
    [
        "cp missing.txt data.txt\necho prepared",
        "cp missing.txt data.txt && echo copied\necho prepared",
        "for n in 1 2; do cp missing.txt data.txt; done\necho prepared",
        "x=$(cp missing.txt data.txt; echo 1)\necho $x",
        "! true\necho prepared",
        "cat missing.txt | sort\necho prepared",
        "make_it() { cp missing.txt data.txt; echo made; }\nmake_it\necho prepared",
    ],
)
def test_a_line_that_fails_fails_the_step(project, command):
    project.plan(s1={"main": main(command)})
    assert (project.run("--step", "1").code, ticked(project)) == (1, False)


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    "command",
    [
        "if [ -d old ]; then rm -r old; fi\necho ok",
        "[ -d old ] && rm -r old\necho ok",
        "grep -q nothing SPEC.md || echo none\necho ok",
        "n=0\nwhile [ $n -lt 3 ]; do n=$((n + 1)); done\necho ok",
        "rm missing || true\necho ok",
        "set +e\nfalse\necho ok",
        "mkdir .; echo ok",
    ],
)
def test_conditions_and_loops_work_as_in_any_script(project, command):
    project.plan(s1={"main": main(command)})
    assert project.run("--step", "1").code == 0


def test_every_line_of_a_check_counts(project):
    asked = [{"task": "two files", "command": "test -f one\ntest -f SPEC.md"}]
    project.plan(s1={"main": main("true"), "post_validation": asked})
    assert project.run("--step", "1").code == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python3 a.py || true", "cannot fail"),
        ("python3 a.py; exit 0", "exit 0 at the end hides a failure"),
        ("python3 a.py; echo done", "echo at the end hides a failure"),
        ("set +e\npython3 a.py", "set +e"),
        ("if python3 a.py; then echo ok; else echo bad; fi", "cannot fail"),
        ("python3 a.py & python3 b.py & wait", "wait ends with 0 whatever became of them"),
        ("export KEY=$(python3 a.py)\npython3 b.py", "hides the failure of what fills KEY"),
    ],
)
def test_what_hides_a_failure_is_named(project, command, said):
    project.plan(s1={"main": main(command)})
    done = project.run("validate")
    assert (done.code, "warning: step_1_one.main.command: " in done.out, said in done.out) == (0, True, True)


# The writer of a pipe


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    "listing",
    [
        "ls -lht checkpoints/ | head -5",
        "ls -lht checkpoints/ | head -5 && echo shown",
        'test -n "$(ls -lht checkpoints/ | head -5)"',
        "if ! yes | grep -q y; then exit 1; fi",
        "for n in $(seq 99999); do echo $n; done | head -1",
        "yes | cat | head -2 | wc -l",
    ],
)
def test_a_writer_that_was_cut_off_is_no_failure_anywhere(project, listing):
    asked = [{"task": "list", "command": listing}]
    bound = [{"criterion": "listed", "command": listing}]
    many = main(f"mkdir checkpoints; cd checkpoints; {MANY}")
    project.plan(
        s1={"main": many},
        s2={"pre_flight": asked, "main": main(listing, success_criteria=bound), "post_validation": asked},
    )
    done = project.run("--step", "1-2")
    assert (done.code, "141" in done.out) == (0, False)


def test_another_failure_of_a_writer_is_one(project):
    project.plan(s1={"main": main("cat missing.txt | head -1")})
    assert project.run("--step", "1").code == 1


def test_a_word_that_is_found_at_once_is_not_taken_for_none(project):
    asked = [{"task": "no errors", "command": "! cat log | grep -q error"}]
    project.plan(s1={"main": main("true"), "post_validation": asked})
    project.write("log", "error\n" + "fine\n" * 100_000)
    assert project.run("--step", "1").code == 1


# Arguments


SHOW = "import sys\nopen('seen.txt', 'a').write(' '.join(sys.argv[1:]) + ';')\n"


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    "command",
    [
        "python3 show.py # a note",
        "python3 show.py;",
        "python3 show.py > log 2>&1",
        "python3 show.py \\\n  # a note\n",
        "cd . && python3 show.py",
        "export A=1\npython3 show.py",
        'python3 show.py "$@" | tee log',
        "python3 show.py <<END\na row\nEND",
    ],
)
def test_args_reach_the_program_in_main_and_in_test(project, command):
    project.write("show.py", SHOW)
    project.plan(s1={"main": {"command": command, "args": ["--epochs", 3], "test": {"args": ["--test"]}}})
    done = project.run("--step", "1")
    assert (done.code, (project.root / "seen.txt").read_text()) == (0, "--epochs 3 --test;--epochs 3;"), done


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python3 show.py | tee log", "would go to tee"),
        ("python3 show.py\necho done", "would go to echo"),
        ("for n in 1 2; do python3 show.py; done", "cannot follow a command that ends in a loop"),
        ("(cd . && python3 show.py)", "cannot follow a command that ends in ( ... )"),
        ("if true; then python3 show.py; fi", "cannot follow a command that ends in if ... fi"),
        ("awk '{print $1}' rows | tee out", "would go to tee"),
    ],
)
@pytest.mark.parametrize("where", ["main", "test"])
def test_args_that_would_go_astray_are_refused(project, command, said, where):
    project.write("show.py", SHOW)
    given = {"args": ["--test"]} if where == "main" else {"test": {"args": ["--test"]}}
    project.plan(s1={"main": {"test": "none", "command": command, **given}})
    done = project.run("--step", "1")
    assert (done.code, said in done.err, 'write "$@" into the command' in done.err) == (2, True, True), done
    assert not (project.root / "seen.txt").exists()


# The interpreter


def python_of(project, folder, name="python"):
    """Make a Python in a folder that says where it is."""
    text = f'#!/bin/sh\nFOUND={folder}/{name} exec {sys.executable} "$@"\n'
    project.write(f"{folder}/{name}", text, mode=0o755)
    return str(project.root / folder)


WHO = "import os\nopen('who.txt', 'a').write(os.environ.get('FOUND', 'ours') + ';')\n"


def who(project, **environ):
    project.environ = environ
    project.write("who.py", WHO)
    project.plan(s1={"main": {"script": "who.py", "test": "none"}}, s2={"main": main("python who.py")})
    assert project.run("--all").code == 0
    return (project.root / "who.txt").read_text()


def test_an_active_conda_environment_runs_scripts_and_commands(project):
    folder = python_of(project, "env/bin")
    path = f"{folder}:/usr/bin:/bin"
    found = who(project, CONDA_PREFIX=str(project.root / "env"), CONDA_DEFAULT_ENV="proj", PATH=path)
    assert found == "env/bin/python;env/bin/python;"


def test_the_base_of_conda_counts_when_it_comes_first_on_the_path(project):
    folder = python_of(project, "base/bin")
    conda = {"CONDA_PREFIX": str(project.root / "base"), "CONDA_DEFAULT_ENV": "base"}
    assert who(project, **conda, PATH=f"{folder}:/usr/bin:/bin") == "base/bin/python;base/bin/python;"


def test_the_base_of_conda_gives_way_when_another_python_comes_first(project):
    folder = python_of(project, "base/bin")
    conda = {"CONDA_PREFIX": str(project.root / "base"), "CONDA_DEFAULT_ENV": "base"}
    python_of(project, ".venv/bin")
    first = python_of(project, "other/bin")
    assert who(project, **conda, PATH=f"{first}:{folder}:/usr/bin:/bin") == ".venv/bin/python;.venv/bin/python;"


def test_a_virtual_environment_that_was_removed_is_passed_over(project):
    python_of(project, ".venv/bin", "python3")
    (project.root / ".venv/bin/python").symlink_to("python3")
    assert who(project, VIRTUAL_ENV="/nowhere/venv", PATH="/usr/bin:/bin").startswith(".venv/bin/python")


def test_an_environment_with_a_python3_alone_counts(project):
    folder = python_of(project, "env/bin", "python3")
    project.environ = {"VIRTUAL_ENV": str(project.root / "env"), "PATH": f"{folder}:/usr/bin:/bin"}
    project.write("who.py", WHO)
    project.plan(s1={"main": {"script": "who.py", "test": "none"}})
    assert project.run("--all").code == 0
    assert (project.root / "who.txt").read_text() == "env/bin/python3;"


def test_the_first_python_on_the_path_counts_when_it_is_not_the_systems(project):
    folder = python_of(project, "tools/bin")
    assert who(project, PATH=f"{folder}:/usr/bin:/bin") == "tools/bin/python;tools/bin/python;"


def test_doctor_shows_the_interpreter_and_warns_of_another_one(project):
    folder = python_of(project, "tools/bin")
    python_of(project, ".venv/bin")
    project.environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    project.plan(s1={"main": main("true")})
    said = project.run("doctor").out
    assert ".venv/bin/python runs the project's scripts (.venv of the project)" in said
    assert f"warning: in this terminal python is {folder}/python" in said


# The cause


FOOTER = "=" * 60 + "\\nlaunched.py FAILED\\n" + "-" * 60 + "\\nroot cause: rank 0, exitcode 1\\n" + "=" * 60 + "\\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{TRACEBACK}ValueError: label 12\n\r  0%|          | 0/100 [00:00<?, ?it/s]\n", "ValueError: label 12"),
        (f"{TRACEBACK}ValueError: label 12\n\x1b[31m" + "=" * 60 + "\n", "ValueError: label 12"),
        (f"{TRACEBACK}mine.Odd: a custom one\n", "mine.Odd: a custom one"),
        (
            f"[rank0]: {TRACEBACK}".replace("\n ", "\n[rank0]:  ") + "[rank0]: KeyError: 'loss'\n" + FOOTER,
            "KeyError: 'loss'",
        ),
        (
            f"{TRACEBACK}RuntimeError: shapes\n{TRACEBACK}subprocess.CalledProcessError: Command 'x' returned 1\n",
            "RuntimeError: shapes",
        ),
    ],
)
def test_a_reason_is_the_cause(project, said, reason):
    project.write("fail.py", f"import sys\nsys.stderr.write({said!r})\nsys.exit(1)\n")
    project.plan(s1={"main": {"script": "fail.py", "test": "none"}})
    assert project.run("--step", "1").code == 1
    assert project.spec.rstrip().endswith(f"MAIN: exit 1: {reason}".replace("[", "(").replace("]", ")"))


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_memory_that_ran_out_far_above_the_end_is_retried(project, stream):
    lines = f"{TRACEBACK}torch.OutOfMemoryError: CUDA out of memory.\\n"
    text = "".join(f"[rank{n}]: a neighbour closed the connection, rank {n} of many\\n" for n in range(400))
    script = (
        "import os, sys\nif os.path.exists('tried'):\n    sys.exit(0)\nopen('tried', 'w')\n"
        f"sys.{stream}.write({lines!r} + '{text}{FOOTER}')\nsys.exit(1)\n"
    ).replace("\\\\n", "\\n")
    project.write("fail.py", script)
    retry = {"attempts": 2, "on": ["oom"]}
    project.plan(s1={"main": {"script": "fail.py", "test": "none", "retry": retry}})
    assert project.run("--step", "1").code == 0


def test_a_crash_is_told_by_the_name_of_its_signal(project):
    project.plan(s1={"main": main("exec python3 -c 'import os; os.kill(os.getpid(), 11)'")})
    project.run("--step", "1")
    assert "killed by signal 11 (SIGSEGV)" in project.spec


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("#!/bin/bash\r\necho hi\r\n", 0o755),
        ("#!/usr/bin/env bash\r\necho hi\r\n", 0o755),
        ("if true; then\r\necho hi\r\nfi\r\n", 0o644),
    ],
)
def test_a_script_saved_with_windows_line_ends_is_told_of_them(project, text, mode):
    project.write("sub dir/run.sh", text, mode=mode)
    project.plan(s1={"main": {"script": "sub dir/run.sh", "test": "none"}})
    assert project.run("--step", "1").code == 1
    assert "its first line ends in CR: save it with LF line ends" in project.spec
    assert "its first line ends in CR" in project.run("validate").out


# Retries and TEST


def test_a_retry_without_classes_retries_any_failure(project):
    project.plan(s1={"main": main("test -e tried || { touch tried; exit 9; }", retry={"attempts": 2})})
    assert (project.run("--step", "1").code, ticked(project)) == (0, True)


def test_a_test_that_ran_in_full_says_so(project):
    project.write("one.py", "print('sent one email')\n")
    project.plan(s1={"main": {"script": "one.py"}})
    assert "[TEST] ! one.py names no --test: it ran in full" in project.run("--step", "1").out
    told = project.events("WarningRaised")
    assert [(event["phase"], "ran in full" in event["message"]) for event in told] == [("TEST", True)]


def test_a_script_that_knows_test_is_not_accused(project):
    project.write("one.py", "import os\nprint(os.environ['DO_TASKS_TEST'] if 'DO_TASKS_TEST' in os.environ else 1)\n")
    project.plan(s1={"main": {"script": "one.py"}})
    assert "ran in full" not in project.run("--step", "1").out


def test_what_is_shown_is_what_was_written(project):
    command = "yes | head -1 && echo b\necho c"
    project.plan(s1={"main": main(command)})
    project.run("--step", "1")
    assert [event["command"] for event in project.events("MainStarted")] == [command]
