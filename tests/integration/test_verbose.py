"""Holds `do-tasks -v`: each act on stderr, bound to its task, without secrets; nobody else pays for it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import pytest

from tests.integration.projects import Project, check, command, finish, until
from tests.integration.test_secrets import ENVIRON, FORMS, WEAK

PYTHON = (sys.executable, "-X", "importtime")
TIMED = (*PYTHON, "-m", "executor")
SUPERVISES = "from executor.supervisor.main import entry; entry()"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def modules_in(text):
    return {line.rpartition("|")[2].strip() for line in text.splitlines() if line.startswith("import time:")}


def test_each_line_carries_task_step_and_run_once_there_are_some(project):
    project.plan(s1={**command("true"), "post_validation": [check("ok", "true")]}, s2=command("false"))
    done = project.run("-v", "--all", "--keep-going")
    first, second = (project.event("TaskStarted", step=number)["task_id"] for number in (1, 2))
    of_first = [line for line in done.err.splitlines() if f"task_id={first} step=1" in line]
    of_main = [line for line in of_first if "run=main.1" in line]
    acts = ("decide", "TaskStarted", "begin phase", "start check", "start process", "MainFinished", "write SPEC.md")
    assert [act for act in acts if f"] {act} " not in done.err] == []
    assert ("MainFinished" in str(of_main), "SpecTicked" in str(of_main)) == (True, True)
    assert f"[warning  ] MainFinished         task_id={second} step=2 run=main.1" in done.err
    assert "decide               task_id=- step=2 run=- " in done.err
    assert done.code == 1


def test_what_verbose_says_is_masked_before_it_is_cut(project):
    project.environ = dict(ENVIRON)
    long = f"echo {'x' * 280} $TINKER_API_KEY {ENVIRON['TINKER_API_KEY']} {WEAK}"
    project.plan(s1={**command(long), "post_validation": [check("b64", "printenv | base64 -w0; false")]})
    done = project.run("-v", "--step", "1")
    assert "***" in done.err
    assert not [form for form in FORMS | {WEAK} if form in done.err]


def test_a_terminal_that_takes_nothing_does_not_hold_a_verbose_run(project):
    project.plan(s1=command("true"))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    done = finish(project.start("-v", "--step", "1", stderr=writing))
    os.close(reading)
    os.close(writing)
    assert (done.code, "[x]" in project.spec) == (0, True)


def test_a_run_loads_structlog_only_when_it_is_verbose(project):
    project.plan(s1=command("true"))
    quiet, verbose = (modules_in(project.run(*words, argv=TIMED).err) for words in (("--all",), ("-v", "--all")))
    assert ("executor.engine.step" in quiet, "structlog" in quiet, "structlog" in verbose) == (True, False, True)


def test_a_supervisor_loads_nothing_heavy(project):
    project.plan(s1=command("sleep 1000", mode="background", timeout=5))
    project.run("--step", "1")
    os.kill(project.event("SupervisorStarted")["pid"], signal.SIGKILL)
    task_id = project.task_id()
    supervisor = project.start(str(project.root), task_id, "by hand", argv=(*PYTHON, "-c", SUPERVISES))
    until(lambda: len(project.events("SupervisorStarted")) > 1, "no supervisor took over")
    project.run("stop", task_id)
    loaded = modules_in(finish(supervisor).err)
    heavy = {"structlog", "jsonschema", "asyncio", "typing", "dataclasses", "subprocess", "logging", "pathlib"}
    assert ("executor.supervisor.supervisor" in loaded, loaded & heavy) == (True, set())
