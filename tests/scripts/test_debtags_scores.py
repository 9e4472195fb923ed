"""Scores of a multi-label classifier, beside those of scikit-learn."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from classification import scores  # noqa: E402  # it needs torch

LABELS = ("a", "b", "c", "d")
NEEDS = "scikit-learn is not installed: pip install -c constraints.txt -r requirements/training.txt"


def drawn(seed, rows=200, ties=False):
    """Return probabilities and truth; with ties most probabilities stand several times."""
    chance = torch.Generator().manual_seed(seed)
    truth = torch.rand(rows, len(LABELS), generator=chance) < torch.tensor([0.5, 0.2, 0.05, 0.0])
    noisy = (0.6 * truth + torch.rand(rows, len(LABELS), generator=chance)).div(1.6).double()
    return (noisy * 10).round() / 10 if ties else noisy, truth


def of_labels(probabilities, truth, threshold=0.5):
    return scores.of_labels(probabilities, truth, LABELS, dict.fromkeys(LABELS, threshold))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_areas_and_f1_are_those_of_scikit_learn(seed, ties):
    metrics = pytest.importorskip("sklearn.metrics", reason=NEEDS)
    probabilities, truth = drawn(seed, ties=ties)
    found = of_labels(probabilities, truth)
    used = truth[:, :3].int().numpy(), probabilities[:, :3].numpy()
    assert found["macro_pr_auc"] == pytest.approx(metrics.average_precision_score(*used, average="macro"))
    assert found["micro_pr_auc"] == pytest.approx(
        metrics.average_precision_score(truth.int().numpy(), probabilities.numpy(), average="micro")
    )
    hard = (truth.int().numpy(), (probabilities >= 0.5).int().numpy())
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(*hard, average="macro", zero_division=0))
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(*hard, average="micro", zero_division=0))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(*hard))
    for at, matrix in enumerate(metrics.multilabel_confusion_matrix(*hard)):
        (tn, fp), (fn, tp) = matrix.tolist()
        assert found["confusion_matrices"][LABELS[at]] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def test_scores_are_json_and_a_label_that_does_not_occur_has_no_area():
    found = of_labels(*drawn(1))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["labels_that_occur"] == 3
    assert found["per_label"]["d"] | {"ece": 0} == {
        "support": 0,
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "pr_auc": None,
        "ece": 0,
        "threshold": 0.5,
    }


def test_a_perfect_ranking_has_an_area_of_one_and_equal_probabilities_that_of_the_share():
    truth = torch.tensor([1.0, 0, 1, 0])
    assert scores.average_precision(truth.double(), truth) == 1.0
    assert scores.average_precision(torch.full((4,), 0.3), truth) == 0.5


def test_calibration_is_exact_for_shares_that_are_met_and_off_by_the_difference_else():
    probabilities = torch.full((10,), 0.3, dtype=torch.double)
    truth = torch.tensor([1.0] * 3 + [0] * 7)
    assert scores.calibration(probabilities, truth)["ece"] == pytest.approx(0.0)
    found = scores.calibration(probabilities, torch.ones(10))
    assert found["ece"] == pytest.approx(0.7)
    assert [(one["count"], one["share_true"]) for one in found["bins"]] == [(10, 1.0)]


def test_a_probability_of_one_is_in_the_last_bin():
    found = scores.calibration(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    assert [one["to"] for one in found["bins"]] == [pytest.approx(1 / scores.BINS), 1.0]


@pytest.mark.parametrize("seed", range(10))
def test_no_threshold_has_a_higher_f1_than_the_best_one(seed):
    probabilities, truth = drawn(seed, rows=60, ties=seed % 2 == 0)
    found = scores.best_thresholds(probabilities, truth, LABELS)
    assert found["d"] == 0.5
    for at, label in enumerate(LABELS[:3]):
        column, right = probabilities[:, at], truth[:, at]

        def f1(threshold, column=column, right=right):
            chosen = column >= threshold
            return scores.f1(int((chosen & right).sum()), int((chosen & ~right).sum()), int((~chosen & right).sum()))

        assert f1(found[label]) == max(map(f1, column.tolist()))


def test_the_confusion_matrix_of_sections_has_the_truth_in_its_rows():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]], dtype=torch.double)
    found = scores.of_sections(probabilities, torch.tensor([0, 1, 1]), ("x", "y", "z"))
    assert found["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx(2 / 3)
