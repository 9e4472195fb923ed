"""Requests to a sampler of the service, many in flight: answers to sample, tokens to score."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from common.errors import RETRY_LATER, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from common.settings import Teacher
    from distillation.prompt.chat_template import Voice

    Ends = tuple[int, ...]  # ids, each of which ends an answer
    Scored = tuple[list[int], list[int]]  # a prompt and an answer, in token ids

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SampleRequest:
    """A request: a prompt in token ids, the seed and the largest number of tokens of its answer."""

    prompt: list[int]
    seed: int
    max_tokens: int
    temperature: float = 1.0


@dataclass(frozen=True)
class Sampled:
    """An answer in token ids with its end token, the logprob of each, and whether it ended by itself."""

    tokens: list[int]
    logprobs: list[float]
    is_whole: bool


def in_order(
    requests: Iterable[Request],
    send: Callable[[Request], Any],
    receive: Callable[[Request, Any], Result],
    in_flight: int,
) -> Iterator[Result]:
    """Yield `receive(request, future)` of each request, in order; `send(request)` returns the future.

    At most `in_flight` futures are pending.
    """
    left = iter(requests)
    pending = deque((request, send(request)) for request in islice(left, in_flight))
    while pending:
        request, future = pending.popleft()
        result = receive(request, future)
        pending.extend((more, send(more)) for more in islice(left, 1))
        yield result


def wait(future: Any, wait_s: float, wanted: str) -> Any:
    """Return the result of a future; raise Trouble if the service fails. `wanted` names the result."""
    import tinker

    try:
        return future.result(wait_s)
    except (tinker.TinkerError, TimeoutError) as error:
        why = f"the service gave no {wanted} ({type(error).__name__}: {error})"
        raise Trouble(f"{why}: run the same command again", RETRY_LATER) from error


def answer_questions(
    sampler: Any, rows: Iterable[dict[str, Any]], voice: Voice, wanted: Teacher, *, prompted: bool, first_seed: int
) -> Iterator[Sampled]:
    """Yield an answer to the question of each row, at temperature 1; row r has the seed `first_seed` + r."""
    requests = (
        SampleRequest(voice.asked(str(row["question"]), prompted=prompted), first_seed + at, wanted.max_tokens)
        for at, row in enumerate(rows)
    )
    return sample_all(sampler, requests, wanted, voice.ends)


def sample_all(sampler: Any, requests: Iterable[SampleRequest], wanted: Teacher, ends: Ends) -> Iterator[Sampled]:
    """Yield an answer to each request, at most `parallel` in flight; raise Trouble if one fails `attempts` times."""
    return in_order(
        requests,
        lambda request: send_sample(sampler, request, ends),
        lambda request, future: receive_sample(sampler, request, future, wanted, ends),
        wanted.parallel,
    )


def send_sample(sampler: Any, request: SampleRequest, ends: Ends) -> Any:
    """Send one request; return its future."""
    from tinker import types

    params = types.SamplingParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=1.0,
        top_k=-1,
        seed=request.seed,
        stop=list(ends),
    )
    return sampler.sample(types.ModelInput.from_ints(request.prompt), 1, params)


def receive_sample(sampler: Any, request: SampleRequest, future: Any, wanted: Teacher, ends: Ends) -> Sampled:
    """Wait for one answer; send the request again if the service fails."""
    import tinker

    for attempt in range(1, wanted.attempts + 1):
        try:
            sequence = future.result(wanted.wait_s).sequences[0]
            tokens = [int(number) for number in sequence.tokens]
            return Sampled(tokens, [float(nats) for nats in sequence.logprobs], bool(tokens) and tokens[-1] in ends)
        except (tinker.TinkerError, TimeoutError) as error:
            if attempt == wanted.attempts:
                why = f"the service gave no answer in {attempt} attempts ({type(error).__name__}: {error})"
                raise Trouble(f"{why}: what is there is kept; run the same command again", RETRY_LATER) from error
            future = send_sample(sampler, request, ends)
    raise Trouble("teacher.attempts must be 1 or more")


def token_nats(sampler: Any, pairs: Iterable[Scored], wanted: Teacher) -> Iterator[list[float]]:
    """Yield the nats of each token of each answer, in order; pairs are (prompt ids, answer ids)."""
    return in_order(
        pairs,
        lambda pair: send_scoring(sampler, *pair),
        lambda pair, future: [-float(one) for one in wait(future, wanted.wait_s, "logprobs")[-len(pair[1]) :]],
        wanted.parallel,
    )


def send_scoring(sampler: Any, prompt: list[int], answer: list[int]) -> Any:
    """Request the logprobs of an answer after its prompt; return the future."""
    from tinker import types

    return sampler.compute_logprobs(types.ModelInput.from_ints([*prompt, *answer]), prompt_logprobs_last_n=len(answer))
