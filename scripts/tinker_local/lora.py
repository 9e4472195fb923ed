"""Low-rank adapters that use one frozen base model in turn."""

from __future__ import annotations

import itertools
import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tinker_local.api_types import Lora, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALPHA = 32.0  # the update is scaled by ALPHA / rank, so one learning rate fits all ranks
MOST_RANK = 1024
BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.\d+\.")
VERSIONS = itertools.count(1)


class LoraLinear(nn.Linear):  # type: ignore[misc]
    """A linear layer with the update of at most one adapter: x W' + scale (x down') up'."""

    def __init__(self, around: nn.Linear) -> None:
        """Share the weights of `around`: a tied embedding stays tied, without the update."""
        nn.Module.__init__(self)
        self.in_features, self.out_features = around.in_features, around.out_features
        self.weight, self.bias = around.weight, around.bias
        self.attached: tuple[Tensor, Tensor, float] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features); the update is added in place, in one product."""
        if self.attached is None:
            return functional.linear(x, self.weight, self.bias)
        down, up, scale = self.attached
        flat = x.reshape(-1, self.in_features)
        out = functional.linear(flat, self.weight, self.bias)
        out.addmm_(functional.linear(flat, down), up.t(), alpha=scale)
        return out.view(*x.shape[:-1], self.out_features)


def open_parts(model: nn.Module) -> dict[str, LoraLinear]:
    """Replace each trainable layer by a LoraLinear, in the model's order; return them by name."""
    head = model.get_output_embeddings()
    parts = {}
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and (module is head or BLOCK.search(name)):
            parts[name] = LoraLinear(module)
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, parts[name])
    return parts


def kind(name: str) -> str:
    """Return the switch of a Lora that a layer belongs to: attention, MLP or unembedding."""
    block = BLOCK.search(name)
    if not block:
        return "unembed"
    return "attn" if "attn" in name[block.end() :] or "attention" in name[block.end() :] else "mlp"


def chosen(parts: Mapping[str, LoraLinear], lora: Lora) -> dict[str, LoraLinear]:
    """Return the layers that a Lora trains; raise RefusedError for none or for an invalid rank."""
    if not 1 <= lora.rank <= MOST_RANK:
        raise RefusedError(f"no LoRA of rank {lora.rank}: use 1 to {MOST_RANK}")
    wanted = {"attn": lora.train_attn, "mlp": lora.train_mlp, "unembed": lora.train_unembed}
    found = {name: part for name, part in parts.items() if wanted[kind(name)]}
    if not found:
        raise RefusedError("nothing to train: set one of train_attn, train_mlp, train_unembed")
    return found


@dataclass
class Adapter:
    """One LoRA: all its parameters are in `flat` (float32), the matrices are views of it.

    `pending` holds the gradients since the last step, None if there are none.
    """

    base_model: str
    lora: Lora
    parts: dict[str, LoraLinear]
    flat: nn.Parameter
    pairs: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    version: int = field(default_factory=VERSIONS.__next__)
    steps: int = 0
    scratch: Tensor | None = None
    pending: Tensor | None = None
    optimizer: Any = None

    @property
    def scale(self) -> float:
        """The factor of the product of the two matrices."""
        return ALPHA / self.lora.rank

    def matrices(self) -> Iterator[Tensor]:
        """Yield the matrices down and up of each layer, in the order of `flat`."""
        for pair in self.pairs.values():
            yield from pair

    def changed(self) -> None:
        """Mark the weights as new, so that caches of the old ones no longer match."""
        self.version = next(VERSIONS)

    def open_gradients(self) -> Tensor:
        """Return a zeroed buffer for backward, (numbers,): each matrix's gradient is a view of it."""
        if self.scratch is None:
            self.scratch = torch.zeros_like(self.flat)
            for matrix, gradient in zip(self.matrices(), views(self.scratch, self.matrices()), strict=True):
                matrix.grad = gradient
        else:
            self.scratch.zero_()
        return self.scratch

    def keep_gradients(self) -> None:
        """Add the buffer that backward has filled to the pending gradients."""
        if self.pending is None:
            self.pending = torch.zeros_like(self.flat)
        self.pending += self.scratch


def views(flat: Tensor, like: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield parts of `flat`, one after the other, in the shapes of `like`."""
    start = 0
    for one in like:
        yield flat[start : start + one.numel()].view(one.shape)
        start += one.numel()


def empty(base_model: str, lora: Lora, parts: Mapping[str, LoraLinear]) -> Adapter:
    """Return an adapter of zeros, which does not change the model."""
    found = chosen(parts, lora)
    sizes = {name: lora.rank * (part.in_features + part.out_features) for name, part in found.items()}
    device = next(iter(found.values())).weight.device
    flat = nn.Parameter(torch.zeros(sum(sizes.values()), device=device))
    adapter, start = Adapter(base_model, lora, found, flat), 0
    for name, part in found.items():
        both, middle = flat.detach()[start : start + sizes[name]], lora.rank * part.in_features
        down, up = both[:middle].view(lora.rank, -1), both[middle:].view(-1, lora.rank)
        adapter.pairs[name] = (down.requires_grad_(), up.requires_grad_())
        start += sizes[name]
    return adapter


def fresh(base_model: str, lora: Lora, parts: Mapping[str, LoraLinear]) -> Adapter:
    """Return a new adapter: `down` is uniform and depends on the seed alone, `up` is zero."""
    adapter = empty(base_model, lora, parts)
    seed = lora.seed if lora.seed is not None else int.from_bytes(os.urandom(7), "little")
    drawn = torch.Generator().manual_seed(seed % 2**63)
    with torch.no_grad():
        for down, _ in adapter.pairs.values():
            bound = 1 / math.sqrt(down.shape[1])
            down.copy_(torch.empty(down.shape).uniform_(-bound, bound, generator=drawn))
    return adapter


def attach(parts: Mapping[str, LoraLinear], adapter: Adapter | None) -> None:
    """Attach an adapter to its base model, in the base's precision; None detaches any."""
    pairs = adapter.pairs if adapter else {}
    for name, part in parts.items():
        if adapter and name in pairs:
            down, up = (one.to(part.weight.dtype) for one in pairs[name])
            part.attached = (down, up, adapter.scale)
        else:
            part.attached = None
