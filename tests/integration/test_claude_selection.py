"""The real Claude Code takes a selection to its end, with a model that does to the letter what it is told.

DO_TASKS_TEST_CLAUDE=PATH names the program; without it npm brings it for these tests alone, or they are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from executor.testing import ScriptedServer
from tests.integration.letter import Letter
from tests.integration.projects import ROOT, Project, command, until

PACKAGE = "@anthropic-ai/claude-code@2.1.332"
INSTALL_S, SESSION_S = 300, 120
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
pytestmark = pytest.mark.deep


@pytest.fixture(scope="session")
def program():
    """The program of Claude Code, its own binary for this machine."""
    named = os.environ.get("DO_TASKS_TEST_CLAUDE", "")
    if named:
        yield named
        return
    if not shutil.which("npm"):
        pytest.skip("no npm here, and DO_TASKS_TEST_CLAUDE names no program")
    with tempfile.TemporaryDirectory(prefix="do-tasks-claude-") as folder:
        yield fetched(folder)


def fetched(folder):
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, PACKAGE]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not bring {PACKAGE} in {INSTALL_S} s")
    found = [
        path for path in Path(folder).glob("node_modules/@anthropic-ai/claude-code-*/claude") if os.access(path, 1)
    ]
    if done.returncode or not found:
        pytest.skip(f"npm could not bring {PACKAGE}: {done.stderr.strip()[-200:] or 'no program for this machine'}")
    return str(found[0])


class Session:
    """A project with our files for Claude Code, and what a session in it did."""

    def __init__(self, folder, program):
        self.project = Project(folder / "plan")
        self.home = folder / "home"
        self.home.mkdir()
        self.program = program
        for name in ("commands", "agents", "skills"):
            shutil.copytree(ROOT / ".claude" / name, self.project.root / ".claude" / name)
        self._put_on_path(folder / "bin")

    def _put_on_path(self, folder):
        """`do-tasks` for the shell of the session: this very code."""
        folder.mkdir()
        (folder / "do-tasks").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m executor "$@"\n')
        (folder / "do-tasks").chmod(0o755)
        self.path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def play(self, words, model):
        """Say `/do-tasks-v2 WORDS` as a person would, and let the model answer."""
        with ScriptedServer(model) as server:
            environ = {**self.project.env(), **server.environ, **QUIET, "HOME": str(self.home), "PATH": self.path}
            argv = [self.program, "-p", f"/do-tasks-v2 {words}".strip(), "--output-format", "json"]
            done = subprocess.run(
                [*argv, "--allowedTools", "Bash", "Edit", "Write"],
                cwd=self.project.root,
                env={**environ, "ANTHROPIC_MODEL": "claude-scripted"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SESSION_S,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["permission_denials"] == []
        return told["result"]


@pytest.fixture
def session(tmp_path, program):
    return Session(tmp_path, program)


def hosted(number, *checks, **more):
    criteria = [{"criterion": "It is there", "file": f"{number}.txt"}]
    main = {"runner": "host", "agent": "tinker-executor", "objective": f"Write {number}.txt"}
    return {"main": {**main, "success_criteria": criteria}, "post_validation": list(checks), **more}


def ticks(session):
    return session.project.spec.count("[x]")


def kinds(model):
    """The commands that the session ran, task ids left out."""
    return ["do-tasks resume" if " resume " in line else line for line in model.ran]


def test_three_steps_that_were_asked_for_end_with_three_ticks(session):
    session.project.plan(s1=hosted(1), s2=hosted(2), s3=hosted(3), s4=hosted(4))
    model = Letter()
    session.play("--step 1-3", model)
    assert (ticks(session), session.project.has("4.txt"), model.said) == (3, False, "exit 0")
    assert kinds(model) == ["do-tasks --step 1-3", "do-tasks resume"] * 3


def test_the_agent_is_never_told_to_run_do_tasks(session):
    session.project.plan(s1=hosted(1))
    model = Letter()
    session.play("--step 1", model)
    assert [line for line in model.agents_ran if "do-tasks" in line] == []
    assert len(model.briefs) == 1


@pytest.mark.parametrize("words", ["--continue", ""])
def test_what_is_open_is_taken_to_its_end(session, words):
    session.project.plan(s1=hosted(1), s2=hosted(2))
    model = Letter()
    session.play(words, model)
    assert (ticks(session), kinds(model)) == (2, ["do-tasks --continue", "do-tasks resume"] * 2)


def test_a_round_that_failed_is_mended_by_the_brief_of_the_next(session):
    good = {"task": "good", "command": "grep -q good 2.txt"}
    session.project.plan(s1=hosted(1), s2=hosted(2, good), s3=hosted(3))
    model = Letter({2: ["echo bad >2.txt", "echo good >2.txt"]})
    session.play("--step 1-3", model)
    assert (ticks(session), len(model.briefs)) == (3, 4)
    assert ["found wrong" in brief for brief in model.briefs] == [False, False, True, False]
    assert "good: expected exit 0" in model.briefs[2]


def test_a_step_that_fails_for_good_ends_the_session(session):
    never = {"task": "never", "command": "grep -q never 1.txt"}
    session.project.plan(s1=hosted(1, never), s2=hosted(2))
    model = Letter()
    session.play("--step 1-2", model)
    assert (ticks(session), len(model.briefs), model.said) == (0, 3, "exit 1")


def test_a_step_without_an_agent_in_the_middle_is_run_on_the_way(session):
    session.project.plan(s1=hosted(1), s2=command("echo two >2.txt"), s3=hosted(3))
    model = Letter()
    session.play("--step 1-3", model)
    assert (ticks(session), len(model.briefs)) == (3, 2)


def test_a_job_in_the_middle_is_started_on_the_way(session):
    job = {"main": {"command": "until test -e go; do sleep 0.1; done", "mode": "background"}}
    session.project.plan(s1=hosted(1), s2=job, s3=hosted(3, depends_on=[1]))
    model = Letter()
    session.play("--step 1-3", model)
    assert (ticks(session), len(model.briefs), model.said) == (2, 2, "exit 0")
    session.project.write("go", "")
    until(lambda: ticks(session) == 3, "the job never got its tick")


def test_a_job_that_holds_the_rest_is_named_and_the_session_ends(session):
    job = {"main": {"command": "until test -e go; do sleep 0.1; done", "mode": "background"}}
    session.project.plan(s1=hosted(1), s2=job, s3=hosted(3, depends_on=[2]))
    model = Letter()
    session.play("--step 1-3", model)
    assert (ticks(session), model.said) == (1, "exit 3")
    session.project.write("go", "")
    until(lambda: ticks(session) == 2, "the job never got its tick")
    session.play("--step 1-3", model)
    assert (ticks(session), model.said) == (3, "exit 0")


def test_the_monitor_is_shown_and_the_session_ends(session):
    session.project.plan(s1=hosted(1))
    model = Letter()
    session.play("--monitor", model)
    assert (model.ran, model.said) == (["do-tasks --monitor"], "exit 0")


def test_a_judge_that_its_agent_loosened_is_refused_and_the_session_ends(session):
    session.project.plan(s1=hosted(1), s2=hosted(2))
    loosen = """sed -i 's/"file": "1[.]txt"/"file": "SPEC.md"/' step_definitions.yaml"""
    accept = "script -qec 'do-tasks accept 1' /dev/null </dev/null >said 2>&1"
    alone = f"env -u CLAUDECODE -u CLAUDE_CODE_ENTRYPOINT -u AI_AGENT {accept.replace('said', 'alone')}"
    session.project.environ["XDG_STATE_HOME"] = str(session.home / "state")
    model = Letter({1: [f"{loosen}; {accept}; {alone}; true"]})
    session.play("--step 1-2", model)
    assert (ticks(session), model.said, kinds(model)) == (0, "exit 3", ["do-tasks --step 1-2", "do-tasks resume"])
    assert session.project.events("JudgesChanged")[0]["changes"] == ["step_definitions.yaml: step 1, success_criteria"]
    assert "accept 1 is for a person: CLAUDECODE is set here" in session.project.text("said")
    assert "a brief of this project was given to it" in session.project.text("alone")
    assert not session.project.events("JudgesAccepted")
