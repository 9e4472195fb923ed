"""Negative log-likelihoods of answers under a model, in nats, through the SDK."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from common.errors import RETRY_LATER, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.settings import Teacher


def weigh(sampler: Any, pairs: Iterable[tuple[list[int], list[int]]], wanted: Teacher) -> Iterator[list[float]]:
    """Yield the nats of each token of each answer, in order; pairs are (prompt ids, answer ids)."""
    left = iter(pairs)
    waiting = deque((len(answer), sent(sampler, prompt, answer)) for prompt, answer in islice(left, wanted.parallel))
    while waiting:
        size, future = waiting.popleft()
        logprobs = arrived(future, wanted)[-size:]
        waiting.extend((len(answer), sent(sampler, prompt, answer)) for prompt, answer in islice(left, 1))
        yield [-float(one) for one in logprobs]


def sent(sampler: Any, prompt: list[int], answer: list[int]) -> Any:
    """Ask for the logprobs of an answer after its prompt."""
    from tinker import types

    return sampler.compute_logprobs(types.ModelInput.from_ints([*prompt, *answer]), prompt_logprobs_last_n=len(answer))


def arrived(future: Any, wanted: Teacher) -> list[float]:
    """Wait for logprobs; raise Trouble if the service fails."""
    import tinker

    try:
        return list(future.result(wanted.wait_s))
    except (tinker.TinkerError, TimeoutError) as error:
        why = f"the service gave no logprobs ({type(error).__name__}: {error})"
        raise Trouble(f"{why}: run the same command again", RETRY_LATER) from error
