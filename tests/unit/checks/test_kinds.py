"""Holds what checks.py says before and after a process."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.checks.kinds import CHECKS, CHILD, Place, answer, argv, env_set, in_process
from executor.plan.model import Check

YES = {"ok": True, "expected": "a", "got": "b", "fix": ""}
NO = {"ok": False, "expected": "a", "got": "b", "fix": "c"}


def command(asks):
    return Check(name="c", kind="command", asks=asks)


def said(exit_code, output="", asks="make it"):
    return answer(command(asks), exit_code=exit_code, output=output)


def test_a_command_runs_under_bash_with_pipefail():
    assert argv(command("a | b"), python="py") == ("/bin/bash", "-o", "pipefail", "-c", "a | b")


@pytest.mark.parametrize("kind", [name for name, kind in CHECKS.items() if kind.place is Place.CHILD_EXECUTOR])
def test_what_reads_the_machine_runs_in_our_bare_interpreter(kind):
    asks = {"path": "ü*"}
    started = argv(Check(name="c", kind=kind, asks=asks), python="py")
    assert started[:4] == (sys.executable, "-I", "-S", "-c")
    assert (started[-2], json.loads(started[-1])) == (kind, asks)


@pytest.mark.parametrize("kind", ["python_import", "call"])
def test_the_projects_code_runs_in_the_projects_interpreter(kind):
    assert argv(Check(name="c", kind=kind, asks="m.f"), python="py") == ("py", CHILD, kind, '"m.f"')


def test_only_env_set_and_prose_start_no_process():
    assert [kind for kind in CHECKS if in_process(Check(name="c", kind=kind, asks=""))] == ["env_set", "prose"]


def test_a_check_that_starts_no_process_has_no_argv():
    with pytest.raises(KeyError):
        argv(Check(name="c", kind="prose", asks="look"), python="py")


def test_exit_0_is_a_yes_with_its_last_line():
    assert said(0, "one\ntwo\n\n").asdict() == {"ok": True, "expected": "exit 0", "got": "exit 0: two", "fix": ""}


def test_a_failed_command_says_expected_got_and_fix():
    assert said(3, "no model\n").asdict() == {
        "ok": False,
        "expected": "exit 0",
        "got": "exit 3: no model",
        "fix": "run it by hand: make it",
    }


@pytest.mark.parametrize(
    ("exit_code", "got"),
    [
        (1, "exit 1"),
        (137, "exit 137 (SIGKILL)"),
        (141, "exit 141 (SIGPIPE)"),
        (255, "exit 255"),
        (-15, "killed by SIGTERM"),
        (-99, "killed by signal 99"),
        (None, "no exit code"),
    ],
)
def test_an_exit_code_is_told_in_words(exit_code, got):
    assert said(exit_code).got == got


@pytest.mark.parametrize(
    ("exit_code", "output", "asks", "fix"),
    [
        (127, "/bin/bash: line 1: ruf: command not found", "ls && ruf .", "install ruf or correct its name"),
        (127, "", "ruf .", "install ruf or correct its name"),
        (127, "", "", "install the command or"),
        (126, "/bin/bash: line 1: ./x.sh: Permission denied", "a; ./x.sh", "chmod +x ./x.sh"),
        (141, "", "yes | head", "a later part closed the pipe early"),
        (-13, "", "yes | head", "a later part closed the pipe early"),
        (137, "", "train", "something killed it"),
        (-9, "", "train", "something killed it"),
    ],
)
def test_the_fix_follows_the_exit_code(exit_code, output, asks, fix):
    assert said(exit_code, output, asks).fix.startswith(fix)


def test_what_steers_a_terminal_does_not_reach_an_answer():
    assert said(1, "\x1b]0;title\x07\x1b[31mred\x1b[0m\x07 \udc80 end").got == "exit 1: red end"


@given(st.text(), st.integers(-300, 300) | st.none())
def test_any_output_becomes_one_short_printable_line(output, exit_code):
    told = said(exit_code, output, output).asdict()
    assert told["ok"] is (exit_code == 0)
    for words in (told["expected"], told["got"], told["fix"]):
        assert len(words) < 700
        assert not set(words) & {"\n", "\r", "\x1b", "\0"}
        words.encode()


def child(exit_code, output, asks="x", kind="file"):
    return answer(Check(name="c", kind=kind, asks=asks), exit_code=exit_code, output=output)


def test_a_childs_last_line_is_the_answer():
    assert child(1, f"junk\n{json.dumps(YES)}\n{json.dumps(NO)}\n").asdict() == NO


def test_words_after_the_answer_do_not_hide_it():
    assert child(0, f"{json.dumps(YES)}\nlate words of a thread\n").ok


@pytest.mark.parametrize(
    "output",
    ["", "junk", "{}", "[1]", '{"ok": true}', json.dumps({**YES, "ok": 1}), json.dumps(YES)[:-1], "[" * 5000],
)
def test_an_exit_0_without_an_answer_is_a_no(output):
    told = child(0, output)
    assert not told.ok
    assert told.expected == "an answer to file"
    assert told.got.startswith("none: exit 0")


def test_a_yes_of_a_child_that_crashed_does_not_count():
    assert child(-11, json.dumps(YES)).got.startswith("none: killed by SIGSEGV")


def test_a_crashed_import_says_how_to_see_it():
    assert child(139, "", "torch", "python_import").fix == "try it by hand: python -c 'import torch'"


def env(asks, **environ):
    return env_set(Check(name="key", kind="env_set", asks=asks), environ)


def test_a_set_variable_is_told_by_its_length_alone():
    told = env("KEY", KEY="hunter2-hunter2")
    assert told.asdict() == {"ok": True, "expected": "KEY set", "got": "set, 15 characters", "fix": ""}


@pytest.mark.parametrize(
    ("environ", "got"), [({}, "not set"), ({"KEY": ""}, "set, but empty"), ({"KEY": " "}, "set, but empty")]
)
def test_an_unset_or_empty_variable_says_what_to_export(environ, got):
    assert env("KEY", **environ).asdict() == {
        "ok": False,
        "expected": "KEY set",
        "got": got,
        "fix": "export KEY=... before do-tasks starts",
    }


def test_of_a_list_only_what_lacks_is_to_be_exported():
    told = env(["A", "B"], A="secret-secret")
    assert (told.ok, told.got) == (False, "A: set, 13 characters; B: not set")
    assert told.fix == "export B=... before do-tasks starts"


@pytest.mark.parametrize("asks", [None, 3, [], [3], "", {"A": 1}])
def test_env_set_of_no_name_is_a_no(asks):
    assert not env(asks).ok


@given(st.text("äöü€", min_size=1))
def test_env_set_never_tells_a_value(value):
    assert not set(value) & set(repr(env(["A", "B"], A=value)))
