"""Holds settings.log_processors: they add fields to the log, and cost neither an event nor a run."""

from __future__ import annotations

import pytest

from executor.plan.model import Settings
from executor.store.log_processors import ENVELOPE
from tests.integration.projects import Project, command

ADDS = """\
import os
from helper import HOST

def add(logger, method_name, event_dict):
    event_dict["host"] = HOST
    event_dict["key"] = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
    return event_dict

def rewrites(logger, method_name, event_dict):
    other = {"status": "lost", "exit_code": 7, "extra": {"nan": float("nan")}}
    return {**event_dict, **other} if event_dict["task_id"] else event_dict

def drops(logger, method_name, event_dict):
    return {"event": "Other", "extra": 1} if event_dict["task_id"] else event_dict

def fails_late(logger, method_name, event_dict):
    if event_dict["event"] == "MainStarted":
        raise KeyError("nowhere")
    return {**event_dict, "late": True}

def raises(logger, method_name, event_dict):
    raise RuntimeError("always")

def says_nothing(logger, method_name, event_dict):
    pass

def forges(logger, method_name, event_dict):
    return {**event_dict, "status": "passed"}

def exits(logger, method_name, event_dict):
    raise SystemExit(0)
"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.write("extra.py", ADDS)
    project.write("helper.py", "HOST = 'here'\n")
    project.write("broken.py", "import nowhere_to_be_found\n")
    return project


def planned(project, *names, **steps):
    return project.plan(settings={"log_processors": list(names)}, **(steps or {"s1": command("true")}))


def test_each_event_gets_the_fields_of_a_processor_without_secrets(project):
    project.environ = {"TINKER_API_KEY": "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"}
    planned(project, "extra.add", s1=command("true"), s2=command("true", mode="background"))
    assert project.run("--all").code in (0, 3)
    project.until_logged("StepPassed")
    lines = project.lines()
    assert {line.get("host") for line in lines} == {"here"}
    assert {line.get("key") for line in lines} == {"***"}
    assert {"SupervisorStarted", "SpecTicked"} <= {line["event"] for line in lines}


@pytest.mark.parametrize("name", ["extra.rewrites", "extra.drops"])
def test_what_an_event_says_is_not_changed_by_a_processor(project, name):
    planned(project, name)
    assert project.run("--step", "1").code == 0
    assert [line for line in project.lines() if not line.keys() >= set(ENVELOPE) or line["event"] == "Other"] == []
    assert (project.event("StepPassed")["status"], "extra" in project.event("StepPassed")) == ("passed", True)
    assert project.event("MainFinished")["exit_code"] == 0


def test_a_processor_that_fails_in_a_run_is_left_out_and_named(project):
    planned(project, "extra.fails_late", "extra.add")
    done = project.run("--step", "1")
    warned = project.event("WarningRaised")["message"]
    assert (done.code, "log processor extra.fails_late: KeyError: 'nowhere'; left out" in warned) == (0, True)
    assert ("late" in project.event("TaskStarted"), "late" in project.event("StepPassed")) == (True, False)
    assert project.event("StepPassed")["host"] == "here"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere.add", "ModuleNotFoundError: No module named 'nowhere'"),
        ("broken.add", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("extra.missing", "AttributeError: module 'extra' has no attribute 'missing'"),
        ("add", "must be a dotted path, module.function"),
        ("extra.raises", "RuntimeError: always"),
        ("extra.says_nothing", "returned no event_dict"),
        ("extra.exits", "returned no event_dict"),
        ("extra.forges", "extra.forges removes or changes status; a log processor may only add fields"),
    ],
)
def test_a_processor_that_cannot_be_used_is_one_error_before_anything_runs(project, name, told):
    planned(project, "extra.add", name)
    for words in (("validate",), ("--step", "1")):
        done = project.run(*words)
        assert (done.code, told in done.out + done.err, "Traceback" in done.err) == (2, True, False)
        assert "settings.log_processors[1]" in done.out + done.err
    assert not project.has(".task_execution.log")


def test_no_agent_may_change_the_module_of_a_processor():
    assert Settings(protect=("data",), log_processors=("my.fields.add",)).protected == (
        "data",
        "my/fields.py",
        "my/fields/**",
    )
