"""Sample answers to many requests in a batch: common prefixes are computed once, finished rows are removed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tinker_local import prompt_scores, rng, stop_sequences
from tinker_local.api_types import Answer, RefusedError, SamplingRequest, SamplingResult, TopTokens
from tinker_local.kv_cache import common
from tinker_local.prefill import Reader, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinker_local.base_models import Base
    from tinker_local.kv_cache import Key, Prefixes
    from tinker_local.stop_sequences import Stops

MOST_ROWS = 256  # in one batch
MOST_BYTES = {"cpu": 2**30, "cuda": 2**34}  # of keys and values in one batch
MOST_TOKENS = 2**16  # of prompts in one batch, without the common prefix
AHEAD = 256  # tokens that a cache holds before it must grow
CROWDED = 0.75  # a batch shrinks when at most this share of its rows is unfinished


@dataclass
class Row:
    """One answer in progress."""

    request: int
    sample: int
    asked: SamplingRequest
    stops: Stops
    limit: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reason: str = ""
    top: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def add(self, token: int, logprob: float) -> None:
        """Append a token, and mark the row as finished if it is the last."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.stops.end(self.tokens):
            self.reason = "stop"
        elif len(self.tokens) == self.limit:
            self.reason = "length"


@torch.no_grad()  # type: ignore[untyped-decorator]
def sample(base: Base, key: Key, asked: Sequence[SamplingRequest], prefixes: Prefixes) -> list[SamplingResult]:
    """Answer all requests with the adapter of `key`. Raise RefusedError before any computation for an invalid one.

    An answer's logprobs are those of the model at temperature 1 without top_k and top_p, as of the real service.
    """
    for place, one in enumerate(asked):
        check(place, one, base)
    reader = Reader(base, key, prefixes, wanted(asked))
    rows = [row for place, one in enumerate(asked) for row in rows_of(place, one, base)]
    for wave in waves(rows, base):
        continue_all(base, reader, wave)
    return [answered(place, one, rows, reader) for place, one in enumerate(asked)]


def check(place: int, one: SamplingRequest, base: Base) -> None:
    """Raise RefusedError for a request that cannot be sampled."""
    params, most = one.params, base.about.max_context
    longest = len(one.prompt) + (1 if params.max_tokens is None else params.max_tokens)
    texts_or_ids = params.stop or ()
    faults = {
        "the prompt is empty: give one token or more": not one.prompt,
        f"the prompt has token ids outside of 0 to {base.vocabulary - 1}": one.prompt
        and not 0 <= min(one.prompt) <= max(one.prompt) < base.vocabulary,
        "num_samples must be 1 or more": one.num_samples < 1,
        "max_tokens must be 1 or more": params.max_tokens is not None and params.max_tokens < 1,
        f"prompt and max_tokens are {longest} tokens, the context holds {most}": longest > most,
        "temperature must be 0 or more, and finite": not 0 <= params.temperature < math.inf,
        "top_p must be above 0, at most 1": not 0 < params.top_p <= 1,
        "top_k must be 1 or more, or -1 for all": params.top_k < -1,
        "a stop text must not be empty": "" in texts_or_ids,
        f"topk_prompt_logprobs must be 0 to {base.vocabulary}": not 0 <= one.topk_prompt_logprobs <= base.vocabulary,
        f"topk_sample_logprobs must be 0 to {base.vocabulary}": not 0 <= one.topk_sample_logprobs <= base.vocabulary,
        f"target_prompt_logprobs has token ids of {base.vocabulary} or more": one.targets is not None
        and one.targets.ids.size
        and one.targets.ids.max() >= base.vocabulary,
    }
    for fault, is_so in faults.items():
        if is_so:
            raise RefusedError(f"request {place}: {fault}")


def wanted(asked: Sequence[SamplingRequest]) -> dict[tuple[int, ...], Wanted]:
    """Return the scores to compute for each prompt with requested logprobs."""
    found: dict[tuple[int, ...], Wanted] = {}
    for one in asked:
        if one.prompt_logprobs or one.topk_prompt_logprobs:
            found[one.prompt] = Wanted(scored_from(one), one.topk_prompt_logprobs).with_other(found.get(one.prompt))
    return found


