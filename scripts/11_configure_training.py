"""Step 11: write the configuration of the training, each value with its reason.

    python scripts/11_configure_training.py [--test] [training.steps=280] [key=value ...]

Writes outputs/training_config.yaml, which step 13 reads; what its own command line says comes before the file.
"""

from __future__ import annotations

import dataclasses

import yaml

from common import config, files
from common.settings import Training
from common.stage import Criterion, Report, Stage, run
from distillation import models

MOST_EPOCHS = 2.0
REASONS = {
    "student": "empty: the teacher's own model, so that only the prompt is distilled",
    "seeds": "one student each; their spread tells what is luck",
    "rank": "of the LoRA; the prompt's effect is small beside what the model knows",
    "steps": "with `batch`, about one epoch: more epochs of sampled answers learn the draw by heart",
    "batch": "answers a step",
    "learning_rate": "of LoRA matrices, ten times what whole weights take",
    "warmup": "steps up to the rate; then straight down",
    "targets": "soft: the teacher's distribution at each place, estimated without bias; sampled: its words alone",
    "top": "likeliest tokens that are asked for at each place; the others are drawn",
    "reduction": "batch: each token of a batch counts alike, as in the evaluation",
    "proof_nats": "step 12: how far a resumed training may be; 0: not at all",
    "examples": "answers that are learned from, the first of the set; 0 is all of them",
    "val_examples": "answers that judge each checkpoint",
    "save_every": "steps between two checkpoints",
    "keep_s": "seconds until a checkpoint on the way expires; the last and the chosen one stay",
    "checkpoints": "folder; one for each seed in it",
    "logs": "folder of metrics.jsonl and loss.txt",
    "students": "file in outputs/ that names the best checkpoints",
}


def configure(stage: Stage) -> Report:
    """Write the file, read it back."""
    inputs, wanted = [stage.input("train.jsonl"), stage.input(models.ABOUT)], stage.settings.training
    path = stage.output("training_config.yaml")
    values = dataclasses.asdict(wanted) | {"seeds": list(wanted.seeds)}
    lines = [
        f"{name}: {yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for name, value in values.items()
    ]
    commented = [f"{line:<44} # {REASONS.get(name, '')}" for line, name in zip(lines, values, strict=True)]
    files.write_text(path, "\n".join(["# How the students are trained.", *commented]) + "\n")
    rows = len(files.read_jsonl(inputs[0])[: wanted.examples or None])
    epochs = wanted.steps * wanted.batch / max(1, rows)
    back = config.merged(Training(), config.read_yaml(path), origin=str(path))
    missing = [name for name in values if not REASONS.get(name)]
    criteria = [
        Criterion("The configuration loads", back == wanted, str(path)),
        Criterion("Every value has a reason", not missing, f"{len(missing)} of {len(values)} have none"),
        Criterion("The data is seen at most twice", epochs <= MOST_EPOCHS, f"{epochs:.2f} epochs of {rows:,} answers"),
    ]
    metrics = {"epochs": epochs, "steps": wanted.steps, "values": len(values), "without_reason": len(missing)}
    return Report(criteria, metrics, f"{wanted.steps} steps of {wanted.batch}", inputs, [path])


if __name__ == "__main__":
    run("11_configure_training", configure, __doc__)
