"""Sample answers of a model, and compute the nats of answers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from small_lm.generate import Answer, Choice, go_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from small_lm.model import Llama
    from small_lm.tokenizers import Tokenizer

BATCH = 32
IGNORED = -100


@dataclass(frozen=True)
class AnswerNats:
    """The negative log-likelihood of an answer in nats, and its number of tokens, at least 1."""

    nats: float
    tokens: int


def draw(
    model: Llama, tokenizer: Tokenizer, prompts: Sequence[list[int]], *, longest: int, seed: int
) -> list[list[int]]:
    """Sample an answer to each prompt at temperature 1; <end> is its last token if it ended by itself."""
    how, found = Choice(max_length=longest, temperature=1.0), []
    for first in range(0, len(prompts), BATCH):
        part = prompts[first : first + BATCH]
        answers = [Answer(ids, torch.Generator().manual_seed(seed + first + at)) for at, ids in enumerate(part)]
        go_on(model, tokenizer, answers, how)
        found += [answer.ids + [tokenizer.end] * answer.is_done for answer in answers]
    return found


def answer_nats(model: Llama, pairs: Sequence[tuple[list[int], list[int]]]) -> list[AnswerNats]:
    """Return the nats of each answer after its prompt, in float32; pairs are (prompt, answer)."""
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
    found: dict[int, AnswerNats] = {}
    for places in batches(order, BATCH):
        inputs, targets = padded([pairs[at] for at in places])
        with torch.no_grad():
            logits = model(inputs).flatten(0, 1)
        losses = functional.cross_entropy(logits, targets.flatten(), reduction="none").view_as(targets)
        for at, row in zip(places, losses.double().sum(1).tolist(), strict=True):
            found[at] = AnswerNats(row, len(pairs[at][1]))
    return [found[at] for at in range(len(pairs))]


def batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yield lists of at most `size` items."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def padded(pairs: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of one length, padded on the right; only answers are targets."""
    longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
    inputs, targets = [], []
    for prompt, answer in pairs:
        missing = [0] * (longest - len(prompt) - len(answer))
        inputs.append((prompt + answer + missing)[:-1])
        targets.append(([IGNORED] * len(prompt) + answer + [IGNORED] * len(missing))[1:])
    return torch.tensor(inputs), torch.tensor(targets)


def mean(weights: Sequence[AnswerNats]) -> float:
    """Return the mean in nats a token."""
    return sum(weight.nats for weight in weights) / max(1, sum(weight.tokens for weight in weights))


def interval(
    first: Sequence[AnswerNats], second: Sequence[AnswerNats], *, draws: int = 2000, seed: int = 1
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval, over answers, of the difference first - second in nats a token."""
    lost = torch.tensor([one.nats - two.nats for one, two in zip(first, second, strict=True)], dtype=torch.double)
    sizes = torch.tensor([one.tokens for one in first], dtype=torch.double)
    places = torch.randint(len(first), (draws, len(first)), generator=torch.Generator().manual_seed(seed))
    gaps = (lost[places].sum(1) / sizes[places].sum(1)).sort().values
    return float(gaps[int(0.025 * draws)]), float(gaps[int(0.975 * draws) - 1])


def some(items: Sequence[str], count: int, seed: int) -> list[str]:
    """Return `count` items in random order, repeated if there are too few."""
    chance = random.Random(seed)  # noqa: S311 - a seeded choice of questions, no secret
    order = chance.sample(list(items), len(items))
    return [order[at % len(order)] for at in range(count)]
