"""Features of a package: hashed words of name and description, hashed n-grams of their characters."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from classification.rows import Row

WORD = re.compile(r"[\w+#]+")
SHORTEST = 3  # of the n-grams
MOST = 512  # features of a package
PADDING = 0


def names(row: Row, longest: int) -> Iterator[str]:
    """Yield the features of a package by name; those of the name also as words, which it shares with descriptions."""
    in_name, in_text = (WORD.findall(text.lower()) for text in (row.package, row.description))
    yield from (f"name {word}" for word in in_name)
    yield from (f"word {word}" for word in (*in_name, *in_text))
    yield from (f"in name {part}" for part in ngrams(f"^{row.package.lower()}$", longest))
    for word in in_text:
        yield from (f"in word {part}" for part in ngrams(f"<{word}>", longest))


def ngrams(text: str, longest: int) -> Iterator[str]:
    """Yield the n-grams of characters of a text."""
    for length in range(SHORTEST, longest + 1):
        yield from (text[at : at + length] for at in range(len(text) - length + 1))


def ids_of(row: Row, buckets: int, longest: int) -> list[int]:
    """Return the buckets of a package's features, each once, in order; bucket 0 is padding."""
    return sorted({zlib.crc32(name.encode()) % (buckets - 1) + 1 for name in names(row, longest)})[:MOST]


def matrix(rows: Sequence[Row], buckets: int, longest: int) -> Tensor:
    """Return the buckets of some packages, (rows, most features), padded with 0."""
    found = [torch.tensor(ids_of(row, buckets, longest), dtype=torch.int32) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=PADDING)


def trimmed(ids: Tensor) -> Tensor:
    """Return a batch without columns that are padding alone."""
    used = int((ids != PADDING).sum(1).max())
    return ids[:, : max(1, used)].long()


def rarity(ids: Tensor, buckets: int) -> Tensor:
    """Return the weight of each bucket, (buckets,): the smoothed inverse document frequency; 0 for an unseen one."""
    counts = torch.bincount(ids.flatten().long(), minlength=buckets).double()
    weight = torch.log((1 + len(ids)) / (1 + counts)) + 1
    weight[counts == 0] = 0.0
    weight[PADDING] = 0.0
    return weight.float()
