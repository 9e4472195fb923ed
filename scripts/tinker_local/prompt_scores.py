"""Scores of a prompt that few requests want: logprobs of named tokens, and tokens drawn at each of its places."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from tinker_local.api_types import SamplingRequest, SamplingResult
    from tinker_local.base_models import Base

MOST_LOGITS = 2**24  # in memory at once
STREAM = 2**40  # the number of the stream of draws, beyond those of a request's answers


@torch.no_grad()  # type: ignore[untyped-decorator]
def add(base: Base, asked: SamplingRequest, found: SamplingResult, most_logits: int = MOST_LOGITS) -> SamplingResult:
    """Return the result with the scores that a request wants, by a forward of the prompt of its own."""
    if asked.targets is None and not asked.alternatives:
        return found
    ids = torch.tensor([asked.prompt], device=base.device)
    hidden = base.hidden(ids, use_cache=False)[0, :-1]
    chosen, drawn, logprobs = [], [], []
    uniform = numbers(asked)
    size = max(1, most_logits // base.vocabulary)
    for start in range(0, len(hidden), size):
        logits = base.logits(hidden[start : start + size])
        known = logits.log_softmax(-1)
        chosen.append(named(asked, known, start))
        tokens = draws(logits, uniform[start : start + size].to(logits.device), asked.params.temperature)
        drawn.append(tokens.int().cpu())
        logprobs.append(known.gather(-1, tokens).cpu())
    nothing = torch.empty(0, asked.alternatives)
    return dataclasses.replace(
        found,
        target_logprobs=None if asked.targets is None else np.concatenate([np.empty(0, np.float32), *chosen]),
        alternative_ids=torch.cat([nothing.int(), *drawn]).numpy() if asked.alternatives else None,
        alternative_logprobs=torch.cat([nothing, *logprobs]).numpy() if asked.alternatives else None,
    )


def named(asked: SamplingRequest, known: Tensor, start: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the logprobs of the named tokens at places from `start` on; 0 for -1, which names none."""
    if asked.targets is None:
        return np.empty(0, np.float32)
    inside = (asked.targets.rows >= start) & (asked.targets.rows < start + len(known))
    rows, ids = asked.targets.rows[inside] - start, asked.targets.ids[inside]
    values = known[torch.from_numpy(rows), torch.from_numpy(ids.clip(0))].cpu().numpy()
    return np.where(ids < 0, np.float32(0), values).astype(np.float32)


def numbers(asked: SamplingRequest) -> Tensor:
    """Return uniform numbers (T - 1, K), float64; with a seed they are repeatable."""
    seed = asked.params.seed
    entropy = None if seed is None else [seed % 2**64, STREAM]
    drawn = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
    return torch.from_numpy(drawn.random((len(asked.prompt) - 1, asked.alternatives)))


def draws(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Return tokens (N, K) drawn from logits (N, vocabulary) by inverse transform sampling."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True).expand(uniform.shape)
    totals = (logits / temperature).softmax(-1, dtype=torch.float64).cumsum(-1)
    last = totals[:, -1:]
    aim = torch.minimum(uniform * last, torch.nextafter(last, torch.zeros_like(last)))
    return torch.searchsorted(totals, aim.contiguous(), right=True)
