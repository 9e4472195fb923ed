"""Holds the command runner: what MAIN and TEST start, what their end means."""

from __future__ import annotations

import pytest

from executor.errors import DefinitionError
from executor.plan.model import Main, Step, TestForm
from executor.runners import command
from executor.store.project import Project
from executor.system.outcome import Outcome, Verdict
from executor.system.run_records import Exit

SHELL = ("/bin/bash", "-o", "pipefail", "-c")


class Context:
    """A project and its interpreter."""

    def __init__(self, root):
        self.project = Project(str(root), "step_definitions.yaml")
        self.python = "/venv/bin/python"


class Task:
    """A step to run."""

    def __init__(self, **main):
        self.step = Step(1, "a", main=Main(**main))


@pytest.fixture
def context(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "at_root.py").touch()
    (tmp_path / "scripts" / "train.py").touch()
    return Context(tmp_path)


def script(context, name, first=b"", mode=0o644):
    path = context.project.path(name)
    with open(path, "wb") as file:
        file.write(first)
    import os

    os.chmod(path, mode)
    return path


def test_a_command_runs_under_bash_with_its_args(context):
    assert command.main_argv(context, Task(command="a | b", args=("x",))) == (*SHELL, 'a | b "$@"', "do-tasks", "x")


@pytest.mark.parametrize("text", ['a "$1"', "a $@ | b", 'a "${2:-c}"'])
def test_a_command_may_place_its_args_itself(context, text):
    assert command.main_argv(context, Task(command=text, args=("x",))) == (*SHELL, text, "do-tasks", "x")


@pytest.mark.parametrize("name", ["train.py", "scripts/train.py"])
def test_a_python_script_runs_in_the_projects_interpreter(context, name):
    path = context.project.path("scripts", "train.py")
    assert command.main_argv(context, Task(script=name, args=("-v",))) == ("/venv/bin/python", path, "-v")


def test_a_script_at_the_root_comes_first(context, tmp_path):
    (tmp_path / "scripts" / "at_root.py").touch()
    assert command.main_argv(context, Task(script="at_root.py"))[1] == str(tmp_path / "at_root.py")


@pytest.mark.parametrize(
    ("first", "mode", "before"),
    [
        (b"#!/bin/sh -e\n", 0o644, ("/bin/sh", "-e")),
        (b"#!/usr/bin/env python3\n", 0o644, ("/usr/bin/env", "python3")),
        (b"#!/bin/sh\n", 0o755, ()),
        (b"echo a\n", 0o644, ("/bin/bash",)),
        (b"echo a\n", 0o755, ("/bin/bash",)),
        (b"", 0o644, ("/bin/bash",)),
        (b"#!\n", 0o644, ("/bin/bash",)),
    ],
)
def test_another_script_runs_by_its_first_line(context, first, mode, before):
    path = script(context, "run.sh", first, mode)
    assert command.main_argv(context, Task(script="run.sh")) == (*before, path)


def test_a_missing_script_says_where_it_was_looked_for(context):
    with pytest.raises(DefinitionError, match=r"script no\.py is neither at the root nor in scripts/"):
        command.main_argv(context, Task(script="no.py"))


@pytest.mark.parametrize(
    ("main", "argv"),
    [
        ({"script": "at_root.py"}, ("/venv/bin/python", "at_root.py", "--test")),
        ({"script": "at_root.py", "args": ("-v",)}, ("/venv/bin/python", "at_root.py", "-v", "--test")),
        (
            {"script": "at_root.py", "args": ("-v",), "sample": TestForm("args", ("--limit", "2"))},
            ("/venv/bin/python", "at_root.py", "-v", "--limit", "2"),
        ),
        ({"script": "at_root.py", "sample": TestForm("command", command="true")}, (*SHELL, "true")),
        ({"script": "at_root.py", "sample": TestForm("none")}, ()),
        ({"command": "make"}, ()),
        ({"command": "make", "sample": TestForm("none")}, ()),
        ({"command": "make", "sample": TestForm("command", command="make -n")}, (*SHELL, "make -n")),
        ({"command": "make", "sample": TestForm("args", ("-n",))}, (*SHELL, 'make "$@"', "do-tasks", "-n")),
    ],
)
def test_the_test_form_of_a_step(context, main, argv):
    at_root = context.project.path("at_root.py")
    assert command.sample_argv(context, Task(**main)) == tuple(
        at_root if word == "at_root.py" else word for word in argv
    )


def test_a_command_is_shown_as_a_person_types_it():
    assert command.shown((*SHELL, "a | b"), "/p") == "a | b"
    assert command.shown((*SHELL, 'a | b "$@"', "do-tasks", "x y"), "/p") == "a | b 'x y'"
    assert command.shown(("python", "/p/scripts/a b.py", "/pp/x"), "/p") == "python 'scripts/a b.py' /pp/x"


def judged(end, *, verdict=None, reason="", stderr="", output=""):
    return command.judge(end, verdict=verdict, reason=reason, stderr=stderr, output=output)


def test_exit_0_passes():
    assert judged(Exit(0), stderr="MemoryError") == (Outcome(Verdict.PASSED), judged(Exit(0))[1])


@pytest.mark.parametrize(
    ("end", "said", "reason"),
    [
        (Exit(3), {"stderr": "a\nno model\n\n"}, "exit 3: no model"),
        (Exit(3), {"output": "only this"}, "exit 3: only this"),
        (Exit(3), {"output": "out", "stderr": "err"}, "exit 3: err"),
        (Exit(3), {}, "exit 3"),
        (Exit(3), {"stderr": "x" * 900}, f"exit 3: {'x' * 200}"),
        (Exit(137, signal=9), {"output": "step 4"}, "killed by signal 9 (SIGKILL): step 4"),
    ],
)
def test_a_failure_says_how_it_ended_and_its_last_line(end, said, reason):
    assert judged(end, **said)[0] == Outcome(Verdict.FAILED, reason)


@pytest.mark.parametrize("verdict", [Verdict.TIMED_OUT, Verdict.INTERRUPTED, Verdict.CANCELLED, Verdict.LOST])
def test_what_we_ended_ourselves_has_our_reason(verdict):
    assert judged(Exit(0), verdict=verdict, reason="ours", stderr="theirs")[0] == Outcome(verdict, "ours")


def test_a_script_that_knows_no_test_is_told_what_to_do():
    hint = command.usage_hint(Exit(2), "error: unrecognized arguments: --test", "a.py")
    assert "a.py does not take --test: add it, or give main.test its args, or say `test: none`" in hint


@pytest.mark.parametrize(
    ("code", "stderr"), [(1, "unrecognized arguments: --test"), (2, "no such file"), (0, "--test")]
)
def test_another_failure_has_no_such_hint(code, stderr):
    assert command.usage_hint(Exit(code), stderr, "a.py") == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a\nb \n\n", "b"),
        ("x" * 300, "x" * 200),
        ('no room\n{"progress": {"done": 1, "total": 2}}\n', "no room"),
    ],
)
def test_the_last_line_that_says_something(text, line):
    assert command.last_line(text) == line
