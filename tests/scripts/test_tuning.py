"""The search for hyperparameters: spaces, trials that resume, one budget, reports that are checked."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("optuna", reason="optuna is not installed: pip install -r requirements/training.txt")

import tuning.study
from common.errors import Trouble
from small_lm import checkpoint_folder
from tests.scripts.toy_trainable import Toy
from tuning import search_space, storage_budget, study_settings, trial_folder, trial_report

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
STUDY = {
    "study": "toy",
    "trainable": "tests.scripts.toy_trainable:Toy",
    "output": "experiments",
    "fixed": {"epochs": 3, "pad": 100_000},
    "space": {"learning_rate": {"float": [0.001, 0.5], "log": True}},
    "stop": {"trials": 4},
}


class Study:
    """A study file in a folder, and the programs that work on it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        self.path = folder / "study.yaml"
        self.path.write_text(yaml.safe_dump({**STUDY, **changes}))
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT), "TOY_EPOCHS": str(folder / "epochs.txt")}

    @property
    def settings(self):
        os.chdir(self.folder)
        return study_settings.read(self.path)

    @property
    def trials(self):
        return trial_folder.every(self.folder / "experiments")

    def program(self, script, *arguments, **options):
        argv = [sys.executable, ROOT / "scripts" / script, *arguments]
        return subprocess.Popen(
            argv, cwd=self.folder, env=self.environ, text=True, stdout=-1, stderr=subprocess.STDOUT, **options
        )

    def call(self, script, *arguments):
        with self.program(script, *arguments) as process:
            output = process.communicate(timeout=PATIENCE_S)[0]
            return process.returncode, output

    def tune(self, *overrides):
        return self.call("tune.py", "study.yaml", *overrides)

    def epochs_of(self, rate):
        rows = (line.split() for line in (self.folder / "epochs.txt").read_text().splitlines())
        return [int(epoch) for learning_rate, epoch in rows if learning_rate == str(rate)]


def wait_for(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


# The space


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"flaot": [1, 2]}, "no key 'flaot'; did you mean float?"),
        ({"float": [2, 1]}, "low 2.0 is above high 1.0"),
        ({"float": [0, 1], "log": True}, "begins above 0"),
        ({"int": [1.5, 2]}, "whole numbers"),
        ({"int": [1, 9], "step": 0}, "step must be a number above 0"),
        ({"int": [1, 9], "step": 2, "log": True}, "exclude each other"),
        ({"float": [1]}, "must be [low, high]"),
        ({"categorical": []}, "must be a list"),
        ({"categorical": [1, 1]}, "names a value twice"),
        ({"categorical": [[1], 2]}, "holds [1]"),
        ({"categorical": [1], "int": [1, 2]}, "has categorical and int"),
        ({"log": True}, "has no range"),
        ("0.1", "must be a mapping"),
        ({"int": [1, 2], "when": {"optimiser": "sgd"}}, "no earlier parameter 'optimiser'; did you mean optimizer?"),
        ({"int": [1, 2], "when": {"optimizer": "sgdd"}}, "optimizer is never 'sgdd'"),
    ],
)
def test_a_wrong_range_is_one_line_with_its_place(body, line):
    with pytest.raises(Trouble) as found:
        search_space.read({"optimizer": {"categorical": ["sgd", "adam"]}, "rate": body}, "s.yaml")
    assert str(found.value).startswith("s.yaml: space.rate")
    assert line in str(found.value)
    assert "\n" not in str(found.value)


