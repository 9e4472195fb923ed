"""Settings of the encoder and of its training, with defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from small_lm.config import merged
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE_LEAST = {"hidden": 1, "layers": 0, "batch": 1, "epochs": 1, "buckets": 64, "warmup": 0}
SHARES = ("dropout", "feature_dropout")


@dataclass(frozen=True)
class Settings:
    """Settings of a training.

    `data`: sample, apt, a path or hub:OWNER/NAME. `buckets`: rows of the embedding that features are hashed to.
    `ngrams`: the longest n-grams of characters (from 3 on), 0 for whole words alone. `feature_dropout`: the share of
    the features of a package that a training step leaves out. `positive_power`: a positive counts (negatives /
    positives) to this power; 0 counts all alike. `section_weight`: the share of the section's loss. `warmup`: steps.
    """

    data: str = "sample"
    learning_rate: float = 3e-3
    hidden: int = 192
    layers: int = 1
    dropout: float = 0.4
    feature_dropout: float = 0.4
    batch: int = 128
    epochs: int = 8
    weight_decay: float = 0.01
    buckets: int = 32_768
    ngrams: int = 5
    positive_power: float = 0.5
    section_weight: float = 0.3
    warmup: int = 50


def read(config: Mapping[str, Any]) -> Settings:
    """Return the settings of a config; raise Trouble for an unknown key, a wrong type, a value out of its limits."""
    chosen = merged(Settings(), dict(config), origin="config")
    for name, least in WHOLE_LEAST.items():
        refuse(name, getattr(chosen, name), f"{least} or more", bad=getattr(chosen, name) < least)
    for name in SHARES:
        refuse(name, getattr(chosen, name), "0 or more and below 1", bad=not 0 <= getattr(chosen, name) < 1)
    for name in ("weight_decay", "positive_power", "section_weight"):
        refuse(name, getattr(chosen, name), "a number, 0 or more", bad=not 0 <= getattr(chosen, name) < float("inf"))
    rate = chosen.learning_rate
    refuse("learning_rate", rate, "a number above 0", bad=not 0 < rate < float("inf"))
    refuse("ngrams", chosen.ngrams, "0, or from 3 to 8", bad=chosen.ngrams not in {0, *range(3, 9)})
    return chosen


def refuse(name: str, value: Any, wanted: str, *, bad: bool) -> None:
    """Raise Trouble for a value out of its limits."""
    if bad:
        raise Trouble(f"config: {name} must be {wanted}, got {value!r}", USAGE)
