"""Evaluation of a model on held-out text: loss, perplexity, accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from small_lm.data import Pair
    from small_lm.device import Machine
    from small_lm.model import Llama

OVERFLOW = 700.0  # nats; exp of more overflows


@dataclass(frozen=True)
class Scores:
    """Figures of a text: `loss` in nats a token, `accuracy` is the share of tokens that were the most likely."""

    loss: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """The perplexity: exp of the loss."""
        return math.exp(min(self.loss, OVERFLOW))


def evaluate(model: Llama, batches: Iterable[Pair], machine: Machine) -> Scores:
    """Return the scores over all batches, each token alike; targets of -100 do not count."""
    loss, hits, tokens = 0.0, 0, 0
    for inputs, targets in batches:
        losses, right = token_scores(model, inputs.to(machine.device), targets.to(machine.device), machine)
        loss += float(losses.double().sum())
        hits += int(right.sum())
        tokens += int((targets >= 0).sum())
    return Scores(loss / max(1, tokens), hits / max(1, tokens), tokens)


def token_scores(model: Llama, inputs: Tensor, targets: Tensor, machine: Machine) -> tuple[Tensor, Tensor]:
    """Return for each token its loss, and True if it was the most likely; both (B, T)."""
    with torch.no_grad(), machine.autocast():
        logits = model(inputs).float()
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view_as(targets), logits.argmax(-1) == targets
