"""The short forms of `make acceptance NAME=training` and `NAME=budget`."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna", reason="optuna is not installed: pip install -r requirements/training.txt")

from tests.acceptance import budget, training

pytestmark = pytest.mark.deep


def test_a_search_killed_with_its_executor_loses_and_doubles_no_trial(tmp_path):
    small = {"epochs": 12, "buckets": 2048, "ngrams": 3, "batch": 16}
    size = training.Size(kills=2, trials=4, data="sample", longest_s=1.5, is_search_alone=True, fixed=small)
    plan = training.Plan(tmp_path / "tree", size)
    done = plan.run(2, random.Random())
    assert plan.look().faults == []
    assert done >= 1
    assert any(step for trials in plan.seen for step, _ in trials.values())


def test_a_study_of_real_trials_stays_below_its_budget(tmp_path):
    seen = budget.sampled(tmp_path, 12)
    assert seen.faults == ()
    assert seen.samples > 3