def test_a_space_is_read_back_as_it_was_written():
    written = {
        "optimizer": {"categorical": ["sgd", "adam"]},
        "momentum": {"float": [0.5, 0.9], "when": {"optimizer": ["sgd"]}},
        "layers": {"int": [1, 4], "step": 1},
        "rate": {"float": [0.1, 1.0], "log": True},
    }
    space = search_space.read(written, "s.yaml")
    assert search_space.read(search_space.as_written(space), "again") == space
    assert not space[1].applies({"optimizer": "adam"})
    assert space[1].applies({"optimizer": "sgd"})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sampler": {"name": "tpa"}}, "no sampler.name 'tpa'; did you mean tpe?"),
        ({"pruner": {"name": "medain"}}, "did you mean median?"),
        ({"metric": {"goal": "max"}}, "no metric.goal 'max'"),
        ({"trackers": ["tensorbord"]}, "no tracker 'tensorbord'; did you mean tensorboard?"),
        ({"keep": {"budgt_gb": 1}}, "no setting 'keep.budgt_gb'; did you mean keep.budget_gb?"),
        ({"stop": {"trials": 0}}, "stop needs one of"),
        ({"stop": {"target": "high"}}, "stop.target must be a number"),
        ({"fixed": {"learning_rate": 1}}, "stands in space and in fixed"),
        ({"fixed": [1]}, "fixed must map"),
        ({"trainable": "toy"}, "trainable must be package.module:Class"),
        ({"trainable": "tests.scripts.toy_trainable:Toi"}, "cannot be loaded"),
        ({"fixed": {"epoch": 3}}, "no setting 'epoch'"),
        ({"keep": {"budget_gb": 0.001}}, "keep.budget_gb=0.001 is too small"),
        ({"fixed": {"pad": 1_000_000}, "keep": {"budget_gb": 0.008}}, "need 0.013 GB"),
        (
            {"fixed": {"fault": "no construction"}},
            "cannot be made with learning_rate=0.5 fault=no construction: KeyError",
        ),
    ],
)
def test_a_wrong_study_ends_in_one_line_before_a_trial(tmp_path, changes, line):
    code, output = Study(tmp_path, **changes).tune()
    assert code == 2, output
    assert line in output
    assert output.count("\n") == 1, output
    assert not [*tmp_path.glob("experiments/trial_*")]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"keep": {"budget_gb": float("inf")}}, "keep.budget_gb must be a number"),
        ({"patience_s": float("inf")}, "patience_s must be a number of seconds"),
        ({"sampler": {"seed": -1}}, "sampler.seed must be 0 to"),
        ({"seed": 10**30}, "seed must be 0 to"),
        ({"pruner": {"percentile": 500}}, "pruner.percentile must be 0 to 100"),
        ({"pruner": {"startup": -1}}, "pruner.* must be 0 or more"),
        ({"study": " "}, "study must have a name"),
        ({"metric": {"name": "seconds"}}, "metric.name must be another than epoch, seconds"),
        ({"space": {"rate": {"float": [0.1, float("inf")]}}}, "space.rate.float must have finite ends"),
    ],
)
def test_a_value_that_no_study_can_have_is_refused(changes, line):
    with pytest.raises(Trouble, match=re.escape(line)):
        study_settings.of_written({**STUDY, **changes}, (), "s.yaml")


def test_a_grid_of_more_cells_than_memory_holds_is_refused():
    space = search_space.read({"hidden": {"int": [1, 10**12]}}, "s.yaml")
    with pytest.raises(Trouble, match="more than 100,000 cells"):
        tuning.study.grid(space)


def test_the_command_line_changes_the_space():
    found = study_settings.of_written(
        STUDY, ("space.learning_rate.float=[0.2,0.3]", "space.hidden.int=[1,2]"), "s.yaml"
    )
    assert [(one.name, one.values, one.log) for one in found.space] == [
        ("learning_rate", (0.2, 0.3), True),
        ("hidden", (1, 2), False),
    ]
    for odd in ("space=1", "space.learning_rate.int=[1,2]"):
        with pytest.raises(Trouble, match="space"):
            study_settings.of_written(STUDY, (odd,), "s.yaml")


def test_the_study_of_the_page_is_valid():
    page = (ROOT / "docs/howto/search-hyperparameters.md").read_text()
    written = yaml.safe_load(page.partition("```yml\n")[2].partition("```")[0])
    settings = study_settings.of_written(written, (), "page")
    assert [one.name for one in settings.space] == ["learning_rate", "hidden", "layers", "optimizer", "momentum"]
    assert settings.keep.budget == 200_000_000


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("an exit", "failed: it called sys.exit(0)"),
        pytest.param("no progress", "failed: train_epoch() must add one to epoch: it was 0, ", marks=pytest.mark.deep),
        pytest.param("no figures", "failed: train_epoch() must return figures by name", marks=pytest.mark.deep),
        pytest.param("a text", "failed: train_epoch() returned 'low' for loss", marks=pytest.mark.deep),
    ],
)
def test_a_trainable_that_goes_wrong_fails_its_trials_in_words(tmp_path, fault, line):
    code, output = Study(tmp_path, fixed={"fault": fault}, stop={"trials": 1}).tune()
    assert code == 1, output
    assert line in output
    assert "Traceback" not in output
    assert "error: no trial has a score" in output


