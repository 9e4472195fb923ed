"""Send many requests to a sampler side by side; yield the answers in the order of the requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from common.errors import RETRY_LATER, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.settings import Teacher

    Ends = tuple[int, ...]  # ids, each of which ends an answer


@dataclass(frozen=True)
class Asked:
    """A request: a prompt in token ids, the seed and the largest number of tokens of its answer."""

    prompt: list[int]
    seed: int
    max_tokens: int
    temperature: float = 1.0


@dataclass(frozen=True)
class Said:
    """An answer in token ids with its end token, the logprob of each, and whether it ended by itself."""

    tokens: list[int]
    logprobs: list[float]
    is_whole: bool


def ask_all(sampler: Any, asked: Iterable[Asked], wanted: Teacher, ends: Ends) -> Iterator[Said]:
    """Yield an answer to each request, at most `parallel` in flight; raise Trouble if one fails `attempts` times."""
    left = iter(asked)
    waiting = deque((one, submitted(sampler, one, ends)) for one in islice(left, wanted.parallel))
    while waiting:
        one, future = waiting.popleft()
        said = answered(sampler, one, future, wanted, ends)
        waiting.extend((more, submitted(sampler, more, ends)) for more in islice(left, 1))
        yield said


def submitted(sampler: Any, one: Asked, ends: Ends) -> Any:
    """Send one request; return its future."""
    from tinker import types

    params = types.SamplingParams(
        max_tokens=one.max_tokens, temperature=one.temperature, top_p=1.0, top_k=-1, seed=one.seed, stop=list(ends)
    )
    return sampler.sample(types.ModelInput.from_ints(one.prompt), 1, params)


def answered(sampler: Any, one: Asked, future: Any, wanted: Teacher, ends: Ends) -> Said:
    """Wait for one answer; send the request again if the service fails."""
    import tinker

    for attempt in range(1, wanted.attempts + 1):
        try:
            sequence = future.result(wanted.wait_s).sequences[0]
            tokens = [int(number) for number in sequence.tokens]
            return Said(tokens, [float(nats) for nats in sequence.logprobs], bool(tokens) and tokens[-1] in ends)
        except (tinker.TinkerError, TimeoutError) as error:
            if attempt == wanted.attempts:
                why = f"the service gave no answer in {attempt} attempts ({type(error).__name__}: {error})"
                raise Trouble(f"{why}: what is there is kept; run the same command again", RETRY_LATER) from error
            future = submitted(sampler, one, ends)
    raise Trouble("teacher.attempts must be 1 or more")
