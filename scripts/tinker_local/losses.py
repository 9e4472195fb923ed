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
SEQUENCE = "sequence"  # the index of a token's example in its batch, int64; every loss gets it


@dataclass(frozen=True)
class Loss:
    """One loss: `each` gives it for tokens (N,), or (N, K) targets where `is_soft`, never reduced.

    Tokens whose `silent` inputs are all 0 do not count in loss and gradient; without any such input every token counts.
    """

    each: Callable[[Tensor, Inputs, Config], Tensor]
    inputs: tuple[str, ...]
    silent: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
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
    return pessimistic(ratio(logprobs, inputs), inputs, config)


def cispo(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return -log p advantage, weighted by the clipped ratio, which gets no gradient."""
    return -clipped(ratio(logprobs, inputs), inputs, config).detach() * logprobs * inputs["advantages"]


def dro(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return -(log p advantage - beta / 2 (log p - log q)^2)."""
    distance = (logprobs - inputs["logprobs"]) ** 2
    return 0.5 * config["beta"] * distance - logprobs * inputs["advantages"]


def gspo(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return PPO's loss with the ratio of the sequence, and the gradient of each token's own log p (GSPO-token)."""
    marked = (inputs["sequence_ratio_mask"] != 0).to(logprobs.dtype)
    moved = (logprobs.detach() - inputs["logprobs"]) * marked
    mean = sums(moved, inputs) / sums(marked, inputs).clamp_min(1)
    return pessimistic(torch.exp(mean[inputs[SEQUENCE]] + logprobs - logprobs.detach()), inputs, config)


def stable_reinforce(logprobs: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return -min(p / q, 1) log p advantage + kl_coeff / 2 (log p - log q)^2; the weight gets no gradient.

    q is the probability that was recorded when the token was sampled. The weight bounds what a token can do that the
    model has moved towards since; the penalty pulls back both ways.
    """
    weight = ratio(logprobs, inputs).clamp_max(1).detach()
    distance = (logprobs - inputs["logprobs"]) ** 2
    return 0.5 * config["kl_coeff"] * distance - weight * logprobs * inputs["advantages"]


def ratio(logprobs: Tensor, inputs: Inputs) -> Tensor:
    """Return p / q."""
    return torch.exp(logprobs - inputs["logprobs"])


def pessimistic(moved: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return the negative minimum of ratio and clipped ratio, each times the advantage."""
    gains = inputs["advantages"]
    return -torch.minimum(moved * gains, clipped(moved, inputs, config) * gains)


def clipped(moved: Tensor, inputs: Inputs, config: Config) -> Tensor:
    """Return the ratios clipped to two thresholds: each token's own, or those of the whole request."""
    low, high = (inputs.get(name, moved.new_full((), config[name])) for name in THRESHOLDS)
    return moved.clamp(low, high)


def sums(values: Tensor, inputs: Inputs) -> Tensor:
    """Return the sum of `values` in each example of the batch."""
    examples = inputs[SEQUENCE]
    return values.new_zeros(int(examples.max()) + 1).index_add(0, examples, values)


SAMPLED = ("target_tokens", "logprobs", "advantages")
THRESHOLDS = ("clip_low_threshold", "clip_high_threshold")
NEAR = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
LOSSES = {
    "cross_entropy": Loss(cross_entropy, ("target_tokens", "weights"), ("weights",), is_soft=True),
    "importance_sampling": Loss(importance_sampling, SAMPLED, ("advantages",)),
    "ppo": Loss(ppo, SAMPLED, ("advantages",), THRESHOLDS, config=NEAR),
    "cispo": Loss(
        cispo, SAMPLED, ("advantages",), THRESHOLDS, config={"clip_low_threshold": 0.0, "clip_high_threshold": 4.0}
    ),
    "dro": Loss(dro, SAMPLED, config={"beta": 0.05}),
    "gspo": Loss(
        gspo,
        (*SAMPLED, "sequence_ratio_mask"),
        ("advantages", "sequence_ratio_mask"),
        THRESHOLDS,
        config=NEAR,
    ),
    "stable_reinforce": Loss(stable_reinforce, (*SAMPLED, "sampled"), ("sampled",), config={"kl_coeff": 0.01}),
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
