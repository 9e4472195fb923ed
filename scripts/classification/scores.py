"""Scores of probabilities against the truth: PR-AUC, F1, confusion matrices, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BINS = 15
ACCURACY = "share of the packages of which every label is right"


def average_precision(probabilities: Tensor, truth: Tensor) -> float | None:
    """Return the area under the precision-recall curve as a sum of steps; None without positives."""
    positives = int(truth.sum())
    if not positives:
        return None
    found, order = probabilities.double().sort(descending=True, stable=True)
    hits = truth.double()[order].cumsum(0)
    last = torch.ones_like(found, dtype=torch.bool)  # the last of equal probabilities
    last[:-1] = found[:-1] != found[1:]
    hits = hits[last]
    precision = hits / (last.nonzero().flatten() + 1)
    gained = torch.diff(hits, prepend=hits.new_zeros(1)) / positives
    return float((gained * precision).sum())


def pr_auc(probabilities: Tensor, truth: Tensor) -> dict[str, float]:
    """Return macro PR-AUC, over the labels that occur, and micro PR-AUC."""
    each = [average_precision(*pair) for pair in zip(probabilities.T, truth.T, strict=True)]
    known = [area for area in each if area is not None]
    micro = average_precision(probabilities.flatten(), truth.flatten())
    return {"macro_pr_auc": sum(known) / max(1, len(known)), "micro_pr_auc": micro or 0.0}


def f1(hits: float, wrong: float, missed: float) -> float:
    """Return the F1 score; 0 where nothing is right."""
    return 2 * hits / (2 * hits + wrong + missed) if hits else 0.0


def confusions(predicted: Tensor, truth: Tensor) -> list[dict[str, int]]:
    """Return the confusion matrix of each label."""
    table = {
        "tp": predicted & truth,
        "fp": predicted & ~truth,
        "fn": ~predicted & truth,
        "tn": ~predicted & ~truth,
    }
    sums = {name: cells.sum(0).tolist() for name, cells in table.items()}
    return [{name: counts[at] for name, counts in sums.items()} for at in range(truth.shape[1])]


def calibration(probabilities: Tensor, truth: Tensor) -> dict[str, Any]:
    """Return the expected calibration error, and its bins of equal width; an empty bin is left out."""
    at = (probabilities * BINS).long().clamp(max=BINS - 1)
    bins, error = [], 0.0
    for number in at.unique().tolist():
        inside = at == number
        count, mean = int(inside.sum()), float(probabilities[inside].mean())
        share = float(truth[inside].double().mean())
        error += count / truth.numel() * abs(mean - share)
        edges = {"from": number / BINS, "to": (number + 1) / BINS}
        bins.append({**edges, "count": count, "mean_probability": mean, "share_true": share})
    return {"ece": error, "bins": bins}


def of_labels(
    probabilities: Tensor, truth: Tensor, labels: Sequence[str], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Return every score of the labels, as JSON values, for probabilities and truth of (rows, labels)."""
    truth = truth.bool()
    predicted = probabilities >= probabilities.new_tensor([thresholds[label] for label in labels])
    matrices = confusions(predicted, truth)
    each = {
        label: of_label(probabilities[:, at], truth[:, at], matrices[at], thresholds[label])
        for at, label in enumerate(labels)
    }
    sums = [sum(matrix[name] for matrix in matrices) for name in ("tp", "fp", "fn")]
    return {
        "rows": len(truth),
        "accuracy": float((predicted == truth).all(1).double().mean()),
        "accuracy_is": ACCURACY,
        "label_accuracy": float((predicted == truth).double().mean()),
        "macro_f1": sum(scores["f1"] for scores in each.values()) / len(each),
        "micro_f1": f1(*sums),
        **pr_auc(probabilities, truth),
        "labels_that_occur": int(truth.any(0).sum()),
        "per_label": each,
        "confusion_matrices": dict(zip(labels, matrices, strict=True)),
        "calibration": calibration(probabilities.flatten(), truth.flatten()),
    }


def of_label(probabilities: Tensor, truth: Tensor, matrix: Mapping[str, int], threshold: float) -> dict[str, Any]:
    """Return the scores of a label."""
    hits, wrong, missed = matrix["tp"], matrix["fp"], matrix["fn"]
    return {
        "support": hits + missed,
        "precision": hits / (hits + wrong) if hits else 0.0,
        "recall": hits / (hits + missed) if hits else 0.0,
        "f1": f1(hits, wrong, missed),
        "pr_auc": average_precision(probabilities, truth),
        "ece": calibration(probabilities, truth)["ece"],
        "threshold": threshold,
    }


def of_sections(probabilities: Tensor, truth: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Return the scores of the sections; a row of the confusion matrix is a true class, a column a predicted one."""
    best, predicted = probabilities.max(1)
    size = len(classes)
    matrix = torch.bincount(truth * size + predicted, minlength=size * size).view(size, size)
    hits, true, chosen = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    occurring = [at for at in range(size) if int(true[at]) or int(chosen[at])]
    areas = [f1(int(hits[at]), int(chosen[at] - hits[at]), int(true[at] - hits[at])) for at in occurring]
    return {
        "accuracy": float((predicted == truth).double().mean()),
        "macro_f1": sum(areas) / max(1, len(areas)),
        "classes": list(classes),
        "confusion_matrix": matrix.tolist(),
        "calibration": calibration(best, predicted == truth),
    }


def best_thresholds(probabilities: Tensor, truth: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """Return the threshold of each label with the highest F1; 0.5 for a label that does not occur."""
    return {label: best_threshold(probabilities[:, at], truth[:, at].bool()) for at, label in enumerate(labels)}


def best_threshold(probabilities: Tensor, truth: Tensor) -> float:
    """Return the threshold with the highest F1, halfway to the next lower probability; of equal ones the highest."""
    if not bool(truth.any()):
        return 0.5
    found, order = probabilities.double().sort(descending=True, stable=True)
    hits = truth[order].cumsum(0).double()
    chosen = torch.arange(1, len(found) + 1, dtype=torch.double)
    scores = 2 * hits / (chosen + float(truth.sum()))
    scores[:-1][found[:-1] == found[1:]] = -1.0  # no threshold stands between equal probabilities
    at = int(scores.argmax())
    below = float(found[at + 1]) if at + 1 < len(found) else 0.0
    return (float(found[at]) + below) / 2
