"""Sample one token for each row of a batch; each row has its own random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinker_local.api_types import Sampling

BLOCK = 64  # numbers drawn ahead for each row


@dataclass
class Draws:
    """Sampling parameters of a batch as tensors (B, 1), and one stream of uniform numbers for each row."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    streams: list[np.random.Generator]
    numbers: Tensor
    used: int = BLOCK

    def tokens(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return a token for each row, and its log p at temperature 1 without top_k and top_p; both (B,).

        logits: (B, vocabulary), float32.
        """
        drawn = logits.argmax(-1, keepdim=True)
        hot = self.temperature > 0
        if bool(hot.any()):
            drawn = torch.where(hot, self.by_chance(logits), drawn)
        logprobs = logits.gather(-1, drawn) - logits.logsumexp(-1, keepdim=True)
        return drawn[:, 0], logprobs[:, 0]

    def by_chance(self, logits: Tensor) -> Tensor:
        """Return (B, 1) tokens by inverse transform sampling, in the order of the vocabulary."""
        scaled = logits / torch.where(self.temperature > 0, self.temperature, 1.0)
        sums = self.cut(scaled).softmax(-1, dtype=torch.float64).cumsum(-1)
        total = sums[:, -1:]
        aim = torch.minimum(self.next_numbers() * total, torch.nextafter(total, torch.zeros_like(total)))
        return torch.searchsorted(sums, aim, right=True)

    def cut(self, scaled: Tensor) -> Tensor:
        """Return the logits, with those outside of top_k and then top_p at minus infinity."""
        size = scaled.shape[-1]
        if bool(((self.top_k >= size) & (self.top_p >= 1)).all()):
            return scaled
        ordered, order = scaled.sort(dim=-1, descending=True, stable=True)
        ordered = ordered.masked_fill(torch.arange(size, device=scaled.device) >= self.top_k, -torch.inf)
        share = ordered.softmax(-1, dtype=torch.float64)
        outside = (share.cumsum(-1) - share >= self.top_p) & (self.top_p < 1)
        return torch.empty_like(scaled).scatter_(-1, order, ordered.masked_fill(outside, -torch.inf))

    def next_numbers(self) -> Tensor:
        """Return a uniform number in [0, 1) for each row, (B, 1)."""
        if self.used == BLOCK:
            drawn = np.stack([stream.random(BLOCK) for stream in self.streams])
            self.numbers, self.used = torch.from_numpy(drawn).to(self.temperature.device), 0
        self.used += 1
        return self.numbers[:, self.used - 1 : self.used]

    def select(self, rows: Sequence[int]) -> Draws:
        """Return the draws of some rows, with the positions of their streams."""
        spots = torch.tensor(rows, device=self.temperature.device)
        streams = [self.streams[row] for row in rows]
        numbers = self.numbers[spots] if len(self.numbers) else self.numbers
        return Draws(self.temperature[spots], self.top_k[spots], self.top_p[spots], streams, numbers, used=self.used)


def begin(rows: Sequence[tuple[Sampling, int]], vocabulary: int, device: torch.device) -> Draws:
    """Return the draws of rows, each given by its parameters and its index among the samples of a request."""
    columns = [[one.temperature for one, _ in rows], [one.top_p for one, _ in rows]]
    temperature, top_p = (torch.tensor(one, dtype=torch.float32, device=device)[:, None] for one in columns)
    tops = [one.top_k if one.top_k > 0 else vocabulary for one, _ in rows]
    top_k = torch.tensor(tops, device=device)[:, None]
    streams = [stream(one.seed, sample) for one, sample in rows]
    return Draws(temperature, top_k, top_p, streams, torch.empty(0, device=device))


def stream(seed: int | None, sample: int) -> np.random.Generator:
    """Return the uniform numbers of one answer; without a seed they are not repeatable."""
    entropy = None if seed is None else [seed % 2**64, sample]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
