"""Holds the shell of an agent to its word, with real commands, held in or not."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.guard.mounts import contained_argv
from executor.guard.sandbox import find_containment
from executor.runners.agent.shell import MOST_OUTPUT, SHOWN, WANTED, Shell, environment
from executor.system import procfs
from executor.system.interrupts import Interrupts
from executor.system.masking import Masker
from tests.integration.projects import alive, until

KEY = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
TOKEN = "task_1_00000000/main.1"
HERE = find_containment("auto", network=False, path=os.environ["PATH"])
WAYS = ["bare", pytest.param("held", marks=pytest.mark.skipif(HERE.kind == "none", reason=HERE.why))]
MADE = {
    "child": "sleep 300 & echo $! >pid",
    "nohup": "nohup sleep 300 >/dev/null 2>&1 & echo $! >pid",
    "session": "setsid -f bash -c 'echo $$ >pid; exec sleep 300'; until [ -s pid ]; do :; done",
    "without_a_token": "setsid -f env -i /bin/bash -c 'echo $$ >pid; exec sleep 300'; until [ -s pid ]; do :; done",
    "holds_the_output": "(trap '' TERM; echo $BASHPID >pid; while :; do sleep 1; done) & until [ -s pid ]; do :; done",
    "disowned": "sleep 300 >/dev/null & echo $! >pid; disown",
}
# A pid inside a namespace says nothing outside: what bears the token does.
DAEMON = (
    "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\nopen('up', 'w').write('a')\n"
)


@pytest.fixture(autouse=True)
def orphans_go_elsewhere_again():
    """A shell takes in every orphan; those of later tests in this process are not ours."""
    yield
    if procfs.PROC:
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


def shell_in(root, *, way="bare", **changes):
    folder = root / ".do-tasks" / "run"
    folder.mkdir(parents=True, exist_ok=True)

    def wrap(argv):
        return contained_argv(HERE, argv, root=str(root), scratch=str(folder / "scratch"), home="")

    given = {
        "root": str(root),
        "env": environment(os.environ, names=(), extra={}),
        "token": f"{TOKEN}.{os.getpid()}",
        "folder": str(folder),
        "wrap": wrap if way == "held" else tuple,
        "masker": Masker([KEY, "hunter2abc"]),
        "limit_s": 30.0,
        "interrupts": Interrupts(),
    }
    return Shell(**{**given, **changes})


@pytest.fixture
def shell(tmp_path):
    return shell_in(tmp_path)


def run(shell, command, left_s=60.0):
    return shell({"command": command}, left_s=left_s)


def log(tmp_path, number=1):
    return tmp_path / ".do-tasks" / "run" / f"bash.{number}.log"


# What it says


@pytest.mark.parametrize("way", WAYS)
def test_a_command_answers_with_what_it_said(tmp_path, way):
    said = run(shell_in(tmp_path, way=way), "echo out; echo err >&2; echo more; pwd")
    assert (said.text, said.failed) == (f"out\nerr\nmore\n{os.path.realpath(tmp_path)}\n", False)


@pytest.mark.parametrize(
    ("command", "last"),
    [("exit 3", "[no output, exit 3, "), ("true", "[no output, exit 0, "), ("echo a; exit 4", "[exit 4, ")],
)
def test_how_it_ended_is_the_last_line(shell, command, last):
    said = run(shell, command)
    assert (said.text.splitlines()[-1].startswith(last), said.failed) == (True, command != "true")


def test_a_failure_in_a_pipe_is_a_failure(shell):
    assert run(shell, "false | cat").failed


def test_a_signal_is_named(shell):
    assert run(shell, "kill -9 $$").text.startswith("[killed by signal 9, ")


def test_a_command_reads_the_end_of_a_file(shell):
    assert run(shell, "cat; echo over").text == "over\n"


def test_each_command_has_a_fresh_shell(shell):
    run(shell, "cd /; export A=1; set -e")
    assert run(shell, "echo ${A:-fresh}; false; echo on").text == "fresh\non\n"


def test_each_command_bears_its_own_token(shell):
    assert [run(shell, "echo $DO_TASKS_RUN").text.rpartition("/")[2] for _ in range(2)] == ["bash.1\n", "bash.2\n"]


# Long output


@pytest.mark.parametrize("way", WAYS)
def test_a_megabyte_is_clipped_and_whole_in_its_file(tmp_path, way):
    said = run(shell_in(tmp_path, way=way), "seq 150000")
    whole = "".join(f"{number}\n" for number in range(1, 150_001))
    assert log(tmp_path).read_text() == whole
    assert said.text.startswith(whole[:SHOWN])
    assert said.text.endswith(whole[-SHOWN:])
    left = len(whole) - 2 * SHOWN
    note = f"\n[... {left:,} of {len(whole):,} bytes left out here: all of it is in .do-tasks/run/bash.1.log ...]\n"
    assert said.text[SHOWN:-SHOWN] == note


@pytest.mark.parametrize("size", [4096, 4097, 2 * SHOWN])
def test_output_that_fits_is_not_clipped(shell, size):
    assert run(shell, f"head -c {size} /dev/zero | tr '\\0' a").text == "a" * size


def test_one_more_character_is_clipped(shell):
    assert "[... 1 of 16,001 bytes left out here" in run(shell, f"head -c {2 * SHOWN + 1} /dev/zero | tr '\\0' a").text


def test_output_without_end_is_stopped_and_said(shell, tmp_path):
    said = run(shell, "yes")
    assert (said.failed, "[stopped: wrote more than 64 MiB" in said.text) == (True, True)
    assert log(tmp_path).stat().st_size <= MOST_OUTPUT + 1


def test_a_bar_is_shown_as_a_terminal_would(shell):
    assert run(shell, r"printf ' 1%%\r50%%\r100%%\n\033[31mred\033[0m\r\n\a'").text == "100%\nred\n\\x07"


# Secrets


def test_a_secret_is_masked_in_the_answer(shell):
    assert run(shell, f"echo {KEY}; echo hunter2abc").text == "***\n***\n"


def test_a_secret_is_masked_in_the_file(shell, tmp_path):
    said = run(shell, f"seq 2000; echo {KEY}; seq 2000 4000; echo hunter2abc; seq 3000")
    text = log(tmp_path).read_text()
    assert ("*" * len(KEY) in text, KEY in text, "hunter2abc" in text, KEY in said.text) == (True, False, False, False)


@pytest.mark.parametrize("before", range(SHOWN - len(KEY) - 1, SHOWN + 1, 5))
def test_a_secret_where_output_is_cut_is_masked(tmp_path, before):
    said = run(shell_in(tmp_path), f"head -c {before} /dev/zero | tr '\\0' a; echo {KEY}; seq 9000")
    assert not any(KEY[at : at + 6] in said.text for at in range(len(KEY) - 5))


def test_the_environment_holds_no_key():
    given = {
        "PATH": "/bin",
        "TINKER_API_KEY": KEY,
        "QUOTES_IT": f"a {KEY}",
        "ANTHROPIC_BASE_URL": "x",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "SSH_AUTH_SOCK": "/tmp/a",
        "BASH_ENV": "/a",
    }
    made = environment(given, names=(), extra={"DO_TASKS_STEP": "1"})
    assert set(made) & {*given, "DO_TASKS_STEP"} == {"PATH", "DO_TASKS_STEP"}


def test_a_secret_that_the_step_allows_stays():
    made = environment({"HF_TOKEN": KEY, "TINKER_API_KEY": "another-9876543"}, names=("HF_TOKEN",), extra={})
    assert (made.get("HF_TOKEN"), "TINKER_API_KEY" in made) == (KEY, False)


def test_nothing_waits_for_a_person(tmp_path):
    made = environment({}, names=(), extra={})
    assert (made["PAGER"], made["GIT_PAGER"], made["GIT_TERMINAL_PROMPT"]) == ("cat", "cat", "0")


def test_the_environment_is_all_that_a_command_is_given(tmp_path):
    env = environment({"PATH": "/usr/bin:/bin", "A_TOKEN": KEY}, names=(), extra={"B": "1"})
    names = run(shell_in(tmp_path, env=env, masker=Masker()), "compgen -e").text.split()
    assert set(names) - {"OLDPWD", "PWD", "SHLVL", "_"} == {*env, "DO_TASKS_RUN"}


# Processes


@pytest.mark.parametrize("name", MADE)
def test_what_a_command_leaves_behind_is_dead(shell, tmp_path, name):
    run(shell, MADE[name])
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_daemon_is_dead(shell, tmp_path):
    (tmp_path / "daemon.py").write_text(f"{DAEMON}open('pid', 'w').write(str(os.getpid()))\ntime.sleep(300)\n")
    run(shell, "python3 daemon.py; until [ -s pid ]; do :; done")
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("name", MADE)
@pytest.mark.skipif(HERE.kind == "none", reason=HERE.why)
def test_nothing_that_was_held_in_is_left(tmp_path, name):
    token = f"{TOKEN}.{name}.{os.getpid()}"
    run(shell_in(tmp_path, way="held", token=token), MADE[name])
    assert (tmp_path / "pid").exists()
    assert procfs.pids_with_token(f"{token}/") == []


@pytest.mark.parametrize("way", WAYS)
def test_a_child_in_the_background_does_not_hold_the_answer(tmp_path, way):
    """Its limit is 30 s: an answer that waited for the child would say so."""
    said = run(shell_in(tmp_path, way=way), "sleep 100 & echo done")
    assert (said.text, said.failed) == ("done\n", False)


@pytest.mark.parametrize("way", WAYS)
def test_a_late_command_is_stopped_with_all_it_started(tmp_path, way):
    token = f"{TOKEN}.late.{os.getpid()}"
    said = run(shell_in(tmp_path, way=way, token=token, limit_s=0.5), "echo begun; setsid sleep 300 & sleep 300")
    assert said.failed
    assert said.text.startswith("begun\n[stopped: still running after its 0.5 s limit")
    assert procfs.pids_with_token(f"{token}/") == []


def test_what_the_run_has_left_is_a_limit_too(shell):
    assert "after its 0.25 s limit" in run(shell, "sleep 300", left_s=0.25).text


def test_without_time_nothing_is_started(shell, tmp_path):
    assert run(shell, "touch ran", left_s=0.0).failed
    assert not (tmp_path / "ran").exists()


def test_children_that_the_caller_had_before_live_on(shell):
    pid = os.spawnvp(os.P_NOWAIT, "sleep", ["sleep", "300"])
    try:
        run(shell, "setsid -f sleep 300; true")
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_ends_the_command(tmp_path, way):
    interrupts = Interrupts()
    shell = shell_in(tmp_path, way=way, interrupts=interrupts)
    answers = []
    thread = threading.Thread(target=_interrupt_when, args=(tmp_path / "up", interrupts))
    thread.start()
    answers.append(run(shell, "echo a >up; sleep 300"))
    thread.join()
    assert (answers[0].failed, "stopped: interrupted by" in answers[0].text) == (True, True)


def _interrupt_when(path, interrupts):
    until(path.exists, "it did not start")
    interrupts._note(signal.SIGTERM, None)


def test_after_an_interrupt_nothing_runs_for_long(tmp_path):
    interrupts = Interrupts()
    interrupts._note(signal.SIGINT, None)
    assert run(shell_in(tmp_path, interrupts=interrupts), "sleep 300").failed


# Bad input


@pytest.mark.parametrize(
    "given_",
    [
        *({}, {"command": None}, {"command": ""}, {"command": " \n"}, {"command": 3}, {"command": ["ls"]}),
        *({"command": "a\0b"}, {"command": "echo \ud800"}, {"restart": "yes"}, [], None, "ls"),
    ],
)
def test_bad_input_is_answered_with_what_is_wanted(shell, given_):
    said = shell(given_, left_s=60.0)
    assert (said.text, said.failed) == (WANTED, True)


def test_a_restart_is_answered(shell):
    said = shell({"restart": True}, left_s=60.0)
    assert ("nothing to restart" in said.text, said.failed) == (True, False)


def test_a_command_too_long_for_the_kernel_is_answered(shell):
    said = run(shell, "#" * 200_000)
    assert ("write it with the editor" in said.text, said.failed) == (True, True)


def test_a_sandbox_that_is_gone_is_answered(tmp_path):
    said = run(shell_in(tmp_path, wrap=lambda argv: ("/no/bwrap", *argv)), "true")
    assert ("cannot start /no/bwrap" in said.text, said.failed) == (True, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["restart", "timeout", "args"]), JSON) | JSON)
def test_whatever_json_is_sent_is_answered(sent):
    """No command is among it: nothing is run."""
    shell = Shell(root="/", env={}, token="", folder="", wrap=tuple, masker=Masker(), limit_s=1, interrupts=_NOBODY)
    said = shell(sent, left_s=1.0)
    assert json.dumps(said.text)


_NOBODY = Interrupts()


def test_time_is_told_in_seconds(shell):
    said = run(shell, "sleep 0.3; exit 1")
    assert float(said.text.rpartition(", ")[2].removesuffix(" s]")) >= 0.3
