"""The hyperparameters of a model: presets, and shapes of one's own. It needs no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from small_lm.settings import Model

HEAD_DIM = 64  # of an own width without heads
INNER_STEP = 32  # the inner width of an own width is a multiple


@dataclass(frozen=True)
class Shape:
    """The hyperparameters that determine a model's shape."""

    layers: int
    heads: int
    head_dim: int
    inner: int
    vocab_size: int = 2048
    context: int = 1024
    rope_theta: float = 500_000.0
    eps: float = 1e-5
    dropout: float = 0.0  # while it is trained
    kind: str = "transformer"

    @property
    def width(self) -> int:
        """The width of a token's vector."""
        return self.heads * self.head_dim


PRESETS = {  # parameters at a vocabulary of 2,048
    "tiny": Shape(layers=3, heads=2, head_dim=16, inner=64),
    "1m": Shape(layers=4, heads=2, head_dim=64, inner=352),
    "3m": Shape(layers=6, heads=3, head_dim=64, inner=512),
    "5m": Shape(layers=6, heads=4, head_dim=64, inner=688),
    "10m": Shape(layers=8, heads=5, head_dim=64, inner=864),
    "30m": Shape(layers=9, heads=8, head_dim=64, inner=1376),
    "95m": Shape(layers=13, heads=12, head_dim=64, inner=2080),
}


def preset(name: str, *, vocab_size: int, context: int) -> Shape:
    """Return a preset by its name, fitted to a tokenizer."""
    if name not in PRESETS:
        raise Trouble(f"no model.preset {name!r}{did_you_mean(name, PRESETS)}; there are: {', '.join(PRESETS)}", USAGE)
    return dataclasses.replace(PRESETS[name], vocab_size=vocab_size, context=context)


def shaped(wanted: Model, *, vocab_size: int) -> Shape:
    """Return the preset with the hyperparameters that settings give; raise Trouble if they do not fit together."""
    base = preset(wanted.preset, vocab_size=vocab_size, context=wanted.context)
    if wanted.kind == "rnn":
        return recurrent(base, wanted)
    width = wanted.width or (wanted.heads * base.head_dim if wanted.heads else base.width)
    heads = wanted.heads or heads_of(width, base)
    if width % heads or (width // heads) % 2:
        raise Trouble(
            f"model.width={width} cannot be divided into {heads} heads of an even width: set model.width={2 * heads} "
            "or another multiple of it, or other model.heads",
            USAGE,
        )
    inner = wanted.inner or (base.inner if width == base.width else inner_of(width))
    layers = wanted.layers or base.layers
    return dataclasses.replace(
        base, layers=layers, heads=heads, head_dim=width // heads, inner=inner, dropout=wanted.dropout
    )


def recurrent(base: Shape, wanted: Model) -> Shape:
    """Return the shape of a recurrent model: layers and width alone."""
    for name in ("heads", "inner"):
        if getattr(wanted, name):
            raise Trouble(f"model.{name} is for model.kind=transformer: leave it out", USAGE)
    return dataclasses.replace(
        base,
        layers=wanted.layers or base.layers,
        heads=1,
        head_dim=wanted.width or base.width,
        inner=0,
        dropout=wanted.dropout,
        kind="rnn",
    )


def heads_of(width: int, base: Shape) -> int:
    """Return the number of heads of a width: those of the preset, or of 64 each."""
    if width == base.width:
        return base.heads
    if width % HEAD_DIM:
        raise Trouble(f"model.width={width} is no multiple of {HEAD_DIM}: set model.heads as well", USAGE)
    return width // HEAD_DIM


def inner_of(width: int) -> int:
    """Return the inner width of a feed-forward part with three matrices: 8/3 of the width."""
    return -(-8 * width // 3 // INNER_STEP) * INNER_STEP
