"""A recurrent language model: LSTM layers in a residual stream; the output layer is the embedding (tied).

It has the interface of `Llama`. Its cache is the state of each layer, of one size however long the text is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from small_lm.shapes import Shape

    State = tuple[Tensor, Tensor]  # of one layer, (1, B, W) each

SPREAD = 0.02  # of a fresh embedding


class Layer(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """An LSTM, added to the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(shape.width, shape.eps)
        self.lstm = nn.LSTM(shape.width, shape.width, batch_first=True)
        self.dropout = shape.dropout
        with torch.no_grad():
            self.lstm.bias_hh_l0[shape.width : 2 * shape.width] = 1.0  # a fresh layer does not forget

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        added, state = self.lstm(self.norm(x), state)
        dropped = functional.dropout(added, self.dropout, training=self.training) if self.dropout else added
        return x + dropped, state


class States:
    """The states of all layers; none before the first token."""

    def __init__(self) -> None:
        self.layers: list[State] = []


class Recurrent(nn.Module):  # type: ignore[misc]
    """The model: tokens (B, T) in, logits (B, T, vocabulary) out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.eps)
        nn.init.normal_(self.embed_tokens.weight, std=SPREAD)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.read(tokens, [])[0])

    def read(self, tokens: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Return the stream (B, T, W) after all layers, and their states after the last token."""
        x, after = self.embed_tokens(tokens), []
        for number, layer in enumerate(self.layers):
            x, state = layer(x, states[number] if states else None)
            after.append(state)
        return self.norm(x), after

    def output(self, stream: Tensor) -> Tensor:
        """Return the logits of a stream (..., W), by the transposed embedding."""
        return functional.linear(stream, self.embed_tokens.weight)

    def remember(self, _batch: int, _capacity: int) -> States:
        """Return an empty cache."""
        return States()

    def reorder(self, memories: States, rows: list[int]) -> States:
        """Return the cache of these rows of the batch, which may repeat."""
        memories.layers = [(hidden[:, rows], cell[:, rows]) for hidden, cell in memories.layers]
        return memories

    def next_logits(self, tokens: Tensor, memories: States, kept: Tensor) -> Tensor:
        """Return the logits (B, vocabulary) of the token after the last one; padding, on the left, is not read."""
        if memories.layers:
            stream, memories.layers = self.read(tokens, memories.layers)
            return self.output(stream[:, -1])
        rows = [self.read(row[is_kept][None], []) for row, is_kept in zip(tokens, kept, strict=True)]
        memories.layers = [
            (torch.cat([state[0] for state in states], 1), torch.cat([state[1] for state in states], 1))
            for states in zip(*(states for _, states in rows), strict=True)
        ]
        return self.output(torch.cat([stream[:, -1] for stream, _ in rows]))

    def matrices(self) -> list[Tensor]:
        """Return the matrices of the layers, which Muon trains and which decay."""
        return [weight for weight in self.layers.parameters() if weight.ndim == 2]

    def drop(self, share: float) -> None:
        """Set the share of what each layer adds that is zero in training."""
        for layer in self.layers:
            layer.dropout = share

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.embed_tokens.weight.device

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())
