"""Compute keys and values of prompts: once for the common prefix, then in a batch for the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tinker_local.api_types import TopTokens
from tinker_local.kv_cache import LEAST, BatchCache, Prefix, common

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinker_local.base_models import Base
    from tinker_local.kv_cache import Key, Prefixes

Prompt = tuple[int, ...]
MOST_LOGITS = 2**24  # largest number of logits in memory while prompts are scored


@dataclass
class Filled:
    """The state after a batch of prompts: `last` (B, width) gives the next token.

    `places` (B, slots) are the positions of the tokens, -1 for padding; None if no row has padding.
    """

    cache: BatchCache
    last: Tensor
    position: Tensor
    places: Tensor | None

    def select(self, rows: Sequence[int]) -> Filled:
        """Return these rows, which may repeat."""
        spots = torch.tensor(rows, device=self.position.device)
        places = self.places[spots] if self.places is not None else None
        return Filled(self.cache.select(spots), self.last[spots], self.position[spots], places)


@dataclass(frozen=True)
class Wanted:
    """The scores to compute: of a prompt's tokens from `first` (1 or more) on, and of the `top` most likely there."""

    first: int
    top: int

    def with_other(self, other: Wanted | None) -> Wanted:
        """Return a request that covers both."""
        return Wanted(min(self.first, other.first), max(self.top, other.top)) if other else self


@dataclass(frozen=True)
class Scores:
    """Scores of N tokens: log p (N,), and the K most likely tokens at their places (N, K)."""

    first: int
    own: Tensor
    ids: Tensor
    values: Tensor

    def after(self, other: Scores | None) -> Scores:
        """Return the scores appended to those of earlier tokens."""
        if other is None:
            return self
        pairs = ((other.own, self.own), (other.ids, self.ids), (other.values, self.values))
        return Scores(other.first, *(torch.cat(pair) for pair in pairs))

    def own_from(self, first: int) -> tuple[float | None, ...]:
        """Return log p of every token; None before `first`."""
        return (*[None] * first, *self.own[first - self.first :].tolist())

    def likeliest(self, first: int, count: int) -> TopTokens:
        """Return the `count` most likely tokens at each place from `first` on."""
        ids, values = (part[first - self.first :, :count].numpy() for part in (self.ids, self.values))
        return TopTokens(first, ids, values)