@pytest.mark.deep
@pytest.mark.parametrize("fault", ["a tensor", "another folder", "an undefined metric"])
def test_a_trainable_with_manners_of_its_own_is_trained_to_its_end(tmp_path, fault):
    study = Study(tmp_path, fixed={"fault": fault, "epochs": 2}, stop={"trials": 1})
    code, output = study.tune()
    assert code == 0, output
    (trial,) = study.trials
    assert [row["epoch"] for row in trial.epochs()] == [1, 2]
    report = json.loads(trial.report.read_text(), parse_constant=pytest.fail)
    assert fault != "an undefined metric" or report["test_metrics"] == {"accuracy": None, "per_label": {"a": [None]}}
    assert study.call("evaluate_trial.py", "--verify")[0] == 0
    trial.report.write_text(trial.report.read_text()[:50])
    code, output = study.call("evaluate_trial.py", "--trial-id", trial.name)
    assert (code, output.endswith(": new\n")) == (0, True), output


def test_a_folder_of_a_person_and_one_of_another_study_stay_as_they_are(tmp_path):
    study = Study(tmp_path, output=".", stop={"trials": 1})
    (tmp_path / "test").mkdir()
    (tmp_path / "test/mine.txt").write_text("mine")
    code, output = study.tune("--test")
    assert (code, "holds files of yours" in output) == (2, True), output
    assert (tmp_path / "test/mine.txt").read_text() == "mine"
    (tmp_path / "study.json").write_text('{"study": "first"}')
    code, output = study.tune()
    assert (code, "is the output of study 'first'" in output) == (2, True), output
    assert not (tmp_path / "study.db").exists()


def test_a_damaged_line_of_figures_hides_no_other(tmp_path):
    folder = trial_folder.TrialFolder(tmp_path, "one")
    folder.path.mkdir()
    for epoch in (1, 2):
        folder.add_epoch({"epoch": epoch, "seconds": 1.0, "score": 0.5})
    path = folder.path / trial_folder.METRICS
    path.write_bytes(b'{"epoch": \n\xff\n[1]\n{}\n{"epoch": "x"}\n' + path.read_bytes() + b"\0" * 50 + b'\n{"epoch": 3')
    assert [row["epoch"] for row in folder.epochs()] == [1, 2]
    folder.add_epoch({"epoch": 3, "seconds": 1.0, "score": 0.7})
    assert [row["epoch"] for row in folder.epochs()] == [1, 2, 3]


# A study


def test_a_study_ends_with_a_report_for_each_trial(tmp_path):
    pruner = {"name": "median", "startup": 2}
    study = Study(tmp_path, workers=2, stop={"trials": 8}, pruner=pruner, trackers=["tensorboard"])
    code, output = study.tune()
    assert code == 0, output
    assert len(study.trials) == 8
    for one in study.trials:
        report = json.loads(one.report.read_text())
        trial_report.check(report, "report")
        assert [*one.path.glob("tensorboard/events*")]
        rows = [json.loads(line) for line in (one.path / "tracking.jsonl").read_text().splitlines()]
        assert [row["event"] for row in rows] == ["begin", *["metrics"] * len(one.epochs()), "artifact", "end"]
        assert report["trial_id"] == one.name
        assert report["config"]["learning_rate"] == one.about()["config"]["learning_rate"]
    assert not any("resumed_from" in one.about() for one in study.trials)  # none was taken for lost
    summary = json.loads((tmp_path / "experiments/study_summary.json").read_text())
    best = max(summary["trials"], key=lambda trial: trial["value"])
    assert summary["best"]["trial_id"] == best["trial_id"]
    assert (tmp_path / "experiments" / summary["best"]["report"]).is_file()
    code, output = study.call("evaluate_trial.py", "--verify")
    assert (code, output.count(": agrees")) == (0, 8), output
    code, output = study.tune()  # nothing is left to do
    assert code == 0, output
    assert len(study.trials) == 8


def test_a_study_that_was_killed_goes_on_from_the_checkpoint_of_its_trial(tmp_path):
    study = Study(tmp_path, fixed={"epochs": 6, "pad": 1000, "pace": 0.3}, stop={"trials": 2})
    with study.program("tune.py", "study.yaml", start_new_session=True) as process:
        wait_for(lambda: [one for one in study.trials if len(one.epochs()) >= 3])
        os.killpg(process.pid, signal.SIGKILL)
    [killed] = study.trials
    rate = killed.about()["config"]["learning_rate"]
    code, output = study.tune("fixed.pace=0")
    assert code == 0, output
    assert len(study.trials) == 2
    about = killed.about()
    assert about["state"] == "complete"
    assert about["config"]["learning_rate"] == rate
    assert about["resumed_from"][0] >= 2
    again = study.epochs_of(rate)
    assert sorted({*again}) == [1, 2, 3, 4, 5, 6]
    assert len(again) <= 7  # at most the epoch that the kill cut off is trained twice
    unbroken = Toy(about["config"], seed=about["seed"])
    while unbroken.epoch < unbroken.epochs:
        unbroken.train_epoch()
    assert about["value"] == unbroken.validate()["score"]
    assert study.call("evaluate_trial.py", "--verify")[0] == 0


