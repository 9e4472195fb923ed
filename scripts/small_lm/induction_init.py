"""Initialize a model with an induction circuit, so that it can copy from its prompt after a short warm-up.

With ordinary small random weights a model of this size does not learn to copy within minutes. In the circuit one head
attends to the previous token; two others attend to the token that followed an earlier occurrence of the present one,
and copy it. Every weight is trained afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from small_lm.errors import USAGE, Trouble
from small_lm.model import frequencies

if TYPE_CHECKING:
    from small_lm.data import Pair
    from small_lm.model import Attention, Llama
    from small_lm.settings import Copy

SHARPNESS = 5.0  # of the look at the previous token
MATCH = 2.0  # of the search for the same token
WRITE_PREVIOUS, WRITE_COPY, WRITE_BIAS = 0.03, 0.05, 0.03
PERIODS = (6, 64)  # tokens before a copied text repeats: at least, at most (and half of the window)
SEARCHERS = (1, 2)  # layers
IGNORED = -100


def plant(model: Llama) -> None:
    """Write the circuit into the weights of a new model; the other weights stay random."""
    shape, layers = model.shape, [layer.self_attn for layer in model.model.layers]
    if shape.layers < 3 or shape.heads < 2:
        raise Trouble("model.init=induction needs 3 layers and 2 heads: choose a larger model.preset", USAGE)
    content, place = orthonormal(shape.head_dim, shape.width), orthonormal(shape.head_dim, shape.width)
    with torch.no_grad():
        look_back(layers[0], content, place, frequencies(shape))
        for number in SEARCHERS:
            search(layers[number], content, place)
        for attention in layers[-2:]:
            write(attention, 1, orthonormal(shape.head_dim, shape.width), WRITE_BIAS)


def orthonormal(rows: int, columns: int) -> Tensor:
    """Return random orthonormal rows."""
    return nn.init.orthogonal_(torch.empty(rows, columns))


def look_back(attention: Attention, content: Tensor, place: Tensor, turns: Tensor) -> None:
    """Let head 0 attend to the previous position: constant keys, queries rotated back by one place."""
    size, half = len(content), len(turns)
    fast = torch.arange(half // 3)
    attention.q_proj.weight[:size] = 0
    attention.k_proj.weight[:size] = 0
    attention.k_proj.bias[fast] = SHARPNESS
    attention.q_proj.bias[fast] = SHARPNESS * turns[fast].cos()
    attention.q_proj.bias[fast + half] = -SHARPNESS * turns[fast].sin()
    attention.v_proj.weight[:size] = content
    attention.o_proj.weight[:, :size] = WRITE_PREVIOUS * place.T


def search(attention: Attention, content: Tensor, place: Tensor) -> None:
    """Let head 0 attend to positions after an earlier equal token; slow rotary pairs make distance irrelevant."""
    size = len(content)
    slow = torch.arange(size).remainder(size // 2) >= size // 4
    attention.q_proj.weight[:size] = MATCH * content * slow[:, None]
    attention.k_proj.weight[:size] = MATCH * place * slow[:, None]
    write(attention, 0, orthonormal(*content.shape), WRITE_COPY)


def write(attention: Attention, head: int, basis: Tensor, strength: float) -> None:
    """Let a head output the token that it attends to."""
    rows = slice(head * len(basis), (head + 1) * len(basis))
    attention.v_proj.weight[rows] = basis
    attention.o_proj.weight[:, rows] = strength * basis.T


class Copying:
    """Schedule of copy steps: all steps until the copy loss is low, then some, late none.

    Only tokens from `first` on are copied; with `until_share` 0 no step copies.
    """

    def __init__(self, wanted: Copy, *, vocab_size: int, first: int, seed: int) -> None:
        self.wanted, self.tokens = wanted, (first, vocab_size)
        self.chance = torch.Generator().manual_seed(seed)
        self.is_warm, self.steps = wanted.until_share == 0, 0

    def is_due(self, done: float) -> bool:
        """Return True if the next step copies; `done` is the share of the training that is over, 0 to 1."""
        if not self.is_warm or done >= self.wanted.until_share:
            return not self.is_warm
        return float(torch.rand((), generator=self.chance)) < self.wanted.share

    def next(self, size: int, length: int) -> Pair:
        """Return random tokens, repeated; the first occurrence cannot be predicted and does not count."""
        tokens = torch.randint(*self.tokens, (size, length + 1), generator=self.chance)
        most = max(PERIODS[0], min(PERIODS[1], length // 2))
        periods = torch.randint(PERIODS[0], most + 1, (size, 1), generator=self.chance)
        places = torch.arange(length + 1)
        tokens = tokens.gather(1, places % periods)
        return tokens[:, :-1], tokens[:, 1:].masked_fill(places[1:] < periods, IGNORED)

    def record(self, loss: float) -> None:
        """Record the loss of a copy step; a low one ends the warm-up."""
        if self.is_warm:
            return
        self.steps += 1
        self.is_warm = loss < self.wanted.until_loss
        if not self.is_warm and self.steps >= self.wanted.max_steps:
            raise Trouble(f"the copy loss is {loss:.2f} after {self.steps} steps: raise copy.max_steps or optimiser.lr")

    def state(self) -> dict[str, Any]:
        """Return the state of the schedule."""
        return {"is_warm": self.is_warm, "steps": self.steps, "chance": self.chance.get_state()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.is_warm, self.steps = state["is_warm"], state["steps"]
        self.chance.set_state(state["chance"])
