"""NaN, Inf and high losses as healthy and broken trainings write them."""

from __future__ import annotations

import math

import pytest

from tests.unit.monitoring.rules.test_rules import Watch, steady

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "odd",
    [
        {"val_auc": NAN},
        {"eta": NAN},
        {"grad_norm": INF},
        {"gnorm": NAN},
        {"loss_scale": INF},
        {"loss_std": NAN},
        {"best_val_loss": INF},
        {"rollout/ep_rew_mean": NAN},
        {"eval/f1": NAN},
        {"train/explained_variance": NAN},
        {"lr": NAN},
        {"tokens_per_s": INF},
        {"val_ppl": INF},
        {"loss_delta": NAN},
    ],
)
def test_odd_numbers_of_a_healthy_training_are_no_alert(odd):
    watch = Watch("nan")
    for step in range(5):
        assert watch.see(rows=({"step": step, "loss": 2.0, **odd},)) is False


@pytest.mark.parametrize("name", ["val_auc", "val_acc", "grad_norm", "eval/recall", "eta", "ep_rew_mean"])
def test_nor_are_they_in_rows_before_the_first_loss(name):
    watch = Watch("nan")
    assert watch.see(rows=({"step": 0, name: NAN},)) is False
    assert watch.see(rows=({"step": 1, "loss": 2.0},)) is False


@pytest.mark.parametrize(
    "name",
    ["loss", "train_loss", "loss/total", "actor_loss", "Loss_D", "train/nll", "losses.g", "mse", "objective", "bpb"],
)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_nan_of_a_loss_stands_at_once_whatever_stands_beside(name, value):
    watch = Watch("nan")
    watch.see(rows=({"step": 1, name: 2.0, "accuracy": 0.5},))
    assert watch.see(rows=({"step": 2, name: value, "accuracy": 0.5},))


def test_nan_of_a_column_of_its_own_name_stands_where_there_is_no_loss():
    assert Watch("nan").see(rows=({"step": 1, "misfit": NAN},))


def test_nan_perplexity_stands_and_infinite_does_not():
    watch = Watch("nan")
    assert watch.see(rows=({"step": 1, "perplexity": INF},)) is False
    assert watch.see(rows=({"step": 2, "perplexity": NAN},))


def fed(watch, losses, *, start=0):
    return [watch.see(rows=({"step": start + at, "loss": loss},)) for at, loss in enumerate(losses)]


def test_the_first_rows_after_a_restart_from_the_beginning_are_no_divergence():
    watch = Watch("divergence")
    fed(watch, [9.0 / (1 + at / 10) for at in range(300)])
    assert not any(fed(watch, [9.0 / (1 + at / 10) for at in range(300)]))


def test_a_warm_up_that_climbs_before_it_falls_is_no_divergence():
    warm_up = [7.0 + 2.0 * math.sin(at / 40) for at in range(120)]
    assert not any(fed(Watch("divergence"), [*warm_up, *(7.0 - at / 100 for at in range(300))]))


def test_steps_that_begin_anew_each_epoch_still_let_divergence_be_found():
    watch = Watch("divergence")
    for _ in range(12):
        fed(watch, steady(30))
    assert any(fed(watch, [9.0] * 30))


def test_spikes_of_the_validation_loss_are_no_divergence():
    watch = Watch("divergence")
    for step in range(300):
        said = watch.see(rows=({"step": step, "loss": 2.0}, {"step": step, "val_loss": 90.0 if step % 7 else 2.0}))
        assert not said
