"""Words that are typical of one speaker."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


def count_tokens(text: str) -> int:
    """Count words and punctuation marks; a model's own tokenizer gives more."""
    return len(TOKEN.findall(text))


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """Count lower-case words."""
    return Counter(word for text in texts for word in WORD.findall(text.lower()))


def distinctive(own: Counter[str], others: Counter[str], least: int) -> list[tuple[str, float]]:
    """Rank the own words by the z-score of their log-odds against the others, prior = both together."""
    own_all, others_all = own.total(), others.total()
    prior = own + others
    prior_all = prior.total()
    ranked = []
    for word, count in own.items():
        if count < least:
            continue
        weight = prior[word]
        here = (count + weight) / (own_all + prior_all - count - weight)
        there = (others[word] + weight) / (others_all + prior_all - others[word] - weight)
        spread = math.sqrt(1 / (count + weight) + 1 / (others[word] + weight))
        ranked.append((word, round(math.log(here / there) / spread, 3)))
    return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


def shingles(text: str, size: int) -> set[tuple[str, ...]]:
    """Return each run of `size` words."""
    words = WORD.findall(text.lower())
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}
