"""The inputs of a training: its examples, the folders of its results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from distillation.evaluation import billing
from distillation.student import dataset, trainer

if TYPE_CHECKING:
    from common.settings import Training
    from common.stage import Stage
    from distillation.models import ModelSetup

SOFT = "soft_targets"
BESIDE = ("seeds", "checkpoints", "logs", "students")  # what decides no student


def trainings(stage: Stage, setup: ModelSetup, wanted: Training) -> list[trainer.StudentTraining]:
    """Return one training for each seed, all with the same examples."""
    rows = {name: files.read_jsonl(stage.input(f"{name}.jsonl")) for name in ("train", "val")}
    rows["val"] = rows["val"][: wanted.val_examples]
    rows["train"] = rows["train"][: wanted.examples or None]
    if stage.is_test:
        rows = {name: part[:2] for name, part in rows.items()}
    settings = dataclasses.replace(stage.settings, training=wanted)
    billing.announce(stage, setup.student, tokens_ahead(setup, wanted, rows["train"]))
    learned = dataset.build_examples(setup, rows["train"], settings, stage.output(SOFT), stage.progress)
    bare = dataclasses.replace(settings, training=dataclasses.replace(wanted, targets="sampled"))
    validation = dataset.build_examples(setup, rows["val"], bare, stage.output(SOFT), stage.progress)
    digest = digest_of(setup, wanted, rows)
    above = Path(wanted.checkpoints) if not stage.is_test else stage.output("checkpoints")
    return [
        trainer.StudentTraining(
            setup=setup,
            wanted=wanted,
            seed=int(seed),
            learned=learned,
            validation=validation,
            folder=above / f"seed_{seed}",
            digest=digest,
            wait_s=stage.settings.teacher.wait_s,
        )
        for seed in wanted.seeds
    ]


def tokens_ahead(setup: ModelSetup, wanted: Training, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the tokens that the teacher reads for its distributions, and those that all students are trained on."""
    answers = sum(len(row["tokens"]) for row in rows)
    asked = answers + len(rows) * setup.voice.prompt_tokens if wanted.targets == "soft" else 0
    trained = len(wanted.seeds) * wanted.steps * wanted.batch * answers // max(1, len(rows))
    return {"prompt": asked, "train": trained}


def digest_of(setup: ModelSetup, wanted: Training, rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return the digest of models, prompt, data and settings, 16 hex digits; the number of seeds is not in it."""
    chosen = {name: value for name, value in dataclasses.asdict(wanted).items() if name not in BESIDE}
    parts = [setup.teacher, setup.student, setup.voice.kind, setup.voice.prompt, chosen, rows]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
