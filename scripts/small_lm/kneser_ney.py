"""An n-gram model with interpolated Kneser-Ney smoothing, the baseline for a trained model.

An n-gram is packed into one integer, so that sorting counts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

BITS = 62  # of a packed n-gram


@dataclass(frozen=True)
class Level:
    """The n-grams of one length with counts; their contexts with total counts and numbers of distinct next tokens."""

    grams: Tensor
    counts: Tensor
    contexts: Tensor
    totals: Tensor
    kinds: Tensor


class KneserNey:
    """An n-gram model of rows of tokens; shorter n-grams count distinct contexts instead of occurrences."""

    def __init__(
        self, rows: Sequence[Sequence[int]], vocab_size: int, *, order: int = 5, discount: float = 0.8
    ) -> None:
        if vocab_size**order >= 2**BITS:
            raise Trouble(f"{order}-grams of {vocab_size} tokens do not fit: lower the order", USAGE)
        self.vocab_size, self.order, self.discount = vocab_size, order, discount
        self.levels = [self.level(rows, length) for length in range(1, order + 1)]

    def level(self, rows: Sequence[Sequence[int]], length: int) -> Level:
        """Count the n-grams of one length; below the longest, count the distinct tokens before them."""
        longer = min(length + 1, self.order)
        grams, counts = self.packed(rows, longer).unique(return_counts=True)
        if longer > length:
            beginnings = [self.packed([row[:length]], length) for row in rows]  # without a token before
            inner = grams % self.vocab_size**length
            grams, counts = torch.cat([inner, torch.cat(beginnings).unique()]).unique(return_counts=True)
        contexts, places = (grams // self.vocab_size).unique(return_inverse=True)
        totals = torch.zeros_like(contexts).index_add_(0, places, counts)
        kinds = torch.zeros_like(contexts).index_add_(0, places, torch.ones_like(counts))
        return Level(grams, counts, contexts, totals, kinds)

    def packed(self, rows: Sequence[Sequence[int]], length: int) -> Tensor:
        """Return every n-gram of the rows, in order; none spans two rows."""
        weights = self.vocab_size ** torch.arange(length - 1, -1, -1)
        tensors = [torch.tensor(row) for row in rows if len(row) >= length]
        parts = [(tensor.unfold(0, length, 1) * weights).sum(1) for tensor in tensors]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def chances(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Return the probability of each token (N) after its context (N, up to order - 1 tokens, the nearest last)."""
        found = torch.full((len(tokens),), 1 / self.vocab_size, dtype=torch.double)
        for length in range(1, min(self.order, contexts.shape[1] + 1) + 1):
            before = torch.zeros_like(tokens)
            for at in range(contexts.shape[1] - length + 1, contexts.shape[1]):
                before = before * self.vocab_size + contexts[:, at]
            found = self.interpolated(self.levels[length - 1], before, tokens, found)
        return found

    def interpolated(self, level: Level, before: Tensor, tokens: Tensor, shorter: Tensor) -> Tensor:
        """Return the probabilities of one level, interpolated with those of shorter n-grams."""
        count = looked_up(level.grams, level.counts, before * self.vocab_size + tokens)
        total = looked_up(level.contexts, level.totals, before)
        kinds = looked_up(level.contexts, level.kinds, before)
        known = total.clamp(min=1)
        own = ((count - self.discount).clamp(min=0) + self.discount * kinds * shorter) / known
        return torch.where(total > 0, own, shorter)

    def nats(self, rows: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Return the nats of all tokens but the first of each row, and their number."""
        total, tokens = 0.0, 0
        for row in rows:
            chances = self.row_chances(torch.tensor(row))
            total -= float(chances.log().sum())
            tokens += len(chances)
        return total, tokens

    def row_chances(self, row: Tensor) -> Tensor:
        """Return the probability of every token of a row but the first."""
        near = self.order - 1
        parts = [self.chances(row[None, :at], row[at : at + 1]) for at in range(1, min(near, len(row)))]
        if len(row) > near:
            parts.append(self.chances(row[:-1].unfold(0, near, 1), row[near:]))
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.double)


def looked_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Return the values of the wanted keys, 0 for missing ones; `keys` are sorted."""
    if not len(keys):
        return torch.zeros(len(wanted), dtype=torch.double)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, values[places], 0).double()
