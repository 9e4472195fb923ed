"""What a job's start waits for: what is written so, the first checkpoint that is watched, and nothing of its end."""

from __future__ import annotations

import pytest

from executor.cli.output.screen import Waiting
from tests.integration.projects import Project, until

TRAIN = """\
import json, os, time
os.makedirs("ck", exist_ok=True)
for k in range(%d):
    open("m.jsonl", "a").write(json.dumps({"acc": 0.5 + k / 10}) + "\\n")
    if k == %d:
        open("ck/step_1", "w").write("weights")
    while k == 1 and os.path.exists("hold"):
        time.sleep(0.05)
    time.sleep(0.2)
"""
GOOD = {"criterion": "Good in the end", "metric": {"file": "m.jsonl", "name": "acc", "above": 0.95}}
SAVED = {"criterion": "Saved", "file": {"path": "ck/step_*", "min_count": 2}}
WATCHED = [{"task": "saved", "checkpoints": "ck/step_*", "interval": 1}]


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    yield project
    (project.root / "hold").unlink(missing_ok=True)
    for line in project.events("TaskStarted"):
        project.run("stop", line["task_id"])


def job(project, *criteria, steps=8, saves=0, timeout=300, monitors=WATCHED, **more):
    project.write("train.py", TRAIN % (steps, saves))
    main = {"command": "python3 train.py", "test": "none", "mode": "background", "timeout": timeout}
    return project.plan(s1={"main": {**main, "success_criteria": [*criteria]}, "background": monitors}, **more)


def over(project):
    project.run("--monitor", "--until", "finished", "--timeout", "300")
    until(lambda: project.events("StepPassed") + project.events("StepFailed"), "it has no verdict")
    return [line["standing"] for line in project.events("CriterionJudged")]


def test_a_criterion_of_the_end_holds_neither_the_start_nor_the_next_step(project):
    project.write("hold", "")
    after = {"depends_on": [{"step": 1, "until": "first_checkpoint"}]}
    after["main"] = {"command": "test -e hold && ls ck >seen", "test": "none"}
    done = job(project, GOOD, s2=after).run("--continue")
    assert (done.code, project.text("seen")) == (0, "step_1\n"), done
    assert project.event("JobStarted")["pending"] == []
    (project.root / "hold").unlink()
    assert over(project) == ["proven"]


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("at", [{"at": "start"}, {"at": "end"}, {}])
def test_only_what_is_said_to_be_of_the_start_holds_it(project, at):
    project.write("hold", "")
    done = job(project, GOOD | at, timeout=6).run("--step", "1")
    assert project.event("JobStarted")["pending"] == (["Good in the end"] if at == {"at": "start"} else [])
    told = "waiting for: Good in the end (acc = 0.6 in m.jsonl; wants acc above 0.95), at most "
    assert (told in done.out) is (at == {"at": "start"})


def test_all_criteria_are_judged_at_the_end(project):
    job(project, GOOD | {"at": "start"}, {"criterion": "There", "file": "m.jsonl"}, timeout=20).run("--step", "1")
    assert over(project) == ["proven", "proven"]


@pytest.mark.deep
def test_the_first_checkpoint_that_is_watched_makes_the_start_and_all_are_judged_at_the_end(project):
    job(project, SAVED, steps=40, saves=10, timeout=20).run("--step", "1")
    assert (project.has("ck/step_1"), project.event("JobStarted")["pending"]) == (True, [])
    assert over(project) == ["unproven"]


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(("criterion", "monitors"), [(SAVED | {"at": "end"}, WATCHED), (SAVED, [])])
def test_a_checkpoint_of_the_end_or_one_that_is_not_watched_does_not_hold_the_start(project, criterion, monitors):
    project.write("hold", "")
    assert job(project, criterion, saves=5, monitors=monitors).run("--step", "1").code == 0
    assert (project.has("ck/step_1"), project.event("JobStarted")["pending"]) == (False, [])


@pytest.mark.parametrize(
    ("criterion", "mode", "says"),
    [
        ({"criterion": "a", "file": "x", "at": "start"}, "normal", "at: start is for mode: background"),
        ({"criterion": "a", "at": "start"}, "background", "at: start needs something to ask: bind it"),
        ({"criterion": "a", "file": "x", "at": "begin"}, "background", "at"),
    ],
)
def test_a_start_that_cannot_be_is_refused(project, criterion, mode, says):
    project.plan(s1={"main": {"command": "x", "test": "none", "mode": mode, "success_criteria": [criterion]}})
    for words in (["validate"], ["--step", "1"]):
        done = project.run(*words)
        assert (done.code, says in done.out + done.err, "success_criteria[0]" in done.out + done.err) == (2, True, True)


def test_a_number_that_holds_the_start_is_a_warning(project):
    done = job(project, GOOD | {"at": "start"}).run("validate")
    assert (done.code, "success_criteria[0].at: holds the start of the job until it is met" in done.out) == (0, True)


class FakeScreen:
    """Keeps what it is shown."""

    def __init__(self, *, live):
        self.live = live
        self.kept, self.passed = [], []

    def print(self, text):
        self.kept.append(text)

    def passing(self, text):
        self.passed.append(text)


def test_where_lines_stay_one_a_minute_is_enough():
    screen = FakeScreen(live=False)
    waits = Waiting(screen)
    for acc in ("0.6", "0.7"):
        waits(f"waiting for: a (acc = {acc})", "at most 58 min more")
    assert screen.kept == ["[BACKGROUND] · waiting for: a (acc = 0.6), at most 58 min more"]


def test_on_a_terminal_the_line_is_replaced():
    screen = FakeScreen(live=True)
    waits = Waiting(screen)
    for left in ("58", "57"):
        waits("waiting for: a", f"at most {left} min more")
    assert (screen.kept, len(screen.passed)) == ([], 2)
