"""A decoder-only Llama in plain torch.

Modules have the names of `LlamaForCausalLM`, so that weights are interchangeable; the output layer is the embedding
(tied). Shapes: B sequences, T tokens, S tokens seen so far, H heads of D numbers, W the width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from small_lm.shapes import PRESETS, Shape, preset

__all__ = ["PRESETS", "Llama", "Shape", "loss_of", "preset"]

SPREAD = 0.02  # of a fresh weight


class Memory:
    """The key-value cache of one layer, (B, H, capacity, D)."""

    def __init__(self, shape: Shape, batch: int, capacity: int, like: Tensor) -> None:
        size = (batch, shape.heads, capacity, shape.head_dim)
        self.keys, self.values, self.length = like.new_empty(size), like.new_empty(size), 0

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append new keys and values; return all."""
        start, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class Attention(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """Causal self-attention with rotary position embedding (RoPE)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.o_proj = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor, turn: Turn, seen: Tensor | None, memory: Memory | None) -> Tensor:
        queries, keys, values = (self.split(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        queries, keys = turn(queries), turn(keys)
        if memory:
            keys, values = memory.add(keys, values)
        is_causal = seen is None and queries.shape[2] > 1
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, is_causal=is_causal)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """Reshape (B, T, W) to (B, H, T, D)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):  # type: ignore[misc]
    """SwiGLU: one projection gates the other."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):  # type: ignore[misc]
    """Attention, then the feed-forward part; each is added to the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(shape), FeedForward(shape)
        self.input_layernorm = nn.RMSNorm(shape.width, shape.eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, shape.eps)
        self.dropout = shape.dropout

    def forward(self, x: Tensor, turn: Turn, seen: Tensor | None, memory: Memory | None) -> Tensor:
        x = x + self.dropped(self.self_attn(self.input_layernorm(x), turn, seen, memory))
        return x + self.dropped(self.mlp(self.post_attention_layernorm(x)))

    def dropped(self, x: Tensor) -> Tensor:
        """Return x with some numbers at zero, while the model is trained."""
        return functional.dropout(x, self.dropout, training=self.training) if self.dropout else x


class Decoder(nn.Module):  # type: ignore[misc]
    """Tokens to the residual stream after all layers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.eps)
        angles = torch.arange(shape.context)[:, None] * frequencies(shape)
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angles.sin().repeat(1, 2), persistent=False)

    def forward(self, tokens: Tensor, memories: list[Memory] | None = None, kept: Tensor | None = None) -> Tensor:
        past, length = memories[0].length if memories else 0, tokens.shape[1]
        turn, seen = self.turn(past, length, kept), visible(past, length, kept, tokens.device)
        x = self.embed_tokens(tokens)
        for number, layer in enumerate(self.layers):
            x = layer(x, turn, seen, memories[number] if memories else None)
        return self.norm(x)

    def turn(self, past: int, length: int, kept: Tensor | None) -> Turn:
        """Return the rotations of the new tokens by their positions; padding does not count."""
        if kept is None:
            return Turn(self.cos[past : past + length], self.sin[past : past + length])
        places = (kept.long().cumsum(1) - 1).clamp(min=0)[:, None, past : past + length]
        return Turn(self.cos[places], self.sin[places])


class Llama(nn.Module):  # type: ignore[misc]
    """The model: tokens (B, T) in, logits (B, T, vocabulary) out.

    `memories` (see `remember`) caches earlier tokens, so that only new ones are read; `kept` (B, S) is False at
    padding, which is on the left.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.model = shape, Decoder(shape)
        self.apply(freshen)
        for layer in self.model.layers:  # so that the stream does not grow with the layers
            for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(last.weight, std=SPREAD / (2 * shape.layers) ** 0.5)

    def forward(self, tokens: Tensor, memories: list[Memory] | None = None, kept: Tensor | None = None) -> Tensor:
        return self.output(self.model(tokens, memories, kept))

    def output(self, stream: Tensor) -> Tensor:
        """Return the logits of a stream (..., W), by the transposed embedding."""
        return functional.linear(stream, self.model.embed_tokens.weight)

    def remember(self, batch: int, capacity: int) -> list[Memory]:
        """Return an empty key-value cache for each layer."""
        return [Memory(self.shape, batch, capacity, self.model.embed_tokens.weight) for _ in self.model.layers]

    def reorder(self, memories: list[Memory], rows: list[int]) -> list[Memory]:
        """Return the caches of these rows of the batch, which may repeat."""
        for memory in memories:
            memory.keys, memory.values = memory.keys[rows], memory.values[rows]
        return memories

    def next_logits(self, tokens: Tensor, memories: list[Memory], kept: Tensor) -> Tensor:
        """Return the logits (B, vocabulary) of the token after the last one."""
        return self.output(self.model(tokens, memories, kept)[:, -1])

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.embed_tokens.weight.device

    def drop(self, share: float) -> None:
        """Set the share of what each part adds that is zero in training."""
        for layer in self.model.layers:
            layer.dropout = share

    def matrices(self) -> list[Tensor]:
        """Return the matrices of the layers, which Muon trains and which decay."""
        return [weight for weight in self.model.layers.parameters() if weight.ndim == 2]

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


def freshen(module: nn.Module) -> None:
    """Initialize a module with small random weights and no bias."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class Turn:
    """The rotation of pair i of a query or key by position * frequency i; pairs are (i, i + D/2)."""

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return (x * self.cos + torch.cat((-second, first), dim=-1) * self.sin).type_as(x)


def frequencies(shape: Shape) -> Tensor:
    """Return the D/2 frequencies of the pairs, fast ones first."""
    return 1.0 / shape.rope_theta ** (torch.arange(0, shape.head_dim, 2) / shape.head_dim)


def visible(past: int, length: int, kept: Tensor | None, device: torch.device) -> Tensor | None:
    """Return the attention mask of the new tokens, (T, S) or (B, 1, T, S); None: itself and all before it."""
    if kept is None and (past == 0 or length == 1):
        return None
    square = torch.ones(length, past + length, dtype=torch.bool, device=device)
    causal = square.tril(past)
    if kept is None:
        return causal
    itself = causal & square.triu(past)  # padding sees itself: a row that sees nothing is NaN on some devices
    return (causal & kept[:, None, None, :]) | itself


def loss_of(model: Llama, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss in nats a token; a target of -100 does not count."""
    return functional.cross_entropy(model(inputs).flatten(0, 1).float(), targets.flatten())
