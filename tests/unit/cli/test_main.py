"""Holds the command line: commands, options, exit codes."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from executor import __version__
from executor.cli import main
from executor.cli.help import COMMANDS, Command
from executor.errors import DoTasksError
from executor.system.outcome import Verdict

PLAN = "step_1_hello:\n  main: {command: echo hello, test: none}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "SPEC.md").write_text("- [ ] **STEP 1**: Say hello\n")
    (tmp_path / "step_definitions.yaml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kinds(error=DoTasksError):
    return [error, *(below for kind in error.__subclasses__() for below in kinds(kind))]


@pytest.mark.parametrize("verdict", [*Verdict])
def test_every_verdict_has_an_exit_code(verdict):
    assert main.EXIT_CODES[verdict] in (0, 1, 2, 3, 4, 130)


@pytest.mark.parametrize("kind", kinds()[1:])
def test_every_trouble_has_an_exit_code(kind):
    assert [code for known, code in main.ERROR_CODES if issubclass(kind, known)]


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_names_every_command(words, capsys):
    assert main.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {verb} " in said for verb in COMMANDS if verb != "run")


@pytest.mark.parametrize("verb", [*COMMANDS])
def test_every_command_explains_itself(verb, capsys):
    assert main.main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: do-tasks{'' if verb == 'run' else f' {verb}'} ")
    assert "--project DIR" in said
    assert "\nexample: do-tasks " in said


@pytest.mark.parametrize(("command", "row"), COMMANDS.items(), ids=COMMANDS)
def test_the_example_of_a_command_parses(command, row):
    words = shlex.split(row.example)[1 if command == "run" else 2 :]
    assert "project" in main.parser_of(command).parse_args(words)


def test_the_version_is_told(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"do-tasks {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "unknown command 'lst'; did you mean list; see: do-tasks --help"),
        (["qqq"], "unknown command 'qqq'; see: do-tasks --help"),
        (["resume", "task_1_0000000a"], "see: do-tasks list"),
        (["--monitor", "--timeout", "3"], "--timeout goes with --until"),
        (["--monitor", "--until", "never"], "see: do-tasks monitor --help"),
        (["--monitor", "--until", "finished"], "there is no background job to wait for; start one"),
        (["--monitor", "7"], "step 7 has no background job; background jobs: none"),
        (["--monitor", "--watch", "--until", "started"], "choose one"),
        (["clean"], "see: do-tasks clean --help"),
        (["clean", "--keep", "-1"], "see: do-tasks clean --help"),
        (["stop", "task_1_0000000a", "--grace", "nan"], "see: do-tasks stop --help"),
        (["--step"], "see: do-tasks --help"),
        (["--step", "1", "--all"], "see: do-tasks --help"),
        (["list", "--nope"], "see: do-tasks list --help"),
        (["why"], "see: do-tasks why --help"),
        (["--all", "--dryrun"], "did you mean --dry-run; see: do-tasks --help"),
        (["--step", "2"], "step 2 is not defined; nearest: 1"),
        (["why", "2"], "step 2 is not defined; nearest: 1"),
        (["log"], "the log is empty"),
        (["log", "--rotate"], "there is no log to rotate"),
        (["stop", "task_1_0000000a"], "no task task_1_0000000a here"),
        (["stop", "../.."], "no task ../.. here"),
        (["list", "--project", "nowhere"], "there is no folder"),
        (["mark-done", "1"], "refused without a terminal"),
    ],
    ids=" ".join,
)
def test_words_that_do_not_fit_are_exit_2_with_the_next_move(project, capsys, words, said):
    assert main.main(words) == 2
    assert said in capsys.readouterr().err


def test_a_verb_may_follow_its_project(project, capsys):
    assert main.main(["--project", str(project), "list"]) == 0
    assert "Say hello" in capsys.readouterr().out


def test_a_verb_works_from_a_folder_below(project, capsys, monkeypatch):
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    assert main.main(["list"]) == 0
    assert "Say hello" in capsys.readouterr().out


def test_where_no_plan_is_the_next_move_is_told(tmp_path, capsys):
    assert main.main(["list", "--project", str(tmp_path)]) == 2
    assert "make one with: do-tasks init" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list"], ["why", "1"], ["validate"], ["--all", "--dry-run"], ["schema"]])
def test_reading_makes_no_log(project, capsys, words):
    assert main.main(words) == 0
    assert not (project / ".task_execution.log").exists()


@pytest.mark.parametrize("verb", ["list", "why", "--step"])
def test_a_plan_with_a_mistake_is_exit_2_with_its_place(project, capsys, verb):
    (project / "step_definitions.yaml").write_text("step_1_hello:\n  preflight: []\n")
    words = {"list": ["list"], "why": ["why", "1"], "--step": ["--step", "1"]}[verb]
    assert main.main(words) == 2
    assert "step_definitions.yaml:2:3: step_1_hello.preflight: unknown key" in capsys.readouterr().err


def test_an_internal_error_is_exit_70_with_a_report_that_holds_no_secret(capsys, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "nosuchmodule77x")
    monkeypatch.setitem(COMMANDS, "boom", Command("", "", "nosuchmodule77x"))
    assert main.main(["boom"]) == main.INTERNAL_ERROR
    said = capsys.readouterr().err
    path = re.search(r"please report it with (\S+)", said)[1]
    with open(path, encoding="utf-8") as file:
        report = file.read()
    os.unlink(path)
    assert "ModuleNotFoundError" in report
    assert "nosuchmodule77x" not in report
