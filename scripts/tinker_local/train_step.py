"""Gradients of an adapter, accumulated until an optimizer step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from tinker_local import batching as examples_
from tinker_local import lora, losses
from tinker_local.api_types import LossOutput, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinker_local.api_types import Adam, Array, Datum
    from tinker_local.base_models import Base
    from tinker_local.batching import Batch
    from tinker_local.lora import Adapter
    from tinker_local.losses import Config, Loss

MOST_TOKENS = {"cpu": 4096, "cuda": 32768}  # in one forward
MOST_LOGITS = {"cpu": 2**26, "cuda": 2**30}  # logits; limits the tokens of one forward for a large vocabulary
LEAST_TOKENS = 256


def forward_backward(
    base: Base,
    adapter: Adapter,
    data: Sequence[Datum],
    loss: str,
    config: Mapping[str, float],
    *,
    forward_only: bool,
) -> LossOutput:
    """Compute a summed loss and add its gradient to the pending ones; after an error they are unchanged."""
    chosen = losses.named(loss)
    settings = losses.configured(chosen, config)
    examples = examples_.checked(data, chosen, base, settings)
    if not forward_only:
        adapter.open_gradients()
    total = 0.0
    found: dict[int, Array] = {}
    for batch in examples_.batched(examples, most_tokens(base), base.device):
        with torch.set_grad_enabled(not forward_only):
            part, logprobs = step_through(base, adapter, batch, chosen, settings)
        total += part
        found.update(batch.apart(logprobs.cpu()))
    if not forward_only:
        adapter.keep_gradients()
    outputs: list[dict[str, Array]] = [{"logprobs": found[place]} for place in range(len(examples))]
    return LossOutput(outputs, {"loss:sum": total})


def most_tokens(base: Base) -> int:
    """Return the largest number of tokens in one forward."""
    kind = base.device.type
    return max(LEAST_TOKENS, min(MOST_TOKENS[kind], MOST_LOGITS[kind] // base.vocabulary))


def step_through(base: Base, adapter: Adapter, batch: Batch, loss: Loss, config: Config) -> tuple[float, Tensor]:
    """Return the loss of one batch and its logprobs (N,) or (N, K); run backward if gradients are enabled."""
    lora.attach(base.parts, adapter)
    hidden = batch.flat(base.hidden(batch.ids, use_cache=False))
    is_counted = counted(batch, loss)
    logprobs = torch.zeros(batch.targets.shape, device=base.device)
    total = 0.0
    if bool(is_counted.any()):
        rows = slice(None) if bool(is_counted.all()) else is_counted.nonzero()[:, 0]
        scored = score(base.logits(hidden[rows]), batch.targets[rows])
        summed = loss.each(scored, {name: one[rows] for name, one in batch.inputs.items()}, config).sum()
        if torch.is_grad_enabled():
            summed.backward()
        logprobs[rows], total = scored.detach(), summed.item()
    fill_without_gradient(base, hidden.detach(), batch.targets, (~is_counted).nonzero()[:, 0], logprobs)
    return total, logprobs


def counted(batch: Batch, loss: Loss) -> Tensor:
    """Return True for each token (N,) that counts in the loss."""
    if not loss.silent:
        return torch.ones(len(batch.targets), dtype=torch.bool, device=batch.targets.device)
    counts = torch.stack([batch.inputs[name] != 0 for name in loss.silent]).any(0)
    return counts.flatten(1).any(1) if counts.ndim > 1 else counts


@torch.no_grad()  # type: ignore[untyped-decorator]
def fill_without_gradient(base: Base, hidden: Tensor, targets: Tensor, rows: Tensor, logprobs: Tensor) -> None:
    """Fill in the logprobs of tokens without gradient, a few at a time."""
    for some in rows.split(most_tokens(base)) if len(rows) else ():
        logprobs[some] = score(base.logits(hidden[some]), targets[some])


def score(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log p of targets (N,) or (N, K), from logits (N, vocabulary)."""
    if targets.ndim == 1:
        return -functional.cross_entropy(logits, targets, reduction="none")
    return functional.log_softmax(logits, -1).gather(-1, targets)


def optim_step(adapter: Adapter, adam: Adam) -> dict[str, float]:
    """Apply the pending gradients by AdamW; return their norm before clipping.

    A gradient that is not finite is dropped and the step refused, since it would destroy weights and moments.
    """
    check_adam(adam)
    gradient = adapter.pending if adapter.pending is not None else torch.zeros_like(adapter.flat)
    norm = float(torch.linalg.vector_norm(gradient))
    if not math.isfinite(norm):
        adapter.pending = None
        raise RefusedError("the gradient is not finite: it was dropped, the weights are as before; lower the rate")
    adapter.flat.grad = gradient
    if adam.grad_clip_norm > 0:
        torch.nn.utils.clip_grad_norm_([adapter.flat], adam.grad_clip_norm)
    optimizer(adapter, adam).step()
    adapter.flat.grad, adapter.pending = None, None
    adapter.steps += 1
    adapter.changed()
    return {"grad_norm:mean": norm, "optimizer_step:max": float(adapter.steps)}


def check_adam(adam: Adam) -> None:
    """Raise RefusedError for invalid parameters of AdamW."""
    values = vars(adam)
    for name, value in values.items():
        below = 1.0 if name.startswith("beta") else math.inf
        if not 0 <= value < below:
            raise RefusedError(f"adam_params.{name} is {value}: give 0 or more, a beta below 1")


def optimizer(adapter: Adapter, adam: Adam) -> Any:
    """Return the adapter's optimizer with this step's parameters."""
    if adapter.optimizer is None:
        adapter.optimizer = torch.optim.AdamW([adapter.flat])
    adapter.optimizer.param_groups[0].update(
        lr=adam.learning_rate, betas=(adam.beta1, adam.beta2), eps=adam.eps, weight_decay=adam.weight_decay
    )
    return adapter.optimizer