@dataclass
class Reader:
    """Computes prompts with one version of a model, and the scores that are `wanted`."""

    base: Base
    key: Key
    prefixes: Prefixes
    wanted: Mapping[Prompt, Wanted]
    scores: dict[Prompt, Scores] = field(default_factory=dict)

    def read(self, prompts: Sequence[Prompt], ahead: int) -> Filled:
        """Return the state after each prompt, with room for `ahead` more tokens."""
        prefix = self.shared(prompts)
        known = len(prefix.tokens) if prefix else 0
        longest = max(map(len, prompts)) - known
        capacity = known + longest + ahead
        cache = prefix.cache(len(prompts), capacity) if prefix else BatchCache(capacity)
        pads = torch.tensor([longest - (len(one) - known) for one in prompts], device=self.base.device)[:, None]
        column = torch.arange(longest, device=self.base.device)
        own = torch.where(column >= pads, known + column - pads, -1)
        rows = [(0,) * (longest + known - len(one)) + one[known:] for one in prompts]
        places = None
        if bool(pads.any()):
            before = torch.arange(known, device=self.base.device).expand(len(prompts), -1)
            places = torch.cat([before, own], -1)
        hidden = self.forward(rows, cache, own.clamp_min(0), places)
        self.remember(prompts, prefix, hidden)
        return Filled(cache, hidden[:, -1], own[:, -1:], places)

    def go_on(self, state: Filled, tokens: Tensor) -> None:
        """Append one token to each row."""
        state.position = (state.position + 1).clamp_max(self.base.about.max_context - 1)
        if state.places is not None:
            state.places = torch.cat([state.places, state.position], -1)
        mask = masks(self.base, state.places, state.position)
        more = {"past_key_values": state.cache, "use_cache": True, "attention_mask": mask}
        state.last = self.base.hidden(tokens[:, None], position_ids=state.position, **more)[:, -1]

    def shared(self, prompts: Sequence[Prompt]) -> Prefix | None:
        """Return the common prefix, cached or computed now; it leaves at least one token of each prompt."""
        length = min(common(prompts), min(map(len, prompts)) - 1)
        tokens = prompts[0][:length]
        known = self.prefixes.best(self.key, tokens)
        done = len(known.tokens) if known else 0
        if length - done < LEAST:
            return known
        cache = known.cache(1, length) if known else BatchCache(length)
        positions = torch.arange(done, length, device=self.base.device)[None]
        hidden = self.forward([tokens[done:]], cache, positions, None)[0]
        whole = torch.cat([known.hidden, hidden]) if known else hidden
        prefix = Prefix(tokens, cache.first(length), whole)
        self.prefixes.keep(self.key, prefix)
        return prefix

    def forward(self, rows: Sequence[Prompt], cache: BatchCache, positions: Tensor, places: Tensor | None) -> Tensor:
        """Return the hidden states (B, T, width) of rows of equal length; the cache takes their keys and values."""
        ids = torch.tensor(rows, device=self.base.device)
        more = {"past_key_values": cache, "use_cache": True, "attention_mask": masks(self.base, places, positions)}
        return self.base.hidden(ids, position_ids=positions, **more)

    def remember(self, prompts: Sequence[Prompt], prefix: Prefix | None, hidden: Tensor) -> None:
        """Score the requested prompts; the common prefix is scored once."""
        known = len(prefix.tokens) if prefix else 1  # tokens of the common prefix; the first one has no score
        todo = {row: self.wanted[prompt] for row, prompt in enumerate(prompts) if prompt in self.wanted}
        top = max((one.top for one in todo.values()), default=0)
        first = min((one.first for one in todo.values()), default=known)
        start = None
        if prefix and first < known:
            start = self.score(first, prefix.hidden[first - 1 : -1], prefix.tokens[first:], top)
        for row, wanted in todo.items():
            prompt, begin = prompts[row], max(wanted.first, known)
            own = hidden[row, known - len(prompt) :] if prefix else hidden[row, -len(prompt) :]
            states = torch.cat([prefix.hidden[-1:], own]) if prefix else own
            found = self.score(begin, states[begin - known : -1], prompt[begin:], top)
            self.scores[prompt] = found.after(start) if begin == known else found

    def score(self, first: int, hidden: Tensor, targets: Prompt, top: int) -> Scores:
        """Return the scores of tokens (N,) from place `first` on, by the hidden states (N, width) before each."""
        size = max(1, MOST_LOGITS // self.base.vocabulary)
        asked = torch.tensor(targets, dtype=torch.long, device=self.base.device)
        parts = []
        for some, tokens in zip(hidden.split(size), asked.split(size), strict=True):
            logprobs = self.base.logits(some).log_softmax(-1)
            values, ids = logprobs.topk(top)
            parts.append((logprobs.gather(-1, tokens[:, None])[:, 0], ids.int(), values))
        own, ids, values = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        return Scores(first, own.float(), ids, values.float())


def masks(base: Base, places: Tensor | None, positions: Tensor) -> Any:
    """Return the attention masks in the model's form; None if transformers makes them itself.

    A query attends to places from 0 to its own; padding is at the first place, so that no row is empty.
    """
    if places is None:
        return None
    config = base.model.config.get_text_config()
    query, there = positions[:, None, :, None], places[:, None, None, :]
    causal = (there >= 0) & (there <= query)
    window = getattr(config, "sliding_window", None)
    near = causal & (query - there < window) if window else causal
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        return {"full_attention": added(base, causal), "sliding_attention": added(base, near)}
    return added(base, near)


def added(base: Base, mask: Tensor) -> Tensor:
    """Return a mask in the form of the model's attention: numbers to add, or booleans."""
    if base.model.config._attn_implementation == "sdpa":  # noqa: SLF001 - nowhere else is it told
        return mask
    zero = torch.zeros((), dtype=base.model.dtype, device=mask.device)
    return torch.where(mask, zero, torch.finfo(base.model.dtype).min)
