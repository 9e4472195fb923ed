"""The settings of a training: step 11's file, overridden by the command line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from common import config

if TYPE_CHECKING:
    from common.settings import Training
    from common.stage import Stage

CONFIG = "training_config.yaml"
TESTED: dict[str, Any] = {"steps": 2, "batch": 2, "save_every": 1, "warmup": 1, "val_examples": 2, "rank": 4}


def load(stage: Stage) -> Training:
    """Return the settings of the training; small ones in a --test."""
    path = stage.input(CONFIG)
    found = config.merged(stage.settings.training, config.read_yaml(path), origin=str(path), prefix="training.")
    for override in stage.overrides:
        changes = config.read_override(override).get("training")
        if isinstance(changes, dict):
            found = config.merged(found, changes, origin=override, prefix="training.")
    config.refuse_too_few(dataclasses.replace(stage.settings, training=found))
    return dataclasses.replace(found, **TESTED, seeds=found.seeds[:1]) if stage.is_test else found