def test_a_trial_killed_before_the_study_knew_its_end_is_not_trained_again(tmp_path):
    study = Study(tmp_path, stop={"trials": 1}, storage=f"sqlite:///{tmp_path}/experiments/study.db")
    assert study.tune()[0] == 0
    [one] = study.trials
    before = one.about()
    [saved] = storage_budget.inside(one)
    checkpoint_folder.lighten(saved)  # as the budget does with ended trials
    with sqlite3.connect(tmp_path / "experiments/study.db") as study_db:
        study_db.execute("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL")
        study_db.execute("DELETE FROM trial_values")
    code, output = study.tune()
    assert code == 0, output
    assert len(study.trials) == 1
    assert study.epochs_of(before["config"]["learning_rate"]) == [1, 2, 3]
    assert "resumed_from" not in one.about()


def test_a_password_of_the_storage_is_written_nowhere():
    written = {**STUDY, "storage": "postgresql://me:hunter2@host/db"}
    settings = study_settings.of_written(written, (), "study")
    assert "hunter2" not in json.dumps(study_settings.as_written(settings))


@pytest.mark.deep
def test_a_worker_that_dies_is_started_again_and_its_trial_is_not_doubled(tmp_path):
    study = Study(tmp_path, fixed={"epochs": 4, "pad": 1000, "pace": 0.2}, stop={"trials": 2})
    with study.program("tune.py", "study.yaml") as process:
        wait_for(lambda: [one for one in study.trials if len(one.epochs()) >= 2])
        [worker] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        output = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 0, output
    assert "was ended by signal 9; it is started again" in output
    assert [one.about()["state"] for one in study.trials] == ["complete"] * 2
    assert sum(bool(one.about().get("resumed_from")) for one in study.trials) == 1


@pytest.mark.deep
def test_a_trial_that_fails_is_told_and_not_tried_again(tmp_path):
    study = Study(tmp_path, space={"fail_at": {"categorical": [2, 9]}}, sampler={"name": "grid"}, stop={"trials": 9})
    code, output = study.tune()
    assert code == 0, output
    assert "failed: the toy was told to fail" in output
    states = sorted(one.about()["state"] for one in study.trials)
    assert states == ["complete", "failed"]


@pytest.mark.deep
def test_a_metric_that_is_not_a_number_fails_the_trial(tmp_path):
    study = Study(tmp_path, fixed={"epochs": 3, "nan_at": 2}, stop={"trials": 1})
    code, output = study.tune()
    assert "score is nan: the trial ends here" in output
    assert code == 1, output
    assert "no trial has a score" in output
    assert not json.loads((tmp_path / "experiments/study_summary.json").read_text())["best"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"space": {"learning_rate": {"categorical": [0.1, 0.2]}}}, "began with another space.learning_rate"),
        ({"metric": {"goal": "minimize"}}, "exists with goal maximize"),
        ({"metric": {"name": "loss"}}, "began with another metric"),
    ],
)
@pytest.mark.deep
def test_a_study_that_became_another_is_refused_and_stays_as_it_is(tmp_path, changes, line):
    assert Study(tmp_path, stop={"trials": 1}).tune()[0] == 0
    kept = (tmp_path / "experiments/study.json").read_text()
    code, output = Study(tmp_path, stop={"trials": 2}, **changes).tune()
    assert (code, line in output) == (2, True), output
    assert (tmp_path / "experiments/study.json").read_text() == kept
    moved = {"space": {"learning_rate": {"float": [0.01, 0.9], "log": True}}}
    assert Study(tmp_path, stop={"trials": 2}, **moved).tune()[0] == 0


# Storage


