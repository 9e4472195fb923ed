"""Check a client's data, and group it into batches of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tinker_local.api_types import Datum, RefusedError
from tinker_local.losses import SEQUENCE, THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tinker_local.api_types import Array
    from tinker_local.base_models import Base
    from tinker_local.losses import Config, Loss

TARGETS = "target_tokens"
MASK = "sequence_ratio_mask"


@dataclass(frozen=True)
class Example:
    """One datum as tensors: T tokens, targets (T,) or (T, K), other inputs in the shape of the targets."""

    place: int
    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]
    inputs: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Batch:
    """Examples of one forward: `ids` (B, T) padded on the right; all else has one row for each real token, (N, ...)."""

    examples: list[Example]
    ids: Tensor
    real: Tensor | None
    targets: Tensor
    inputs: dict[str, Tensor]

    def flat(self, hidden: Tensor) -> Tensor:
        """Return the rows of the real tokens, (N, width), of (B, T, width)."""
        rows = hidden.reshape(-1, hidden.shape[-1])
        return rows if self.real is None else rows[self.real]

    def apart(self, rows: Tensor) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the index of each example with its part of `rows` (N, ...)."""
        parts = rows.split([len(one.tokens) for one in self.examples])
        for one, part in zip(self.examples, parts, strict=True):
            yield one.place, part.numpy()


def checked(data: Sequence[Datum], loss: Loss, base: Base, config: Config) -> list[Example]:
    """Return the data as tensors; raise RefusedError with the datum that is wrong.

    An optional input that one datum has and another has not is filled from the loss's parameters.
    """
    if not data:
        raise RefusedError("no data: give one datum or more")
    used = {name for name in loss.optional if any(name in one.inputs for one in data)}
    if used & {*THRESHOLDS}:  # each is judged beside the other
        used |= {*THRESHOLDS} & {*loss.optional}
    filled = {name: config[name] for name in loss.optional if name in used}
    return [example(place, datum, loss, base, filled) for place, datum in enumerate(data)]


def example(place: int, datum: Datum, loss: Loss, base: Base, filled: Mapping[str, float]) -> Example:
    """Return one datum as tensors."""
    where = f"data[{place}]"
    tokens = ids(f"{where}.model_input", np.asarray(datum.tokens), base.vocabulary)
    if not 1 <= len(tokens) <= base.about.max_context:
        raise RefusedError(f"{where} has {len(tokens)} tokens: give 1 to {base.about.max_context}")
    names_fit(where, datum, loss)
    targets = ids(f"{where}.{TARGETS}", datum.inputs[TARGETS], base.vocabulary)
    if len(targets) != len(tokens) or targets.ndim > 1 + loss.is_soft or not targets.size:
        raise RefusedError(f"{where}.{TARGETS} has shape {targets.shape}: its input has {len(tokens)} tokens")
    inputs = {name: np.full(targets.shape, value, np.float32) for name, value in filled.items()}
    given = [name for name in datum.inputs if name != TARGETS]
    inputs |= {name: numbers(where, name, datum, targets) for name in given}
    thresholds_fit(where, inputs)
    if MASK in inputs and not inputs[MASK].any():
        raise RefusedError(f"{where}.{MASK} marks no token: mark the sampled ones with 1")
    return Example(place, tokens, targets, inputs)


def thresholds_fit(where: str, inputs: Mapping[str, NDArray[np.float32]]) -> None:
    """Raise RefusedError for thresholds of tokens that are negative, or the low one above the high one."""
    low, high = (inputs.get(name) for name in THRESHOLDS)
    if low is None or high is None:
        return
    if (low < 0).any() or (low > high).any():
        raise RefusedError(f"{where}: {THRESHOLDS[0]} must be 0 or more, and at most {THRESHOLDS[1]}")


def names_fit(where: str, datum: Datum, loss: Loss) -> None:
    """Raise RefusedError for a datum with missing or unknown inputs of its loss."""
    missing, odd = set(loss.inputs) - set(datum.inputs), set(datum.inputs) - {*loss.inputs, *loss.optional}
    if missing or odd:
        fault = f"lacks {', '.join(sorted(missing))}" if missing else f"has {', '.join(sorted(odd))}"
        raise RefusedError(f"{where} {fault}: this loss takes {', '.join((*loss.inputs, *loss.optional))}")


def ids(where: str, given: Array, vocabulary: int) -> NDArray[np.int64]:
    """Return token ids; raise RefusedError for one outside of the vocabulary."""
    if given.size and given.dtype.kind not in "iu":
        raise RefusedError(f"{where} holds {given.dtype}: give token ids as integers")
    if given.size and not (given.min() >= 0 and given.max() < vocabulary):
        raise RefusedError(f"{where} has token ids from {given.min()} to {given.max()}: use 0 to {vocabulary - 1}")
    return given.astype(np.int64)


def numbers(where: str, name: str, datum: Datum, targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return one input of a loss; raise RefusedError unless it has a finite number for each target."""
    given = datum.inputs[name]
    if given.shape != targets.shape or given.dtype.kind not in "fiu":
        raise RefusedError(f"{where}.{name} is {given.dtype} {given.shape}: give float32 {targets.shape}")
    found = given.astype(np.float32)
    if not np.isfinite(found).all():
        raise RefusedError(f"{where}.{name} has numbers that are not finite: mend them")
    return found


def batched(examples: Sequence[Example], most_tokens: int, device: torch.device) -> Iterator[Batch]:
    """Yield all examples, the longest first, in batches of at most `most_tokens` with padding, or of one example."""
    waiting = sorted(examples, key=lambda one: (one.targets.shape[1:], -len(one.tokens)))
    while waiting:
        first = waiting[0]
        size = max(1, most_tokens // len(first.tokens))
        taken = [one for one in waiting[:size] if one.targets.shape[1:] == first.targets.shape[1:]]
        yield batch(taken, device)
        waiting = waiting[len(taken) :]


def batch(examples: list[Example], device: torch.device) -> Batch:
    """Return a batch; causal attention needs no mask for padding on the right."""
    lengths = [len(one.tokens) for one in examples]
    padded = np.zeros((len(examples), max(lengths)), dtype=np.int64)
    for row, one in zip(padded, examples, strict=True):
        row[: len(one.tokens)] = one.tokens
    real = None
    if min(lengths) < max(lengths):
        real = torch.from_numpy(np.flatnonzero(np.arange(max(lengths)) < np.array(lengths)[:, None])).to(device)
    joined: dict[str, NDArray[np.generic]] = {
        name: np.concatenate([one.inputs[name] for one in examples]) for name in examples[0].inputs
    }
    joined[SEQUENCE] = np.repeat(np.arange(len(examples)), lengths)
    return Batch(
        examples=examples,
        ids=torch.from_numpy(padded).to(device),
        real=real,
        targets=torch.from_numpy(np.concatenate([one.targets for one in examples])).to(device),
        inputs={name: torch.from_numpy(values).to(device) for name, values in joined.items()},
    )
