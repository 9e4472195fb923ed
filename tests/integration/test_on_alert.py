"""What an alert leads to: nothing more, a stop, a restart within bounds, a command, steps that wait, people told."""

from __future__ import annotations

import os

import pytest

from tests.integration.projects import Project, alive, finish, until
from tests.integration.test_jobs import project as job_project
from tests.integration.test_jobs import rows, until_ticked

project = job_project  # the fixture, which ends what a test leaves

TRAIN = """\
echo "$DO_TASKS_RUN $$ ${DO_TASKS_RESUME:-fresh}" >>runs.txt
mkdir -p ck
start=$(basename "${DO_TASKS_RESUME:-step_0}" | tr -dc 0-9)
for i in $(seq $((start + 1)) %(steps)d); do
  loss=0.5
  [ $i -ge %(bad)d ] && [ ! -e mended ] && loss=NaN
  echo "{\\"step\\": $i, \\"loss\\": $loss}" >>metrics.jsonl
  [ $((i %% 10)) = 0 ] && echo weights >ck/step_$i
  while [ -e hold ] && [ $i = 15 ]; do sleep 0.02; done
  sleep 0.05
done
echo end >>ends.txt
"""


def plan(project, on_alert=None, *, bad=25, steps=60, settings=None, monitor=None, **more):
    """Step 13 trains; its loss is NaN from step `bad` on unless `mended` is there."""
    project.write("train.sh", TRAIN % {"bad": bad, "steps": steps})
    loss = {"task": "loss", "metrics": "metrics.jsonl", "interval": 0.2, "rules": ["nan"], "at_end": "note"}
    ck = {"task": "ck", "checkpoints": "ck/step_*", "interval": 0.2}
    if on_alert:
        loss["on_alert"] = on_alert
    main = {"command": "bash train.sh", "test": "none", "mode": "background"}
    step = {"main": main, "background": [loss | (monitor or {}), ck]}
    return project.plan(settings=settings, s13=step, **more)


def test_by_itself_an_alert_is_only_told(project):
    plan(project).run("--step", "13")
    until_ticked(project)
    raised = project.event("AlertRaised")
    assert (raised["key"], raised["action"]) == ("loss/nan", "notify")
    assert "loss is nan at step 25" in raised["output"]
    until(lambda: project.events("AlertCleared"), "it was never cleared")
    assert project.event("AlertCleared")["reason"] == "the job ended"
    assert not project.events("AlertActed")


def test_an_alert_stops_the_job_and_the_box_says_why(project):
    plan(project, "stop", steps=2000).run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "it was never stopped")
    assert "]: stopped by alert loss/nan: loss is nan at step 25" in project.spec
    assert not alive(rows(project)[0][1])
    assert project.event("StepFailed")["status"] == "failed"


def test_a_restart_goes_on_from_the_newest_checkpoint(project):
    plan(project, {"restart": {"from": "latest_checkpoint", "attempts": 2, "backoff": 1}}, bad=55, steps=70)
    project.run("--step", "13")
    until(lambda: project.events("MainRetried"), "it was never restarted")
    project.write("mended", "")
    until_ticked(project)
    assert [(run, os.path.basename(resume)) for run, _, resume in rows(project)] == [
        ("main.1", "fresh"),
        ("main.2", "step_50"),
    ]
    assert project.event("MainRetried")["failure"] == "alert loss/nan"
    assert len(project.events("JobStarted")) == 1


def test_a_restart_that_brings_it_no_further_is_the_last(project):
    plan(project, {"restart": {"from": "latest_checkpoint", "attempts": 5, "backoff": 0.1}})
    project.run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "the circuit never broke")
    assert "the last restart has saved no new checkpoint" in project.spec
    assert len(rows(project)) == 2
    assert [line["action"] for line in project.events("AlertActed")] == ["restart", "stop"]


def test_restarts_are_bounded(project):
    plan(project, {"restart": {"attempts": 1, "backoff": 0.1}})
    project.run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "it was restarted for ever")
    assert len(rows(project)) == 2


def test_a_command_is_run_and_its_end_is_on_record(project):
    hook = 'echo "$DO_TASKS_KEY: $DO_TASKS_MESSAGE ${API_KEY:-no key}" >told.txt; echo done'
    project.environ["API_KEY"] = "k3y-that-nobody-may-see"
    plan(project, {"command": hook}).run("--step", "13")
    until(lambda: len(project.events("AlertActed")) == 2, "the command never ended")
    assert project.text("told.txt").startswith("loss/nan: loss is nan at step 25")
    assert "no key" in project.text("told.txt")
    assert [line["status"] for line in project.events("AlertActed")] == ["started", "passed"]
    until_ticked(project)


def test_a_blocking_alert_holds_later_steps_until_it_is_over(project):
    plan(project, "block", bad=5, steps=400, s14={"main": {"command": "echo ran >later.txt", "test": "none"}})
    project.run("--step", "13")
    until(lambda: project.events("AlertRaised"), "no alert")
    done = project.run("--step", "14")
    assert done.code == 3, done
    assert "an alert of step 13 holds it" in done.out
    waiting = project.start("--continue")
    project.write("mended", "")
    assert finish(waiting).code == 0
    assert project.has("later.txt")
    assert project.events("AlertCleared")


def test_waiting_ends_when_the_job_stalls(project):
    project.write("hold", "")
    rules = [{"stall": {"times": 3, "floor": 1, "warmup": 60}}]
    later = {"depends_on": [13], "main": {"command": "true", "test": "none"}}
    plan(project, bad=999, monitor={"rules": rules}, s14=later)
    done = project.run("--continue")
    assert done.code == 4, done
    assert "stalls (loss/stall)" in done.out
    assert project.event("AlertRaised")["key"] == "loss/stall"


def test_people_are_told_each_thing_once(project):
    hook = {"command": 'echo "$DO_TASKS_NOTICE $DO_TASKS_KEY" >>told.txt'}
    plan(project, settings={"notify": [hook]}).run("--step", "13")
    until_ticked(project)
    until(lambda: "finished" in project.text("told.txt"), "nobody was told of the end")
    assert project.text("told.txt").split("\n") == ["alert loss/nan", "finished ", ""]


def test_a_notifier_that_fails_fails_nothing(project):
    plan(project, settings={"notify": [{"command": "echo no such person; exit 1"}]}).run("--step", "13")
    until_ticked(project)
    until(lambda: project.events("NoticeSent", status="failed"), "the failure is not on record")
    assert "no such person" in project.events("NoticeSent", status="failed")[0]["reason"]


@pytest.mark.parametrize("text", ["finance is fine", "info: loading", "all normal"])
def test_a_word_that_only_holds_nan_or_inf_is_no_alert(tmp_path, text):
    project = Project(tmp_path / "p")
    watch = {"task": "log", "command": f"echo '{text}'", "interval": 0.1, "alert_on": "error|nan|inf"}
    main = {"command": "sleep 2.5", "test": "none", "mode": "background"}
    project.plan(s13={"main": main, "background": [watch]}).run("--step", "13")
    until_ticked(project)
    assert not project.events("AlertRaised")
