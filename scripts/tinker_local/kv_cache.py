"""Caches of keys and values: those of a batch, and prefixes kept between calls."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers.cache_utils import Cache, DynamicLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

Key = tuple[str, int]  # a base model and the version of its adapter
LEAST = 16  # tokens; a shorter prefix costs more than it saves
KEPT_BYTES = {"cpu": 2**28, "cuda": 2**31}


class LayerCache(DynamicLayer):  # type: ignore[misc]
    """The keys and values of one layer, (B, heads, capacity, width), filled from the left without copies."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity, self.length, self.is_initialized = capacity, 0, False

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values; return all."""
        end = self.length + key_states.shape[2]
        if not self.is_initialized:
            self.keys, self.values = (wide(one[:, :, :0], self.capacity) for one in (key_states, value_states))
            self.is_initialized = True
        if end > self.capacity:
            self.capacity = max(end, 2 * self.capacity)
            self.keys, self.values = (wide(one[:, :, : self.length], self.capacity) for one in (self.keys, self.values))
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Return the number of cached tokens."""
        return self.length


def wide(filled: Tensor, capacity: int, rows: int = 0) -> Tensor:
    """Return a tensor for `capacity` tokens that begins with `filled`; a single row is repeated `rows` times."""
    heads, tokens, width = filled.shape[1:]
    new = filled.new_empty(rows or len(filled), heads, capacity, width)
    new[:, :, :tokens] = filled
    return new


class BatchCache(Cache):  # type: ignore[misc]
    """The cache of all layers, which models of transformers fill."""

    def __init__(self, capacity: int) -> None:
        super().__init__(layer_class_to_replicate=lambda: LayerCache(capacity))

    def select(self, rows: Tensor, capacity: int = 0) -> BatchCache:
        """Return a cache with these rows, which may repeat."""
        return filled([(one.keys[rows, :, : one.length], one.values[rows, :, : one.length]) for one in self.layers],
                      capacity or self.layers[0].capacity)  # fmt: skip

    def first(self, tokens: int) -> list[tuple[Tensor, Tensor]]:
        """Return a copy of the first tokens of the first row, layer by layer."""
        return [(one.keys[:1, :, :tokens].clone(), one.values[:1, :, :tokens].clone()) for one in self.layers]


def filled(pairs: Sequence[tuple[Tensor, Tensor]], capacity: int, rows: int = 0) -> BatchCache:
    """Return a new cache that begins with a copy of these keys and values."""
    cache = BatchCache(capacity)
    for keys, values in pairs:
        layer = LayerCache(capacity)
        layer.keys, layer.values = wide(keys, capacity, rows), wide(values, capacity, rows)
        layer.length, layer.is_initialized = keys.shape[2], True
        cache.layers.append(layer)
    return cache


@dataclass(frozen=True)
class Prefix:
    """A prefix of prompts: keys and values (1, heads, P, width) of each layer, hidden states (P, width)."""

    tokens: tuple[int, ...]
    pairs: list[tuple[Tensor, Tensor]]
    hidden: Tensor

    @property
    def size(self) -> int:
        """The size in bytes."""
        return int(sum(one.nbytes for pair in self.pairs for one in pair) + self.hidden.nbytes)

    def cut(self, length: int) -> Prefix:
        """Return its first tokens, as views."""
        pairs = [(keys[:, :, :length], values[:, :, :length]) for keys, values in self.pairs]
        return Prefix(self.tokens[:length], pairs, self.hidden[:length])

    def cache(self, rows: int, capacity: int) -> BatchCache:
        """Return a cache in which each row begins with this prefix."""
        return filled(self.pairs, capacity, rows)


class Prefixes:
    """The newest prefixes, as many as fit; those of old weights never match."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.kept: OrderedDict[tuple[Key, tuple[int, ...]], Prefix] = OrderedDict()

    def best(self, key: Key, tokens: tuple[int, ...]) -> Prefix | None:
        """Return the longest cached prefix of `tokens`; None if it is too short."""
        found = [(common([tokens, theirs]), spot) for spot in self.kept if spot[0] == key for theirs in [spot[1]]]
        length, spot = max(found, default=(0, (key, ())))
        if length < LEAST:
            return None
        self.kept.move_to_end(spot)
        return self.kept[spot].cut(length)

    def keep(self, key: Key, prefix: Prefix) -> None:
        """Add a prefix, and drop the oldest ones that no longer fit."""
        if prefix.size > self.most_bytes:
            return
        self.kept[key, prefix.tokens] = prefix
        while sum(one.size for one in self.kept.values()) > self.most_bytes:
            self.kept.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Drop the prefixes of one version of an adapter."""
        for spot in [spot for spot in self.kept if spot[0] == key]:
            del self.kept[spot]


def common(prompts: Sequence[tuple[int, ...]]) -> int:
    """Return the length of the longest common prefix of all prompts."""
    low, high = min(prompts), max(prompts)
    for place, (one, other) in enumerate(zip(low, high, strict=False)):
        if one != other:
            return place
    return min(len(low), len(high))


def prefixes_for(device: torch.device) -> Prefixes:
    """Return an empty cache of a size that fits the device."""
    return Prefixes(KEPT_BYTES[device.type])
