"""The plan of a profile with amounts of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import yaml

from common import config

SCRIPT = "make_plan.py"


def test_a_plan_has_the_amounts_of_its_profile_and_is_valid(project):
    done = project.run(SCRIPT, "--profile", "gemma", "plan")
    assert done.code == 0, done.err
    folder = project.folder / "plan"
    settings = config.load("gemma", (), {})
    steps = yaml.safe_load((folder / "step_definitions.yaml").read_text())
    sizes = [one["size"] for one in steps["step_8_generate_set"]["main"]["chunks"]]
    assert sum(sizes) == settings.questions.train
    assert steps["step_9_audit"]["pre_flight"][0]["file"]["min_count"] == len(sizes)
    assert all(step["main"]["timeout"] >= settings.plan.timeout_s for name, step in steps.items() if "step_" in name)
    text = (folder / "step_definitions.yaml").read_text()
    assert "5000" not in text
    assert f"-eq {settings.questions.train}" in text
    assert (folder / "SPEC.md").read_text().count("- [ ] **STEP") == 20
    words = [sys.executable, "-m", "executor", "validate", "--project", str(folder)]
    told = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=dict(os.environ))
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_plan_that_is_there_stays(project):
    project.run(SCRIPT, "--profile", "gemma", "plan")
    (project.folder / "plan" / "SPEC.md").write_text("mine")
    done = project.run(SCRIPT, "--profile", "gemma", "plan")
    assert done.code == 2
    assert "is there already" in done.err
    assert (project.folder / "plan" / "SPEC.md").read_text() == "mine"


def test_the_amounts_of_the_profile_fit_each_other():
    """Step 13 learns from answers of the set, step 14 asks held-out questions, step 18 reviews some of them."""
    settings = config.load("gemma", (), {})
    assert settings.training.examples <= settings.questions.train * (1 - 2 * settings.split.val_share)
    assert settings.evaluation.least <= settings.evaluation.answers <= settings.questions.held_out
    assert settings.review.answers <= settings.questions.held_out
