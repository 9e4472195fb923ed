"""Steps with a condition on a metric: run, skipped, judged anew, and the steps around them."""

import json

import pytest

from tests.integration.projects import Project

WRITES = """printf '{"metrics": {"acc": %s}}' ${params.acc} > "$DO_TASKS_RESULT" """
SETTINGS = {"params": {"acc": 0.95, "goal": 0.9}}


def command(text, **more):
    return {"main": {"command": text, "test": "none"}, **more}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    condition = {"step": 1, "metric": "acc", "below": "${params.goal}"}
    return made.plan(
        settings=SETTINGS,
        s1=command(WRITES),
        s2=command("echo", depends_on=[1], **{"if": condition}),
        s3=command("echo", depends_on=[2]),
        s4=command("echo", depends_on=[2], **{"if": {"step": 2, "metric": "acc", "above": 0}}),
        s5=command("echo"),
    )


def states(project):
    return [row["state"] for row in project.run("list", "--json").json["steps"]]


@pytest.mark.parametrize("how", [(), ("--jobs", "2")], ids=["one by one", "side by side"])
def test_a_step_whose_condition_does_not_hold_is_skipped_and_holds_no_other(project, how):
    done = project.run("--all", *how)
    assert done.code == 0, done
    assert "Step 2 was not run: its condition is not met: acc of step 1 is 0.95, not below 0.9" in done.out
    assert "still open" not in done.out
    assert states(project) == ["done", "skipped", "done", "skipped", "done"]
    assert [line["step"] for line in project.events("StepSkipped")] == [2, 4]
    assert project.spec.count("- [ ]") == 2
    rows = project.run("--dry-run", "--json").json["steps"]
    assert [(row["step"], row["action"]) for row in rows] == [(2, "skip"), (4, "skip")]


def test_a_condition_is_judged_anew_when_its_metric_changes(project):
    assert project.run("--all").code == 0
    assert project.run("--step", "1", "--rerun", "--set", "acc=0.5").code == 0
    assert states(project)[1] == "open"
    done = project.run("--continue")
    assert done.code == 1, done  # step 4 asks for a metric that step 2 does not write
    assert states(project)[:3] == ["done", "done", "done"]
    assert "step 2 recorded no metrics" in done.out


def test_force_runs_a_step_whatever_its_condition(project):
    assert project.run("--step", "1").code == 0
    assert project.run("--step", "2").code == 0
    assert not project.events("TaskStarted", step=2)
    assert project.run("--step", "2", "--force").code == 0
    assert project.events("StepPassed", step=2)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"step": 1, "metric": "acc"}, "needs one of below, above, at_least, at_most, equals"),
        ({"step": 9, "metric": "acc", "below": 1}, "step 9 is not defined"),
        ({"step": 2, "metric": "acc", "below": 1}, "is the step itself: name an earlier one"),
        ({"step": 1, "metric": "acc", "belw": 1}, "unknown key 'belw'; did you mean below"),
        ({"step": 1, "metric": "acc", "below": "0.9"}, "must be a number, got '0.9'"),
    ],
)
def test_a_condition_that_cannot_be_judged_is_refused(project, condition, message):
    project.plan(s1=command("echo"), s2=command("echo", **{"if": condition}))
    done = project.run("validate", "--json")
    assert done.code == 2
    assert message in json.dumps(done.json["problems"])


def test_a_metric_without_an_order_fails_the_step(project):
    written = """printf '{"metrics": {"acc": "good"}}' > "$DO_TASKS_RESULT" """
    condition = {"step": 1, "metric": "acc", "below": 1}
    project.plan(s1=command(written), s2=command("echo", depends_on=[1], **{"if": condition}))
    done = project.run("--all")
    assert done.code == 1
    assert "metric acc of step 1 is 'good', not a number" in done.out
