"""Reads prompts into keys and values: the beginning that they share once, the rest side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distill.tinker_server.memory import LEAST, Prefix, Room, common

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from distill.tinker_server.bases import Base
    from distill.tinker_server.memory import Key, Prefixes

Prompt = tuple[int, ...]
MOST_LOGITS = 2**24  # numbers held at once while prompts are scored


@dataclass
class Filled:
    """A batch that was read: `last` (B, width) gives the next token, `places` (B, slots) say who is in which slot.

    A place is a token's position, -1 padding; None where no row has padding.
    """

    room: Room
    last: Tensor
    position: Tensor
    places: Tensor | None

    def select(self, rows: Sequence[int]) -> Filled:
        """Return these rows, which may repeat."""
        spots = torch.tensor(rows, device=self.position.device)
        places = self.places[spots] if self.places is not None else None
        return Filled(self.room.select(spots), self.last[spots], self.position[spots], places)


@dataclass(frozen=True)
class Scores:
    """Of each token of a prompt its log p, and the likeliest in its place; None for the first."""

    own: tuple[float | None, ...]
    top: tuple[tuple[tuple[int, float], ...] | None, ...]

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.own + other.own, self.top + other.top)

    def likeliest(self, count: int) -> tuple[tuple[tuple[int, float], ...] | None, ...]:
        """Return the `count` likeliest in each place."""
        return tuple(row and row[:count] for row in self.top)


@dataclass
class Reader:
    """Reads prompts with one version of a model, and scores those in `wanted`, with so many of the likeliest."""

    base: Base
    key: Key
    prefixes: Prefixes
    wanted: Mapping[Prompt, int]
    scores: dict[Prompt, Scores] = field(default_factory=dict)

    def read(self, prompts: Sequence[Prompt], ahead: int) -> Filled:
        """Return the state after each prompt, with place for `ahead` tokens more."""
        prefix = self.shared(prompts)
        known = len(prefix.tokens) if prefix else 0
        longest = max(map(len, prompts)) - known
        capacity = known + longest + ahead
        room = prefix.room(len(prompts), capacity) if prefix else Room(capacity)
        pads = torch.tensor([longest - (len(one) - known) for one in prompts], device=self.base.device)[:, None]
        column = torch.arange(longest, device=self.base.device)
        own = torch.where(column >= pads, known + column - pads, -1)
        rows = [(0,) * (longest + known - len(one)) + one[known:] for one in prompts]
        places = None
        if bool(pads.any()):
            before = torch.arange(known, device=self.base.device).expand(len(prompts), -1)
            places = torch.cat([before, own], -1)
        hidden = self.forward(rows, room, own.clamp_min(0), places)
        self.remember(prompts, prefix, hidden)
        return Filled(room, hidden[:, -1], own[:, -1:], places)

    def go_on(self, state: Filled, tokens: Tensor) -> None:
        """Read one more token of each row."""
        state.position = (state.position + 1).clamp_max(self.base.about.max_context - 1)
        if state.places is not None:
            state.places = torch.cat([state.places, state.position], -1)
        mask = masks(self.base, state.places, state.position)
        more = {"past_key_values": state.room, "use_cache": True, "attention_mask": mask}
        state.last = self.base.hidden(tokens[:, None], position_ids=state.position, **more)[:, -1]

    def shared(self, prompts: Sequence[Prompt]) -> Prefix | None:
        """Return what all prompts begin with, kept from before or computed now; at least one token of each is left."""
        length = min(common(prompts), min(map(len, prompts)) - 1)
        tokens = prompts[0][:length]
        known = self.prefixes.best(self.key, tokens)
        done = len(known.tokens) if known else 0
        if length - done < LEAST:
            return known
        room = known.room(1, length) if known else Room(length)
        positions = torch.arange(done, length, device=self.base.device)[None]
        hidden = self.forward([tokens[done:]], room, positions, None)[0]
        whole = torch.cat([known.hidden, hidden]) if known else hidden
        prefix = Prefix(tokens, room.first(length), whole)
        self.prefixes.keep(self.key, prefix)
        return prefix

    def forward(self, rows: Sequence[Prompt], room: Room, positions: Tensor, places: Tensor | None) -> Tensor:
        """Return the hidden states of rows of equal length, (B, T, width); the room takes their keys and values."""
        ids = torch.tensor(rows, device=self.base.device)
        more = {"past_key_values": room, "use_cache": True, "attention_mask": masks(self.base, places, positions)}
        return self.base.hidden(ids, position_ids=positions, **more)

    def remember(self, prompts: Sequence[Prompt], prefix: Prefix | None, hidden: Tensor) -> None:
        """Score those prompts that are wanted; what they share is scored once."""
        known = len(prefix.tokens) if prefix else 0
        todo = [row for row, prompt in enumerate(prompts) if prompt in self.wanted]
        top = max((self.wanted[prompts[row]] for row in todo), default=0)
        start = Scores((None,), (None,))
        if prefix and todo:
            start += self.score(prefix.hidden[:-1], prefix.tokens[1:], top)
        for row in todo:
            own = hidden[row, known - len(prompts[row]) : -1]
            states = torch.cat([prefix.hidden[-1:], own]) if prefix else own
            self.scores[prompts[row]] = start + self.score(states, prompts[row][max(known, 1) :], top)

    def score(self, hidden: Tensor, targets: Prompt, top: int) -> Scores:
        """Return the scores of tokens (N,), each seen from the hidden state (N, width) before it."""
        own: list[float] = []
        likeliest: list[tuple[tuple[int, float], ...]] = []
        size = max(1, MOST_LOGITS // self.base.vocabulary)
        asked = torch.tensor(targets, dtype=torch.long, device=self.base.device)
        for some, tokens in zip(hidden.split(size), asked.split(size), strict=True):
            logprobs = self.base.logits(some).log_softmax(-1)
            own += logprobs.gather(-1, tokens[:, None])[:, 0].tolist()
            values, ids = logprobs.topk(top)
            likeliest += [tuple(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
        return Scores(tuple(own), tuple(likeliest))


def masks(base: Base, places: Tensor | None, positions: Tensor) -> Any:
    """Return what each query may look at, in the form that the model takes; None where transformers knows by itself.

    A query looks at places from 0 to its own; padding sits at the first place, where there is always somebody.
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
    """Return a mask as the model's attention takes it: numbers to add, unless it takes truth."""
    if base.model.config._attn_implementation == "sdpa":  # noqa: SLF001 - nowhere else is it told
        return mask
    zero = torch.zeros((), dtype=base.model.dtype, device=mask.device)
    return torch.where(mask, zero, torch.finfo(base.model.dtype).min)
