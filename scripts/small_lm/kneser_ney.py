"""A model that only counts: interpolated Kneser-Ney, the yardstick for one that learns.

An n-gram is packed into one whole number, so that counting is sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

BITS = 62  # of a packed n-gram, at most


@dataclass(frozen=True)
class Level:
    """N-grams of one length with their counts; their contexts with what follows in all, and how many kinds."""

    grams: Tensor
    counts: Tensor
    contexts: Tensor
    totals: Tensor
    kinds: Tensor


class KneserNey:
    """Counts rows of tokens; below the longest n-grams counts in how many contexts a token was seen, not how often."""

    def __init__(
        self, rows: Sequence[Sequence[int]], vocab_size: int, *, order: int = 5, discount: float = 0.8
    ) -> None:
        if vocab_size**order >= 2**BITS:
            raise Trouble(f"{order}-grams of {vocab_size} tokens do not fit: lower the order", USAGE)
        self.vocab_size, self.order, self.discount = vocab_size, order, discount
        self.levels = [self.level(rows, length) for length in range(1, order + 1)]

    def level(self, rows: Sequence[Sequence[int]], length: int) -> Level:
        """Count the n-grams of one length, and at shorter ones the tokens that were seen before them."""
        longer = min(length + 1, self.order)
        grams, counts = self.packed(rows, longer).unique(return_counts=True)
        if longer > length:
            beginnings = [self.packed([row[:length]], length) for row in rows]  # nothing stands before these
            inner = grams % self.vocab_size**length
            grams, counts = torch.cat([inner, torch.cat(beginnings).unique()]).unique(return_counts=True)
        contexts, places = (grams // self.vocab_size).unique(return_inverse=True)
        totals = torch.zeros_like(contexts).index_add_(0, places, counts)
        kinds = torch.zeros_like(contexts).index_add_(0, places, torch.ones_like(counts))
        return Level(grams, counts, contexts, totals, kinds)

    def packed(self, rows: Sequence[Sequence[int]], length: int) -> Tensor:
        """Return every n-gram of the rows, in order; none goes from one row to the next."""
        weights = self.vocab_size ** torch.arange(length - 1, -1, -1)
        tensors = [torch.tensor(row) for row in rows if len(row) >= length]
        parts = [(tensor.unfold(0, length, 1) * weights).sum(1) for tensor in tensors]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def chances(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Return the chance of each token (N) after its context (N, up to order - 1 tokens, the nearest last)."""
        found = torch.full((len(tokens),), 1 / self.vocab_size, dtype=torch.double)
        for length in range(1, min(self.order, contexts.shape[1] + 1) + 1):
            before = torch.zeros_like(tokens)
            for at in range(contexts.shape[1] - length + 1, contexts.shape[1]):
                before = before * self.vocab_size + contexts[:, at]
            found = self.interpolated(self.levels[length - 1], before, tokens, found)
        return found

    def interpolated(self, level: Level, before: Tensor, tokens: Tensor, shorter: Tensor) -> Tensor:
        """Return the chances by one level; what the discount saves goes to those by the shorter n-grams."""
        count = looked_up(level.grams, level.counts, before * self.vocab_size + tokens)
        total = looked_up(level.contexts, level.totals, before)
        kinds = looked_up(level.contexts, level.kinds, before)
        known = total.clamp(min=1)
        own = ((count - self.discount).clamp(min=0) + self.discount * kinds * shorter) / known
        return torch.where(total > 0, own, shorter)

    def nats(self, rows: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Return the sum of -log chance over all tokens but the first of each row, with their number."""
        total, tokens = 0.0, 0
        for row in rows:
            chances = self.row_chances(torch.tensor(row))
            total -= float(chances.log().sum())
            tokens += len(chances)
        return total, tokens

    def row_chances(self, row: Tensor) -> Tensor:
        """Return the chance of every token of a row but the first."""
        near = self.order - 1
        parts = [self.chances(row[None, :at], row[at : at + 1]) for at in range(1, min(near, len(row)))]
        if len(row) > near:
            parts.append(self.chances(row[:-1].unfold(0, near, 1), row[near:]))
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.double)


def looked_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Return the values of sorted keys, 0 for those that are not there."""
    if not len(keys):
        return torch.zeros(len(wanted), dtype=torch.double)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, values[places], 0).double()
