"""The losses of forward_backward, token by token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tinker_local.api_types import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Inputs = dict[str, Tensor]
Config = dict[str, float]


@dataclass(frozen=True)
class Loss:
    """One loss: `each` gives it for tokens (N,), or (N, K) targets where `is_soft`, never reduced.

    Tokens whose `silent` input is 0 do not count in loss and gradient.
    """

    each: Callable[[Tensor, Inputs, Config], Tensor]
    inputs: tuple[str, ...]
    silent: str = ""
    is_soft: bool = False
    config: Config = field(default_factory=dict)


def cross_entropy(logprobs: Tensor, inputs: Inputs, _: Config) -> Tensor:
    """Return -weight log p."""
    return -logprobs * inputs["weights"]


def importance_sampling(logprobs: Tensor, inputs: Inputs, _: Config) -> Tensor:
    """Return -(p / q) advantage; q is the sampler's probability of the token."""
    return -ratio(logprobs, inputs) * inputs["advantages"]


def ppo(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return the negative minimum of the plain and the clipped objective."""
    moved, gains = ratio(logprobs, inputs), inputs["advantages"]
    return -torch.minimum(moved * gains, clipped(moved, config) * gains)


def cispo(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return -log p advantage, weighted by the clipped ratio, which gets no gradient."""
    return -clipped(ratio(logprobs, inputs), config).detach() * logprobs * inputs["advantages"]


def ratio(logprobs: Tensor, inputs: Inputs) -> Tensor:
    """Return p / q."""
    return torch.exp(logprobs - inputs["logprobs"])


def clipped(moved: Tensor, config: Config) -> Tensor:
    """Return the ratios clipped to the two thresholds."""
    return moved.clamp(config["clip_low_threshold"], config["clip_high_threshold"])


SAMPLED = ("target_tokens", "logprobs", "advantages")
LOSSES = {
    "cross_entropy": Loss(cross_entropy, ("target_tokens", "weights"), "weights", is_soft=True),
    "importance_sampling": Loss(importance_sampling, SAMPLED, "advantages"),
    "ppo": Loss(ppo, SAMPLED, "advantages", config={"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}),
    "cispo": Loss(cispo, SAMPLED, "advantages", config={"clip_low_threshold": 0.0, "clip_high_threshold": 4.0}),
}


def named(name: str) -> Loss:
    """Return a loss by name; raise RefusedError with the known names."""
    if name not in LOSSES:
        raise RefusedError(f"no loss {name!r} here: use {', '.join(LOSSES)}")
    return LOSSES[name]


def configured(loss: Loss, given: Mapping[str, float]) -> Config:
    """Return a loss's parameters, defaults overridden by the given ones; raise RefusedError for unknown ones."""
    for key, value in given.items():
        if key not in loss.config:
            known = ", ".join(loss.config) or "none"
            raise RefusedError(f"loss_fn_config has {key!r}, which this loss does not take: it takes {known}")
        if not value >= 0:
            raise RefusedError(f"loss_fn_config[{key!r}] is {value!r}: give a number of 0 or more")
    merged = loss.config | {key: float(value) for key, value in given.items()}
    if merged.get("clip_low_threshold", 0) > merged.get("clip_high_threshold", 0):
        raise RefusedError("clip_low_threshold is above clip_high_threshold: exchange them")
    return merged