def scored_from(one: SamplingRequest) -> int:
    """Return the first scored place of a prompt, at least 1."""
    return 1 if one.last is None else max(1, len(one.prompt) - one.last)


def rows_of(place: int, one: SamplingRequest, base: Base) -> Iterator[Row]:
    """Yield the rows of a request."""
    room = base.about.max_context - len(one.prompt)
    limit = room if one.params.max_tokens is None else one.params.max_tokens
    ends = stop_sequences.of(one.params, base.tokenizer, base.ends)
    for number in range(one.num_samples):
        yield Row(place, number, one, ends, limit)


def waves(rows: Sequence[Row], base: Base) -> Iterator[list[Row]]:
    """Yield rows in batches that fit in memory, sorted by length."""
    shared = common([row.asked.prompt for row in rows]) if rows else 0
    waiting = sorted(rows, key=lambda row: -len(row.asked.prompt) - row.limit)
    while waiting:
        longest = len(waiting[0].asked.prompt) + waiting[0].limit
        rest = max(len(row.asked.prompt) for row in waiting) - shared
        bounds = (MOST_BYTES[base.device.type] // (longest * token_bytes(base)), MOST_TOKENS // max(1, rest), MOST_ROWS)
        size = max(1, min(bounds))
        yield waiting[:size]
        waiting = waiting[size:]


def token_bytes(base: Base) -> int:
    """Return the bytes of a token's keys and values in all layers."""
    config = base.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * base.model.dtype.itemsize)


def continue_all(base: Base, reader: Reader, rows: list[Row]) -> None:
    """Sample tokens until each row is finished."""
    places: dict[tuple[int, ...], int] = {}
    spots = [places.setdefault(row.asked.prompt, len(places)) for row in rows]
    state = reader.read(list(places), min(AHEAD, max(row.limit for row in rows)))
    if len(places) < len(rows):
        state = state.select(spots)
    is_ranked = any(row.asked.topk_sample_logprobs for row in rows)
    draws = rng.begin([(row.asked.params, row.sample) for row in rows], base.vocabulary, base.device)
    while True:
        logits = base.logits(state.last)
        tokens, logprobs = draws.tokens(logits)
        if is_ranked:
            remember_likeliest(rows, logits)
        for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
            if not row.reason:
                row.add(token, logprob)
        alive = [place for place, row in enumerate(rows) if not row.reason]
        if not alive:
            return
        if len(alive) <= CROWDED * len(rows):
            rows, tokens = [rows[place] for place in alive], tokens[alive]
            state, draws = state.select(alive), draws.select(alive)
        reader.go_on(state, tokens)


def remember_likeliest(rows: Sequence[Row], logits: Tensor) -> None:
    """Append the most likely next tokens to each unfinished row whose request wants them."""
    for place, row in enumerate(rows):
        if row.asked.topk_sample_logprobs and not row.reason:
            values, ids = logits[place].log_softmax(-1).topk(row.asked.topk_sample_logprobs)
            row.top.append((ids.int().cpu(), values.cpu()))


def likeliest(row: Row) -> TopTokens | None:
    """Return the most likely tokens at each place of an answer, None if its request does not want them."""
    if not row.top:
        return None
    ids, values = (np.stack([part.numpy() for part in parts]) for parts in zip(*row.top, strict=True))
    return TopTokens(0, ids, values)


def answered(place: int, one: SamplingRequest, rows: Sequence[Row], reader: Reader) -> SamplingResult:
    """Return the result of a request: its answers in order, and scores of its prompt if requested."""
    own = sorted((row for row in rows if row.request == place), key=lambda row: row.sample)
    answers = tuple(Answer(tuple(row.tokens), tuple(row.logprobs), row.reason, likeliest(row)) for row in own)
    first, count = scored_from(one), one.topk_prompt_logprobs
    own_scores = reader.scores[one.prompt].own_from(first) if one.prompt_logprobs else None
    top = reader.scores[one.prompt].likeliest(first, count) if count else None
    scored: SamplingResult = prompt_scores.add(reader.base, one, SamplingResult(answers, own_scores, top))
    return scored
