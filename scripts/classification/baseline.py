"""The baseline: TF-IDF of words and pairs of words, a logistic regression for each label."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from classification import scores
from classification.dataset import labels_of
from classification.pinned import pinned
from classification.splits import PARTS, TEST, TRAIN, VALIDATION
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from classification.rows import Row

GRID = tuple(itertools.product((1.0, 10.0), (None, "balanced")))  # C, class weights; the first is scikit-learn's own
SEED = 0


@dataclass(frozen=True)
class Fitted:
    """A baseline with its probabilities of validation and test rows."""

    c: float
    class_weight: str | None
    validation: Tensor
    test: Tensor
    validation_macro_pr_auc: float

    def describe(self) -> str:
        """Return its settings in words."""
        return f"C={self.c:g}, class weights {self.class_weight or 'none'}"


def refuse_missing() -> None:
    """Raise Trouble if scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401 - asked for before it is used, so that only its own absence is named
    except ImportError as error:
        raise Trouble(
            "the baseline needs scikit-learn: pip install -c constraints.txt -r requirements/training.txt", USAGE
        ) from error


def fit(rows: Mapping[str, Sequence[Row]], choices: Sequence[tuple[float, str | None]] = GRID) -> list[Fitted]:
    """Return a baseline for each choice of C and class weights, the best on the validation rows first."""
    refuse_missing()
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = {part: [f"{row.package} {row.description}" for row in rows[part]] for part in PARTS}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    vectors = {TRAIN: vectorizer.fit_transform(texts[TRAIN])}
    vectors |= {part: vectorizer.transform(texts[part]) for part in (VALIDATION, TEST)}
    labels = {part: labels_of(rows[part]) for part in PARTS}
    found = [fitted(vectors, labels, c, class_weight) for c, class_weight in choices]
    return sorted(found, key=lambda one: -one.validation_macro_pr_auc)


def fitted(vectors: Mapping[str, Any], labels: Mapping[str, Tensor], c: float, class_weight: str | None) -> Fitted:
    """Fit a logistic regression for each label."""
    columns = [columns_of(vectors, truth.tolist(), c, class_weight) for truth in labels[TRAIN].T]
    validation, test = (torch.stack([column[at] for column in columns], 1) for at in (0, 1))
    area = scores.pr_auc(validation, labels[VALIDATION])["macro_pr_auc"]
    return Fitted(c, class_weight, validation, test, area)


def columns_of(
    vectors: Mapping[str, Any], truth: Sequence[float], c: float, class_weight: str | None
) -> tuple[Tensor, Tensor]:
    """Return a label's probabilities of validation and test rows; a label of no row, or of all, has a constant one."""
    from sklearn.linear_model import LogisticRegression

    held_out = [vectors[part] for part in (VALIDATION, TEST)]
    if len(set(truth)) == 1:
        found = [torch.full((vector.shape[0],), truth[0], dtype=torch.double) for vector in held_out]
    else:
        model = LogisticRegression(
            C=c, class_weight=class_weight, solver="liblinear", max_iter=1000, random_state=SEED
        ).fit(vectors[TRAIN], truth)
        found = [torch.from_numpy(model.predict_proba(vector)[:, 1]).double() for vector in held_out]
    return found[0], found[1]


def test_metrics(fit: Fitted, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Return the scores of the test rows, with thresholds tuned on the validation rows."""
    labels = pinned().labels
    thresholds = scores.best_thresholds(fit.validation, labels_of(rows[VALIDATION]), labels)
    return scores.of_labels(fit.test, labels_of(rows[TEST]), labels, thresholds)
