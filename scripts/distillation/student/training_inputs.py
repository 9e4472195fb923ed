"""The inputs of a training: its lessons, the folders of its results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from distillation.student import dataset, trainer

if TYPE_CHECKING:
    from common.settings import Training
    from common.stage import Stage
    from distillation.models import Scene

SOFT = "soft_targets"
BESIDE = ("seeds", "checkpoints", "logs", "students")  # what decides no student


def classes(stage: Stage, set_up: Scene, wanted: Training) -> list[trainer.Class]:
    """Return one training for each seed, all with the same lessons."""
    rows = {name: files.read_jsonl(stage.input(f"{name}.jsonl")) for name in ("train", "val")}
    rows["val"] = rows["val"][: wanted.val_examples]
    rows["train"] = rows["train"][: wanted.examples or None]
    if stage.is_test:
        rows = {name: part[:2] for name, part in rows.items()}
    settings = dataclasses.replace(stage.settings, training=wanted)
    learned = dataset.lessons(set_up, rows["train"], settings, stage.output(SOFT), stage.progress)
    bare = dataclasses.replace(settings, training=dataclasses.replace(wanted, targets="sampled"))
    judging = dataset.lessons(set_up, rows["val"], bare, stage.output(SOFT), stage.progress)
    digest = digest_of(set_up, wanted, rows)
    above = Path(wanted.checkpoints) if not stage.is_test else stage.output("checkpoints")
    return [
        trainer.Class(
            set_up=set_up,
            wanted=wanted,
            seed=int(seed),
            learned=learned,
            judging=judging,
            folder=above / f"seed_{seed}",
            digest=digest,
            wait_s=stage.settings.teacher.wait_s,
        )
        for seed in wanted.seeds
    ]


def digest_of(set_up: Scene, wanted: Training, rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return the digest of models, prompt, data and settings, 16 hex digits; the number of seeds is not in it."""
    chosen = {name: value for name, value in dataclasses.asdict(wanted).items() if name not in BESIDE}
    told = [set_up.teacher, set_up.student, set_up.voice.kind, set_up.voice.prompt, chosen, rows]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