@pytest.mark.deep
def test_a_study_never_passes_its_budget_and_keeps_the_best(tmp_path):
    study = Study(
        tmp_path,
        workers=2,
        fixed={"epochs": 3, "pad": 1_000_000},
        stop={"trials": 26},
        keep={"budget_gb": 0.0225, "trials": 2},
    )
    most = 0
    with study.program("tune.py", "study.yaml") as process:
        while process.poll() is None:
            most = max(most, storage_budget.used(tmp_path / "experiments"))
            time.sleep(0.02)
        output = process.communicate()[0]
    assert process.returncode == 0, output
    assert 3_000_000 < most <= 22_500_000
    ended = sorted(study.trials, key=lambda one: one.about()["value"])
    left = [bool(trial_report.best_of(one, study.settings)) for one in ended]
    assert left[-2:] == [True, True]
    assert not all(left)
    assert all(one.report.is_file() and one.epochs() for one in ended)
    code, output = study.call("evaluate_trial.py", "--verify")
    assert code == 0, output
    assert "removed (no checkpoint is left: they were removed to keep the study below keep.budget_gb)" in output
    code, output = study.call("evaluate_trial.py", "--trial-id", ended[left.index(False)].name)
    assert code == 1
    assert "its report stays as it is" in output


# Reports


@pytest.mark.deep
def test_a_report_that_no_longer_matches_is_found(tmp_path):
    study = Study(tmp_path, stop={"trials": 3})
    assert study.tune()[0] == 0
    first, second, third = study.trials
    written = json.loads(first.report.read_text())
    written["test_metrics"]["accuracy"] += 1e-16 + 2**-30
    first.report.write_text(json.dumps(written))
    weights = next(second.checkpoints.glob("*/weights.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code, output = study.call("evaluate_trial.py", "--verify", "--study", "experiments")
    assert code == 1
    assert f"trial {first.name}: differs (test_metrics.accuracy)" in output
    assert f"trial {second.name}: differs" in output
    assert f"trial {third.name}: agrees" in output
    code, output = study.call("evaluate_trial.py", "--trial-id", first.name[:8])
    assert (code, "differs at test_metrics.accuracy" in output) == (1, True)
    url = f"sqlite:///{tmp_path}/experiments/study.db"
    code, output = study.call("evaluate_trial.py", "--trial-id", first.name, "--study", url)
    assert (code, output.strip().endswith("agrees")) == (0, True), output
    code, output = study.call("evaluate_trial.py", "--trial-id", "nothing")
    assert (code, "no trial 'nothing'" in output) == (2, True), output


@pytest.mark.deep
def test_a_small_test_runs_two_trials_in_a_folder_of_its_own(tmp_path):
    study = Study(tmp_path)
    code, output = study.tune("--test")
    assert code == 0, output
    assert len(trial_folder.every(tmp_path / "experiments/test")) == 2
    assert not study.trials


def killed_at_random(folder, kills, seed):
    """Run a study of 8 trials, killed with all its workers at random moments; return what became of it."""
    chance = random.Random(seed)
    study = Study(folder, workers=2, fixed={"epochs": 5, "pad": 50_000, "pace": 0.25}, stop={"trials": 8})
    lost, done = [], {}
    for _ in range(kills):
        with study.program("tune.py", "study.yaml", start_new_session=True) as process:
            time.sleep(chance.uniform(1.0, 9.0))
            os.killpg(process.pid, signal.SIGKILL)
        for one in study.trials:
            newest = max((saved.step for saved in storage_budget.inside(one)), default=0)
            lost += [one.name] if newest < done.get(one.name, 0) else []
            done[one.name] = newest
    code, output = study.tune("fixed.pace=0")
    assert code == 0, output
    return study, lost


@pytest.mark.deep
def test_kills_at_random_moments_lose_and_double_no_trial(tmp_path):
    study, lost = killed_at_random(tmp_path, kills=2, seed=int(os.environ.get("KILL_SEED", "5")))
    hold_whole(study, lost)


def hold_whole(study, lost):
    """Assert that each trial is there once, went on from its checkpoint, and has the result of an unbroken run."""
    assert lost == []
    assert sorted(one.about()["number"] for one in study.trials) == sorted(
        {one.about()["number"] for one in study.trials}
    )
    assert [one.about()["state"] for one in study.trials] == ["complete"] * 8
    for one in study.trials:
        about = one.about()
        assert all(step >= 1 for step in about.get("resumed_from", []))
        unbroken = Toy(about["config"], seed=about["seed"])
        while unbroken.epoch < unbroken.epochs:
            unbroken.train_epoch()
        assert about["value"] == max(row["score"] for row in one.epochs())
        assert one.epochs()[-1]["score"] == unbroken.validate()["score"]
    assert study.call("evaluate_trial.py", "--verify")[0] == 0
