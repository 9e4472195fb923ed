"""Recordings of sampled sequences, and the data of a training request that names them."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinker_local.api_types import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tinker_local.api_types import Answer, Datum
    from tinker_local.limits import Bounds

LOSS = "stable_reinforce"  # the loss that needs recordings
REQUIRED, OPTIONAL = ("target_tokens", "advantages"), ("logprobs",)
OVERHEAD = 300  # bytes of a recording beside its numbers


@dataclass
class Recording:
    """A sampled sequence: its tokens, the logarithm of each one's probability, the time of its last use."""

    tokens: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    used_at: float

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.tokens.nbytes + self.logprobs.nbytes + OVERHEAD


class Recordings:
    """The recordings by sequence id, the least recently used first. For the worker's thread only."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds, self.clock, self.bytes = bounds, clock, 0
        self.all: OrderedDict[str, Recording] = OrderedDict()

    def keep(self, request: str, answers: Sequence[Answer]) -> None:
        """Record the answers of a request, whose sequence ids are REQUEST/0, REQUEST/1, ..."""
        for place, one in enumerate(answers):
            name = f"{request}/{place}"
            self.drop(name)
            tokens, logprobs = np.array(one.tokens, np.int64), np.array(one.logprobs, np.float32)
            self.all[name] = Recording(tokens, logprobs, self.clock())
            self.bytes += self.all[name].size
        self.sweep()

    def found(self, where: str, session: str, name: str) -> Recording:
        """Return a sequence of a session, and start its time anew; raise RefusedError if it is not recorded."""
        if name not in self.all or not name.startswith(f"{session}:"):
            raise RefusedError(
                f"{where} names sequence {name!r}, which is not recorded in this session: "
                "sample it with record_stability_info=True, and train on it within a day"
            )
        self.all.move_to_end(name)
        self.all[name].used_at = self.clock()
        return self.all[name]

    def drop(self, name: str) -> None:
        """Delete a recording; an unknown one is no error."""
        gone = self.all.pop(name, None)
        self.bytes -= gone.size if gone else 0

    def end(self, session: str) -> None:
        """Delete the recordings of a session."""
        for name in [name for name in self.all if name.startswith(f"{session}:")]:
            self.drop(name)

    def sweep(self) -> None:
        """Delete recordings without use for too long, and the oldest ones that are too many."""
        until = self.clock() - self.bounds.recorded_s
        while self.all:
            name, oldest = next(iter(self.all.items()))
            if oldest.used_at >= until and self.bytes <= self.bounds.recorded_bytes:
                return
            self.drop(name)


def recorded(data: Sequence[Datum], session: str, recordings: Recordings) -> list[Datum]:
    """Return the data with what was recorded: `logprobs` of the sampled tokens, `sampled` 1 for each of them."""
    return [with_recording(f"data[{place}]", one, session, recordings) for place, one in enumerate(data)]


def with_recording(where: str, datum: Datum, session: str, recordings: Recordings) -> Datum:
    """Return one datum with its recordings; raise RefusedError if its spans do not fit them."""
    refuse_odd(where, datum)
    targets = datum.inputs["target_tokens"]
    spans, length = datum.spans or (), targets.size
    if targets.ndim != 1 or sum(span.length for span in spans) != length:
        raise RefusedError(f"{where}: its loss_fn_input_spans must cover each of its {length} targets once")
    logprobs, sampled, start = np.zeros(length, np.float32), np.zeros(length, np.float32), 0
    for span in spans:
        here, there = slice(start, start + span.length), slice(span.offset, span.offset + span.length)
        start += span.length
        if not span.is_sampled:
            continue
        known = recordings.found(where, session, span.sequence)
        if not np.array_equal(known.tokens[there], targets[here]):
            raise RefusedError(f"{where} has other targets than {span.sequence!r} has tokens from {span.offset} on")
        logprobs[here], sampled[here] = known.logprobs[there], 1
    advantages = datum.inputs["advantages"]
    if advantages.shape == targets.shape and (advantages[sampled == 0] != 0).any():
        raise RefusedError(f"{where} has advantages on tokens that were not sampled: set them to 0")
    return dataclasses.replace(datum, inputs={**datum.inputs, "logprobs": logprobs, "sampled": sampled})


def refuse_odd(where: str, datum: Datum) -> None:
    """Raise RefusedError for a datum without spans, or with missing or unknown inputs."""
    if datum.spans is None:
        raise RefusedError(
            f"{where} has no provenance, which {LOSS} needs: sample with record_stability_info=True, "
            "and name the sequences with Datum.with_provenance"
        )
    given = set(datum.inputs)
    if not {*REQUIRED} <= given or given - {*REQUIRED, *OPTIONAL}:
        takes = f"{', '.join(REQUIRED)} and, unused, {', '.join(OPTIONAL)}"
        raise RefusedError(f"{where} has {', '.join(sorted(given)) or 'no inputs'}: {LOSS} takes {takes}")
