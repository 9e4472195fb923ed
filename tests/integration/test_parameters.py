"""Parameters and metrics of steps in real runs: who is given them, what a change of them means, what a kill leaves."""

import json
import signal

import pytest

from tests.integration.projects import Project, until

TRAIN = """\
import json, os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(os.environ["DO_TASKS_PARAM_LR"])
while len(sys.argv) > 2 and not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.05)
body = {"metrics": {"acc": 1 - float(os.environ["DO_TASKS_PARAM_LR"])}}
pathlib.Path(os.environ["DO_TASKS_RESULT"]).write_text(json.dumps(body))
"""
LR = {"lr": {"type": "float", "default": 0.25, "min": 0, "help": "learning rate"}, "name": "run 1"}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    made.write("train.py", TRAIN)
    return made


def train(*args, **more):
    return {"main": {"script": "train.py", "args": [*args], "test": "none", **more}}


def test_a_value_reaches_args_commands_checks_criteria_and_variables(project):
    main = {
        "command": 'printf "%s|" ${params.lr} "$DO_TASKS_PARAM_LR" "$@" > got',
        "args": ["${params.name}"],
        "test": "none",
        "success_criteria": [{"criterion": "lr ${params.lr}", "command": "test ${params.lr} = 0.5"}],
    }
    checks = [{"task": "given", "command": 'test "$DO_TASKS_PARAM_NAME" = "a b" && test ${params.lr} = 0.5'}]
    project.plan(settings={"params": LR}, s1={"pre_flight": checks, "main": main, "post_validation": checks})
    project.write("values.yaml", "lr: 0.75\nname: a b\n")
    done = project.run("--step", "1", "--params", "values.yaml", "--set", "lr=0.5")
    assert done.code == 0, done
    assert project.text("got") == "0.5|0.5|a b|"
    assert project.event("TaskStarted")["params"] == {"lr": 0.5, "name": "a b"}
    assert project.event("CriterionJudged")["criterion"] == "lr 0.5"


def test_a_changed_value_is_named_for_the_steps_that_use_it(project):
    other = {"main": {"command": "echo", "test": "none"}}
    project.plan(settings={"params": LR}, s1=train("lr1"), s2=other, s3=train("lr3", params=["name"]))
    assert project.run("--all").code == 0
    changed = {row["step"]: row["changed"] for row in project.run("--dry-run", "--step", "1-3", "--json").json["steps"]}
    assert changed == {1: [], 2: [], 3: []}
    done = project.run("--dry-run", "--step", "1-3", "--set", "lr=0.5", "--set", "name=x", "--json")
    changed = {row["step"]: row["changed"] for row in done.json["steps"]}
    assert changed == {1: ["params.lr"], 2: [], 3: ["params.lr", "params.name"]}
    again = project.run("--step", "1", "--set", "lr=0.5", "--rerun")
    assert again.code == 0
    assert project.text("lr1") == "0.5"
    why = project.run("why", "1").out
    assert "changed since" not in why
    assert "params: lr=0.5 (given), name=run 1" in why


def test_every_mistake_in_values_is_named_and_nothing_runs(project):
    project.plan(settings={"params": LR}, s1=train("lr"))
    project.write("values.json", json.dumps({"nam": "x"}))
    done = project.run("--step", "1", "--params", "values.json", "--set", "lr=-1", "--set", "lr=fast")
    assert done.code == 2
    assert "values.json: no parameter 'nam' in settings.params; did you mean name" in done.err
    assert "--set lr=-1: lr must be at least 0, got -1.0" in done.err
    assert "--set lr=fast: lr must be a number, got 'fast'" in done.err
    assert project.lines() == []


def test_a_parameter_without_a_value_keeps_its_step_from_running(project):
    project.plan(settings={"params": {"lr": {"type": "float"}}}, s1=train("${params.lr}"))
    done = project.run("--all")
    assert done.code == 2
    assert "params.lr has no value: give one with --set lr=VALUE, or write a default" in done.err
    assert project.run("--all", "--set", "lr=1").code == 0


def test_a_killed_run_goes_on_with_its_values(project):
    project.plan(settings={"params": LR}, s1=train("lr1", "go"), s2=train("lr2"))
    killed = project.start("--all", "--set", "lr=0.5")
    project.until_there("lr1")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    project.write("go", "")
    done = project.run("--continue")
    assert done.code == 0, done
    assert "Note: lr=0.5, as in the run that this one continues" in done.out
    assert (project.text("lr1"), project.text("lr2")) == ("0.5", "0.5")
    assert len(project.events("MainStarted", step=1)) == 1


def test_a_job_is_judged_by_the_values_that_it_began_with(project):
    job = train("lr1", "go", mode="background")
    job["post_validation"] = [{"task": "same", "command": "test ${params.lr} = 0.5 && test $DO_TASKS_PARAM_LR = 0.5"}]
    project.plan(settings={"params": LR}, s1=job)
    assert project.run("--step", "1", "--set", "lr=0.5").code == 0
    project.plan(settings={"params": {**LR, "lr": 0.125}}, s1=job, spec=project.spec)
    project.write("go", "")
    until(lambda: project.events("SpecTicked") or project.events("StepFailed"), "the job never ended")
    assert project.events("StepPassed")


def test_a_metric_of_a_step_is_the_recorded_one(project):
    reader = {
        "depends_on": [1],
        "main": {"command": "echo", "args": ["${steps.1.metrics.acc}"], "test": "none"},
        "post_validation": [{"task": "good", "command": "test ${steps.1.metrics.acc} = 0.75"}],
    }
    project.plan(settings={"params": LR}, s1=train("lr"), s2=reader)
    assert project.run("--step", "1").code == 0
    for forged in project.root.glob(".do-tasks/jobs/*/main.1/result.json"):
        forged.write_text(json.dumps({"metrics": {"acc": 1.0}}))
    assert project.run("--step", "2").code == 0
    assert "echo 0.75" in project.event("MainStarted", step=2)["command"]
    assert project.run("--step", "1", "--rerun", "--set", "lr=0.5").code == 0
    assert "steps.1.metrics.acc" in project.run("--step", "2").out


def test_a_metric_that_was_not_recorded_fails_the_step_in_words(project):
    reader = {"depends_on": [1], "main": {"command": "echo ${steps.1.metrics.loss}", "test": "none"}}
    project.plan(settings={"params": LR}, s1=train("lr"), s2=reader)
    done = project.run("--all")
    assert done.code == 1
    assert "step 1 recorded no metric loss; it has: acc" in done.out
    assert not project.events("MainStarted", step=2)
