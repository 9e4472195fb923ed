"""The optimizers, and the learning rate of a step."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from small_lm.settings import Optimiser

BETAS = (0.9, 0.95)
NEWTON_SCHULZ, ROUNDS, TINY = (3.4445, -4.7750, 2.0315), 5, 1e-7  # as torch.optim.Muon has them


class Trainable(Protocol):
    """A model by its weights."""

    def matrices(self) -> list[Tensor]:
        """Return the matrices, which Muon trains and which decay."""

    def parameters(self) -> Iterable[Tensor]:
        """Return all weights."""


class Optimisers:
    """One or two optimizers that step together; `set_share` sets each rate as a share of its peak."""

    def __init__(self, parts: Sequence[Any], parameters: Sequence[Tensor], clip: float) -> None:
        self.parts, self.parameters, self.clip = list(parts), list(parameters), clip
        self.scaler: Any = None  # of gradients, in float16
        self.peaks = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def set_share(self, share: float) -> float:
        """Set every rate to a share of its peak; return the first."""
        for part, peaks in zip(self.parts, self.peaks, strict=True):
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * share
        return float(self.parts[0].param_groups[0]["lr"])

    def step(self) -> Tensor:
        """Clip the gradient, update the weights, zero the gradient; return the norm before clipping.

        In float16 a gradient that is not finite changes no weights; the scale is lowered.
        """
        if self.scaler:
            for part in self.parts:
                self.scaler.unscale_(part)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip or math.inf)
        for part in self.parts:
            self.scaler.step(part) if self.scaler else part.step()
            part.zero_grad(set_to_none=True)
        if self.scaler:
            self.scaler.update()
        return norm

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def state(self) -> list[dict[str, Any]]:
        """Return the state of the optimizers."""
        return [part.state_dict() for part in self.parts]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Restore the state of the optimizers."""
        for part, remembered in zip(self.parts, state, strict=True):
            part.load_state_dict(remembered)


def build(model: Trainable, wanted: Optimiser) -> Optimisers:
    """Return the optimizers of a model, by name."""
    if wanted.name not in MADE:
        raise Trouble(f"no optimiser.name {wanted.name!r}{did_you_mean(wanted.name, MADE)}; use muon or adamw", USAGE)
    matrices = model.matrices()
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    return Optimisers(MADE[wanted.name](matrices, others, wanted), [*matrices, *others], wanted.clip)


class Muon(torch.optim.Muon):  # type: ignore[misc]
    """The Muon of torch with all matrices of one shape orthogonalised in one batch, for speed."""

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: None = None) -> None:  # noqa: ARG002 - of torch; nobody gives one
        """Update the weights once; those without a gradient stay."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[tuple(sorted(weight.shape))].append(weight)
            for (_, longer), weights in alike.items():
                wide = torch.stack([lying(self.ahead(weight, group["momentum"])) for weight in weights])
                rate = group["lr"] * 0.2 * math.sqrt(longer)  # match_rms_adamw
                for weight, turned in zip(weights, orthogonal(wide).to(weights[0].dtype), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(turned if is_lying(weight) else turned.mT, alpha=-rate)

    def ahead(self, weight: Tensor, momentum: float) -> Tensor:
        """Return the gradient with Nesterov's momentum."""
        kept, gradient = self.state[weight], weight.grad
        assert gradient is not None  # noqa: S101 - the caller has asked
        mean = kept.setdefault("momentum_buffer", torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)


def is_lying(matrix: Tensor) -> bool:
    """Return True if a matrix is as wide as it is high, or wider."""
    return bool(matrix.size(0) <= matrix.size(1))


def lying(matrix: Tensor) -> Tensor:
    """Return a matrix, transposed if it is higher than wide."""
    return matrix if is_lying(matrix) else matrix.mT


def orthogonal(wide: Tensor) -> Tensor:
    """Return (matrices, rows, columns) with singular values near 1, rows <= columns, in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = wide.bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=TINY)
    for _ in range(ROUNDS):
        square = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def muon(matrices: list[Tensor], others: list[Tensor], wanted: Optimiser) -> list[Any]:
    """Return Muon for the layers' matrices and AdamW for the other weights."""
    first = Muon(matrices, lr=wanted.lr, weight_decay=wanted.weight_decay)
    return [first, torch.optim.AdamW(others, lr=wanted.adamw_lr, betas=BETAS, weight_decay=0.0, fused=True)]


def adamw(matrices: list[Tensor], others: list[Tensor], wanted: Optimiser) -> list[Any]:
    """Return AdamW for all weights; only the layers' matrices decay."""
    groups = [
        {"params": matrices, "lr": wanted.lr, "weight_decay": wanted.weight_decay},
        {"params": others, "lr": wanted.adamw_lr, "weight_decay": 0.0},
    ]
    return [torch.optim.AdamW(groups, betas=BETAS, fused=True)]


MADE: dict[str, Callable[[list[Tensor], list[Tensor], Optimiser], list[Any]]] = {"muon": muon, "adamw": adamw}


def share(step: int, steps: int, wanted: Optimiser) -> float:
    """Return the share of the peak rate in `step` of `steps`, counted from 0: warm-up, then the schedule."""
    if wanted.schedule not in SCHEDULES:
        near = did_you_mean(wanted.schedule, SCHEDULES)
        raise Trouble(f"no optimiser.schedule {wanted.schedule!r}{near}; use {' or '.join(SCHEDULES)}", USAGE)
    if step < wanted.warmup:
        return (step + 1) / wanted.warmup
    done = (step - wanted.warmup) / max(1, steps - wanted.warmup)
    return SCHEDULES[wanted.schedule](min(1.0, done), wanted)


def cosine(done: float, wanted: Optimiser) -> float:
    """Return the cosine decay from 1 to `min_share`."""
    return wanted.min_share + (1 - wanted.min_share) * (1 + math.cos(math.pi * done)) / 2


def flat(done: float, wanted: Optimiser) -> float:
    """Return 1 until `decay_from`, then the linear decay to `min_share`."""
    fallen = max(0.0, done - wanted.decay_from) / max(1e-9, 1 - wanted.decay_from)
    return 1 - (1 - wanted.min_share) * fallen


SCHEDULES: dict[str, Callable[[float, Optimiser], float]] = {"cosine": cosine, "flat": flat}
