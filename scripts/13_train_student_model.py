"""Step 13: train the students, one for each seed; resume at the next batch after an interruption.

    python scripts/13_train_student_model.py [--test] [training.steps=280] [training.seeds=17] [key=value ...]

Reads outputs/training_config.yaml, train.jsonl, val.jsonl. Writes checkpoints/seed_N/checkpoints.jsonl (rows as
tinker-cookbook has them), training_logs/metrics.jsonl (a row a step), training_logs/loss.txt, and at the end
outputs/students.json: each seed's best checkpoint by its loss on the validation set.
SIGTERM ends it after the step at hand, with a checkpoint. A loss that is no number ends it with exit 1.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models as distillation_models
from distillation.student import trainer, training_config, training_inputs

if TYPE_CHECKING:
    from common.settings import Training
    from distillation.models import Student

LOGGED_EVERY = 10
FEW_STEPS = 50  # with fewer, chance decides whether the loss falls


class Term:
    """A flag that SIGTERM sets; the training checks it between two steps."""

    def __init__(self) -> None:
        self.code = 0
        signal.signal(signal.SIGTERM, self.record_signal)

    def record_signal(self, number: int, _frame: object) -> None:
        """Record the signal."""
        self.code = 128 + number

    def is_set(self) -> bool:
        """Return True if the signal came."""
        return bool(self.code)


class Logs:
    """metrics.jsonl and loss.txt of all seeds; rows that will be written again are taken out first."""

    def __init__(self, folder: Path, wanted: Training) -> None:
        self.metrics, self.losses, self.wanted = folder / "metrics.jsonl", folder / "loss.txt", wanted
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, seed: int, first: int) -> None:
        """Remove the rows of a seed from batch `first` on, and those of seeds that are not in the settings."""
        wanted = {int(one) for one in self.wanted.seeds}
        known = [row for row in files.read_whole_jsonl(self.metrics) if row["seed"] in wanted]
        kept = [row for row in known if row["seed"] != seed or row["batch"] < first]
        files.write_jsonl(self.metrics, kept)
        files.write_text(self.losses, "".join(line(row) for row in kept))

    def step(self, seed: int, done: int) -> int:
        """Return the number of a step over all seeds."""
        return self.wanted.seeds.index(str(seed)) * self.wanted.steps + done

    def write(self, row: dict[str, Any]) -> None:
        """Add a step's row to both files."""
        step = self.step(row["seed"], row["batch"] + 1)
        total = self.wanted.steps * len(self.wanted.seeds)
        full = {"step": step, "progress": round(step / total, 6), "loss": row["train_mean_nll"], **row}
        for path, text in ((self.metrics, json.dumps(full) + "\n"), (self.losses, line(full))):
            with path.open("a", encoding="utf-8") as out:
                out.write(text)
        if step % LOGGED_EVERY == 0 or step == total:
            print(json.dumps({"progress": {"done": step, "total": total}}), flush=True)
            print(line(full), end="", flush=True)


def line(row: dict[str, Any]) -> str:
    """Return a step as a line of text."""
    judged = f" val_loss {row['val_nll']:.4f}" if "val_nll" in row else ""
    return f"step {row['step']} seed {row['seed']} loss {row['loss']:.4f} lr {row['learning_rate']:.2e}{judged}\n"


def train(stage: Stage) -> Report:
    """Train what is not trained yet."""
    wanted, term = training_config.load(stage), Term()
    setup = distillation_models.load_setup(stage)
    logs = Logs(stage.output("training_logs") if stage.is_test else Path(wanted.logs), wanted)
    students: list[Student] = []
    every = training_inputs.trainings(stage, setup, wanted)
    for one in every:
        one.is_ended, one.wrote, one.forgot = term.is_set, logs.write, logs.begin
        student = one.run()
        if student is None or term.code:
            print("ended by a signal; the same command goes on", flush=True)
            sys.exit(term.code)
        students.append(student)
    return report(stage, wanted, every, students, files.read_whole_jsonl(logs.metrics))


def report(
    stage: Stage,
    wanted: Training,
    every: list[trainer.StudentTraining],
    students: list[Student],
    rows: list[dict[str, Any]],
) -> Report:
    """Write the students' file; judge that they have learned."""
    path = stage.output(wanted.students)
    models = {"base_model": every[0].setup.student, "teacher": every[0].setup.teacher, "rank": wanted.rank}
    files.write_json(path, {**models, "digest": every[0].digest, "students": [asdict(one) for one in students]})
    part = max(1, wanted.steps // 10)
    falls = [fall(rows, int(seed), part, wanted.steps) for seed in wanted.seeds]
    best = min(one.val_nll for one in students)
    criteria = [
        Criterion("Every seed ended", len(students) == len(wanted.seeds), f"{len(students)} of {len(wanted.seeds)}"),
        Criterion(
            "The loss fell",
            wanted.steps < FEW_STEPS or all(fall > 0 for fall in falls),
            ", ".join(f"{fall:.4f}" for fall in falls),
        ),
        Criterion("No step is there twice", len(rows) == len({row["step"] for row in rows}), f"{len(rows)} steps"),
    ]
    inputs = [stage.input(name) for name in (training_config.CONFIG, "train.jsonl", "val.jsonl")]
    beside = str(Path(wanted.students).parent)  # a proof of step 12 leaves the manifest of step 13 alone
    metrics = {"students": len(students), "val_nll": best, "steps": len(rows), "least_fall": min(falls)}
    note = f"{len(students)} students, best validation {best:.4f} nats a token"
    return Report(criteria, metrics, note, inputs, [path], manifest_in=beside)


def fall(rows: list[dict[str, Any]], seed: int, part: int, steps: int) -> float:
    """Return the fall of a seed's mean loss from its first steps to its last ones, in nats a token."""
    own = [row for row in rows if row["seed"] == seed]
    first = [row["loss"] for row in own if row["batch"] < part]
    last = [row["loss"] for row in own if row["batch"] >= steps - part]
    return float(sum(first) / max(1, len(first)) - sum(last) / max(1, len(last)))


if __name__ == "__main__":
    run("13_train_student_model", train, __doc__)
