"""Whoever is killed, whenever: one job, one verdict, nothing lost."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.integration.projects import Project, alive, finish, until
from tests.integration.test_jobs import plan, rows, supervisors

ROUNDS = 3
DEEP_ROUNDS = 25
MOST_KILLS = 4


def kill_somebody(project, chance, process):
    """Kill the executor, the supervisor, or both at once, at a moment of its own."""
    time.sleep(chance.uniform(0.0, 2.0))
    whom = chance.choice(["executor", "supervisor", "both"])
    if whom != "supervisor":
        process.kill()
    for pid in supervisors(project) if whom != "executor" else ():
        os.kill(pid, signal.SIGKILL)


def hold(project):
    assert "- [x] **STEP 13**" in project.spec
    assert "- [x] **STEP 14**" in project.spec
    assert [row[0] for row in rows(project)] == ["main.1"]
    assert project.text("ends.txt") == "end\n"
    [ended] = project.events("MainFinished", step=13)
    assert (ended["exit_code"], ended["status"]) == (0, "passed")
    assert len(project.events("JobStarted")) <= 1
    assert len(project.events("StepPassed", step=13)) == 1
    assert len({line["task_id"] for line in project.events("TaskStarted", step=13)}) == 1
    assert not project.events("AlertRaised")


def killed_round(root, seed):
    chance = random.Random(seed)
    project = plan(Project(root), steps=90, depends={"step": 13, "until": "first_checkpoint"}, background=[
        {"task": "ck", "checkpoints": "ck/step_*", "interval": 0.2},
        {"task": "count", "command": "wc -l runs.txt", "interval": 0.5, "alert_on": "error"},
    ])  # fmt: skip
    process = project.start("--continue")
    for _ in range(chance.randint(1, MOST_KILLS)):
        kill_somebody(project, chance, process)
        finish(process)
        process = project.start(*chance.choice([("--continue",), ("--monitor",), ("--step", "13")]))
    finish(process)
    for _ in range(3):
        if project.run("--continue").code == 0 and not supervisors(project):
            break
        until(lambda: not supervisors(project), "the supervisor never ended")
    try:
        hold(project)
    finally:
        for row in rows(project):
            if alive(row[1]):
                os.killpg(os.getpgid(row[1]), signal.SIGKILL)


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_random_one_job_comes_to_its_end(tmp_path, seed):
    killed_round(tmp_path / "p", seed)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(ROUNDS, ROUNDS + DEEP_ROUNDS))
def test_killed_at_random_many_times_one_job_comes_to_its_end(tmp_path, seed):
    killed_round(tmp_path / "p", seed)
