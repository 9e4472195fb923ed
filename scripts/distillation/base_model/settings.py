"""The settings of a base model: those of the trainer, and of the documents that it learns from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.config import CONFIGS
from small_lm import config
from small_lm import settings as trainer_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROFILES = CONFIGS / "base_model"
PROFILE = "bard-small"
PLAYS = ("plays/*/*.txt",)


@dataclass(frozen=True)
class Documents:
    """Shares: of documents with a sheet, of turns that ask for a fact, of sheets with made-up facts."""

    sheet_share: float = 0.65
    fact_share: float = 0.35
    made_up_share: float = 0.5


@dataclass(frozen=True)
class Settings(trainer_settings.Settings):
    """All settings; a nested one is `group.key=value`."""

    text: trainer_settings.Text = field(default_factory=lambda: trainer_settings.Text(files=PLAYS))
    documents: Documents = field(default_factory=Documents)


def load(profile: str = PROFILE, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a profile of scripts/configs/base_model/, overridden by environment and command line."""
    chosen = config.layered(Settings(), config.profile_path(profile, PROFILES), overrides, environ)
    trainer_settings.refuse_odd(chosen)
    return chosen
