"""Stalls of real jobs: what moves is let be, what hangs is ended."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.projects import until
from tests.integration.test_jobs import project as job_project
from tests.integration.test_jobs import until_ticked

project = job_project  # the fixture, which ends what a test leaves

STEPS = """\
echo "$DO_TASKS_RUN $$ fresh" >>runs.txt
for i in $(seq 1 20); do echo "{\\"step\\": $i, \\"loss\\": 0.$i}" >>m.jsonl; sleep 0.1; done
"""
BAR = """for i in $(seq 1 40); do printf '\\rEvaluating: %d/40' $i >&2; sleep 0.1; done\n"""
SPAM = """for i in $(seq 1 600); do echo "{\\"rank\\": 3, \\"waited\\": $i}" >>m.jsonl; sleep 0.1; done\n"""
WAIT = """: >at_rest; for i in $(seq 1 600); do [ -e go ] && break; sleep 0.1; done\n"""


def plan(project, script):
    """Step 13 trains twenty steps, then does what the script says; two seconds without progress stop it."""
    project.write("train.sh", STEPS + script)
    rules = [{"stall": {"times": 2, "floor": "2s", "warmup": "2s"}}]
    watch = {"task": "pace", "metrics": "m.jsonl", "interval": 0.2, "rules": rules, "on_alert": "stop"}
    main = {"command": "bash train.sh", "test": "none", "mode": "background"}
    return project.plan(s13={"main": main, "background": [watch]})


def test_an_evaluation_that_draws_its_own_bar_is_no_stall(project):
    plan(project, BAR).run("--step", "13")
    until_ticked(project)
    assert not project.events("AlertRaised")


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("script", [SPAM, WAIT], ids=["repeated-lines", "nothing"])
def test_a_job_that_hangs_is_stopped(project, script):
    plan(project, script).run("--step", "13")
    until(lambda: "✗ Failed" in project.spec, "it was never stopped")
    assert project.event("AlertRaised")["key"] == "pace/stall"


def test_a_job_stopped_by_a_signal_is_told_and_goes_on_with_cont(project):
    plan(project, WAIT).run("--step", "13")
    project.until_there("m.jsonl")
    group = os.getpgid(int(project.text("runs.txt").split()[1]))
    os.killpg(group, signal.SIGSTOP)
    until(lambda: project.events("AlertRaised"), "nobody was told that it stands still")
    raised = project.event("AlertRaised")
    assert (raised["key"], raised["action"]) == ("pace/stall", "notify")
    assert "stopped by a signal" in raised["output"]
    project.write("go", "")
    os.killpg(group, signal.SIGCONT)
    until_ticked(project)
