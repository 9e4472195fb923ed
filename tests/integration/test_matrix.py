"""A step with a matrix: its cells, what a failure and a kill leave of them, and what each is judged by."""

from __future__ import annotations

import json
import signal

import pytest

from tests.integration.projects import Project, until

TRAIN = """\
import json, os, pathlib, sys, time
lr, seed = os.environ["DO_TASKS_PARAM_LR"], os.environ["DO_TASKS_PARAM_SEED"]
assert sys.argv[1:3] == [lr, seed]
with open("runs.txt", "a") as file:
    file.write(f"{lr}/{seed}\\n")
while pathlib.Path(f"hold-{lr}-{seed}").exists():
    time.sleep(0.05)
if pathlib.Path(f"bad-{lr}-{seed}").exists():
    sys.exit(3)
pathlib.Path(sys.argv[3]).write_text(f"{lr} {seed}")
pathlib.Path(os.environ["DO_TASKS_RESULT"]).write_text(json.dumps({"metrics": {"acc": float(lr) + int(seed)}}))
"""
SETTINGS = {"params": {"lr": {"type": "float", "min": 0}, "seed": 1}}
CELLS = ["0.1/1", "0.1/2", "0.2/1", "0.2/2"]


def step(out="out-${params.lr}-${params.seed}", **more):
    main = {
        "script": "train.py",
        "args": ["${params.lr}", "${params.seed}", out],
        "test": "none",
        "matrix": {"lr": [0.1, 0.2], "seed": [1, 2]},
        "success_criteria": [{"criterion": "It is written", "file": out}],
    }
    return {"main": {**main, **more}, "post_validation": [{"task": "own", "command": "test ${params.lr} != 0.3"}]}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    made.write("train.py", TRAIN)
    return made.plan(settings=SETTINGS, s1=step())


def cells(project):
    (row,) = project.run("list", "--json").json["steps"]
    return [one["state"] for one in row["cells"]]


def test_each_cell_runs_with_its_values_and_all_tick_the_step(project):
    done = project.run("--step", "1")
    assert done.code == 0, done
    assert project.text("runs.txt").split() == CELLS
    assert "T" in done.out
    assert "1[lr=0.2,seed=2]" in done.out
    assert "(4 proven)" in project.spec
    assert [line["cell"] for line in project.events("CellFinished")] == [
        *("lr=0.1,seed=1", "lr=0.1,seed=2", "lr=0.2,seed=1", "lr=0.2,seed=2")
    ]
    assert "4 of 4 cells" in project.run("list").out


def test_a_cell_that_failed_is_run_again_and_no_other(project):
    project.write("bad-0.2-1", "")
    failed = project.run("--step", "1")
    assert failed.code == 1
    assert "1[lr=0.2,seed=1]: exit 3" in project.spec.replace("(", "[").replace(")", "]")
    assert cells(project) == ["passed", "passed", "open", "open"]
    (project.root / "bad-0.2-1").unlink()
    assert project.run("--continue").code == 0
    assert project.text("runs.txt").split() == [*CELLS[:3], *CELLS[2:]]


def test_a_killed_matrix_goes_on_where_it_was(project):
    project.write("hold-0.1-2", "")
    killed = project.start("--step", "1")
    project.until_there("runs.txt")
    until(lambda: len(project.text("runs.txt").split()) == 2, "the second cell never began")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (project.root / "hold-0.1-2").unlink()
    done = project.run("--continue")
    assert done.code == 0, done
    assert project.text("runs.txt").split() == CELLS
    assert project.events("MainAdopted")


def test_what_one_cell_wrote_is_no_evidence_for_the_next(project):
    once = 'if (lr, seed) == ("0.1", "1"):\n    pathlib.Path(sys.argv[3])'
    project.write("train.py", TRAIN.replace("pathlib.Path(sys.argv[3])", once))
    project.plan(settings=SETTINGS, s1=step(out="model.bin"))
    done = project.run("--step", "1")
    assert done.code == 1
    assert cells(project) == ["passed", "open", "open", "open"]


def test_other_criteria_are_judged_again_without_a_run(project):
    assert project.run("--step", "1").code == 0
    changed = step(
        success_criteria=[{"criterion": "It has a size", "command": "test -s out-${params.lr}-${params.seed}"}]
    )
    project.plan(settings={**SETTINGS, "on_change": "reopen"}, s1=changed, spec=project.spec)
    assert project.run("--continue").code == 0
    assert project.text("runs.txt").split() == CELLS
    assert len(project.events("CellFinished")) == 8


def test_a_cell_that_failed_in_post_is_judged_again_without_a_run(project):
    asked = {"criterion": "It is allowed", "command": "test ${params.seed} = 1 -o -e allowed"}
    project.plan(settings=SETTINGS, s1=step(success_criteria=[asked]))
    assert project.run("--step", "1").code == 1
    assert cells(project) == ["passed", "open", "open", "open"]
    project.write("allowed", "")
    assert project.run("--continue").code == 0
    assert project.text("runs.txt").split() == CELLS


def test_a_run_killed_while_a_cell_is_judged_repeats_no_main(project):
    asked = {"criterion": "It waits", "command": "touch asked; while test -e hold; do sleep 0.05; done"}
    project.write("hold", "")
    project.plan(settings=SETTINGS, s1=step(success_criteria=[asked]))
    killed = project.start("--step", "1")
    until(lambda: project.has("asked"), "the criterion was never asked")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (project.root / "hold").unlink()
    done = project.run("--continue")
    assert done.code == 0, done
    assert project.text("runs.txt").split() == CELLS


def test_a_metric_of_one_cell_is_read_by_its_name(project):
    reader = {
        "depends_on": [1],
        "main": {"command": "echo", "args": ["${steps.1.metrics.lr=0.2,seed=1.acc}"], "test": "none"},
    }
    project.plan(settings=SETTINGS, s1=step(), s2=reader)
    assert project.run("--all").code == 0
    assert "echo 1.2" in project.event("MainStarted", step=2)["command"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"matrix": {"lrr": [0.1]}}, "no such parameter in settings.params; did you mean lr"),
        ({"matrix": {"lr": [0.1, "x"]}}, "must be a number, got 'x'"),
        ({"matrix": {"lr": [0.1, -1]}}, "must be at least 0, got -1.0"),
        ({"matrix": {"lr": [0.1, 0.1]}}, "names a value twice"),
        ({"matrix": {"lr": []}}, "must not be empty"),
        ({"matrix": {"seed": [*range(1001)]}}, "has more than 1000 cells"),
        ({"mode": "background"}, "needs a script or a command, and mode: normal"),
    ],
)
def test_a_matrix_that_cannot_run_is_refused(project, more, message):
    project.plan(settings=SETTINGS, s1=step(**more))
    done = project.run("validate", "--json")
    assert done.code == 2
    assert message in json.dumps(done.json["problems"])
