"""Generate text token by token, for several prompts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_lm.tokenizers import Tokenizer


class Sized(Protocol):
    """A shape with a context."""

    @property
    def context(self) -> int:
        """The most tokens that the model reads."""


class Model(Protocol):
    """A model that goes on from tokens; `memories` caches those that it has read."""

    @property
    def shape(self) -> Sized:
        """The shape."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""

    def remember(self, batch: int, capacity: int) -> Any:
        """Return an empty cache."""

    def reorder(self, memories: Any, rows: list[int]) -> Any:
        """Return the cache of these rows of the batch, which may repeat."""

    def next_logits(self, tokens: Tensor, memories: Any, kept: Tensor) -> Tensor:
        """Return the logits (B, vocabulary) of the token after the last one."""


@dataclass(frozen=True)
class Choice:
    """Sampling parameters; temperature 0: the most likely token; top_k 0, top_p 1, repetition_penalty 1: off.

    With 2 `beams` or more the likeliest text is searched instead; a `length_penalty` above 1 favours long ones.
    """

    max_length: int = 60
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    beams: int = 1
    length_penalty: float = 1.0


@dataclass
class Answer:
    """The answer to one prompt so far, with its own random generator: other prompts do not change it."""

    prompt: list[int]
    chance: torch.Generator
    ids: list[int] = field(default_factory=list)
    text: str = ""
    is_done: bool = False


def generate(model: Model, tokenizer: Tokenizer, prompts: Sequence[str], how: Choice) -> list[str]:
    """Return the continuation of each prompt, at most `how.max_length` tokens, without <end> or stop sequence.

    A prompt may be empty. Answers end early if the model's context is full.
    """
    refuse_odd(how)
    return [answer.text for answer in answered(model, tokenizer, prompts, how)]


def answered(model: Model, tokenizer: Tokenizer, prompts: Sequence[str], how: Choice) -> list[Answer]:
    """Return the answer to each prompt."""
    answers = [begun(tokenizer, prompt, how.seed + number) for number, prompt in enumerate(prompts)]
    longest = max((len(answer.prompt) for answer in answers), default=0)
    if longest > model.shape.context:
        raise Trouble(f"a prompt of {longest} tokens is more than the {model.shape.context} of the model: cut it")
    if how.beams > 1:
        from small_lm import beam_search

        return [beam_search.search(model, tokenizer, answer, how) for answer in answers]
    if answers:
        go_on(model, tokenizer, answers, how)
    return answers


def refuse_odd(how: Choice) -> None:
    """Raise Trouble for invalid sampling parameters."""
    wrong = {
        "max_length must not be negative": how.max_length < 0,
        "temperature must not be negative": how.temperature < 0,
        "top_k must not be negative": how.top_k < 0,
        "top_p must be above 0, at most 1": not 0 < how.top_p <= 1,
        "repetition_penalty must be above 0": how.repetition_penalty <= 0,
        "beams must be 1 or more": how.beams < 1,
    }
    for line in (line for line, is_wrong in wrong.items() if is_wrong):
        raise Trouble(f"sample.{line}", USAGE)


def begun(tokenizer: Tokenizer, prompt: str, seed: int) -> Answer:
    """Return an empty answer with its encoded prompt."""
    return Answer(tokenizer.start(prompt), torch.Generator().manual_seed(seed % 2**63))


def go_on(model: Model, tokenizer: Tokenizer, answers: list[Answer], how: Choice) -> None:
    """Generate until all answers are done; keys and values of earlier tokens are cached."""
    device = model.device
    tokens, kept = padded([answer.prompt for answer in answers], tokenizer.pad)
    tokens, kept = tokens.to(device), kept.to(device)
    steps = min(how.max_length, model.shape.context - tokens.shape[1] + 1)
    memories = model.remember(len(answers), tokens.shape[1] + steps)
    for _ in range(steps):
        with torch.no_grad():
            logits = model.next_logits(tokens, memories, kept).float().cpu()
        chosen = [next_token(row, answer, how) for row, answer in zip(logits, answers, strict=True)]
        for answer, token in zip(answers, chosen, strict=True):
            note(answer, token, tokenizer, how.stop)
        if all(answer.is_done for answer in answers):
            return
        tokens = torch.tensor(chosen, device=device)[:, None]
        kept = functional.pad(kept, (0, 1), value=True)


def padded(prompts: Sequence[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return prompts of one length, padded on the left, and the mask of real tokens."""
    longest = max(len(prompt) for prompt in prompts)
    rows = [[pad] * (longest - len(prompt)) + prompt for prompt in prompts]
    kept = [[False] * (longest - len(prompt)) + [True] * len(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor(kept)


def next_token(logits: Tensor, answer: Answer, how: Choice) -> int:
    """Sample one token by its logits (vocabulary)."""
    logits = penalised(logits, answer.prompt + answer.ids, how.repetition_penalty)
    if how.temperature == 0:
        return int(logits.argmax())
    chances = nucleus(top(logits / how.temperature, how.top_k), how.top_p).softmax(-1)
    return int(torch.multinomial(chances, 1, generator=answer.chance))


def penalised(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    """Return logits with seen tokens less likely (penalty above 1)."""
    if penalty == 1:
        return logits
    places = torch.tensor(sorted(set(seen)))
    old = logits[places]
    return logits.index_copy(0, places, torch.where(old > 0, old / penalty, old * penalty))


def top(logits: Tensor, count: int) -> Tensor:
    """Return logits with all but the `count` most likely tokens at minus infinity; 0 keeps all."""
    if not 0 < count < len(logits):
        return logits
    return logits.masked_fill(logits < logits.topk(count).values[-1], -math.inf)


def nucleus(logits: Tensor, share: float) -> Tensor:
    """Return the logits of the smallest set of tokens with `share` of the probability; others become minus infinity."""
    if share >= 1:
        return logits
    order = logits.argsort(descending=True, stable=True)
    chances = logits[order].softmax(-1)
    beyond = chances.cumsum(-1) - chances >= share  # the tokens before have `share` already
    return logits.index_fill(0, order[beyond], -math.inf)


def note(answer: Answer, token: int, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
    """Add a token to an answer; <end> and stop sequences end the answer and are left out."""
    if answer.is_done:
        return
    if token in tokenizer.ends:
        answer.is_done = True
        return
    answer.ids.append(token)
    text = tokenizer.decode(answer.ids)
    ends = [at for at in (text.find(word) for word in stop if word) if at >= 0]
    answer.text, answer.is_done = (text[: min(ends)], True) if ends else (text, False)
