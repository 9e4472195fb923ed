"""The encoder of a package, shared by two heads: labels and section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from classification.features import PADDING

if TYPE_CHECKING:
    from classification.settings import Settings

START = 0.05  # standard deviation of the embedding


class Encoder(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Weighted sum of the embeddings of hashed features, residual layers, a linear head for labels and for sections.

    `rarity` weights the features, `positive_weight` is that of the loss; both are of the training rows.
    """

    rarity: Tensor
    positive_weight: Tensor

    def __init__(self, chosen: Settings, rarity: Tensor, positive_weight: Tensor, sections: int) -> None:
        super().__init__()
        width = chosen.hidden
        self.feature_dropout = chosen.feature_dropout
        self.embedding = nn.EmbeddingBag(chosen.buckets, width, mode="sum", padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=START)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(chosen.layers))
        self.dropout = nn.Dropout(chosen.dropout)
        self.labels = nn.Linear(width, len(positive_weight))
        self.sections = nn.Linear(width, sections)
        self.register_buffer("rarity", rarity)
        self.register_buffer("positive_weight", positive_weight)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of labels (B, labels) and of sections (B, sections) for ids (B, features), padded by 0."""
        weight = functional.normalize(self.rarity[ids], dim=1)
        weight = functional.dropout(weight, self.feature_dropout, self.training)
        hidden = self.dropout(self.norm(self.embedding(ids, per_sample_weights=weight)))
        for layer in self.layers:
            hidden = hidden + self.dropout(functional.gelu(layer(hidden)))
        return self.labels(hidden), self.sections(hidden)

    def probabilities(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities of labels and of sections.

        The weight of positives in the loss multiplies the odds of a label; it is divided out again.
        """
        labels, sections = self(ids)
        return torch.sigmoid(labels - self.positive_weight.log()).double(), sections.double().softmax(1)


def positive_weights(truth: Tensor, power: float) -> Tensor:
    """Return (negatives / positives) ** power for each label, (labels,); 1 for a label without positives."""
    positives = truth.sum(0)
    ratio = (len(truth) - positives) / positives.clamp(min=1)
    return torch.where((positives > 0) & (ratio > 0), ratio, 1.0) ** power
