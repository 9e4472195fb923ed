"""Step 12: prove that a training that was killed goes on at its next batch, with the losses of one that was not.

    python scripts/12_prove_resume.py [--test] [key=value ...]

Trains a few batches of the real data twice with scripts/13_train_student_model.py, under outputs/proof/: once to the
end, once killed with SIGKILL after its first checkpoint and started again. Writes outputs/proof/proof.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import Trouble
from common.stage import Criterion, Report, Stage, run
from distillation.student import training_config

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_name("13_train_student_model.py")
FEW: dict[str, Any] = {"steps": 6, "save_every": 2, "batch": 4, "warmup": 1, "val_examples": 8, "targets": "sampled"}
LIMIT_S = 240.0


def prove(stage: Stage) -> Report:
    """Train twice, compare."""
    wanted, folder = training_config.load(stage), stage.output("proof")
    shutil.rmtree(folder, ignore_errors=True)
    plain, killed = (command(stage, folder / name, wanted.seeds[0]) for name in ("plain", "killed"))
    limit_s = max(LIMIT_S, stage.settings.plan.test_timeout_s)
    finished(plain, limit_s)
    stage.progress(1, 2)
    at = cut_off(killed, folder / "killed", limit_s)
    finished(killed, limit_s)
    stage.progress(2, 2)
    losses = [
        [row["loss"] for row in files.read_whole_jsonl(folder / name / "logs/metrics.jsonl")]
        for name in ("plain", "killed")
    ]
    path = folder / "proof.json"
    files.write_json(path, {"killed_at_batch": at, "steps": FEW["steps"], "plain": losses[0], "killed": losses[1]})
    inputs = [stage.input(name) for name in (training_config.CONFIG, "train.jsonl", "val.jsonl")]
    again = max((abs(a - b) for a, b in zip(*losses, strict=False)), default=0.0)
    criteria = [
        Criterion("It was cut off after a checkpoint", 0 < at < FEW["steps"], f"at batch {at} of {FEW['steps']}"),
        Criterion("Every step is there once", [len(one) for one in losses] == [FEW["steps"]] * 2, f"{losses[1]}"),
        Criterion(
            "The losses are the same", again <= wanted.proof_nats, f"largest difference {again:.3g} nats a token"
        ),
    ]
    metrics = {"killed_at_batch": at, "largest_difference": again, "beyond": max(0.0, again - wanted.proof_nats)}
    return Report(criteria, metrics, f"killed at batch {at}, gone on", inputs, [path])


def command(stage: Stage, folder: Path, seed: str) -> list[str]:
    """Return the command of a short training that keeps everything in `folder`."""
    few = [f"training.{name}={value}" for name, value in FEW.items()]
    where = [f"training.{name}={folder / name}" for name in ("checkpoints", "logs")]
    where.append(f"training.students={folder.relative_to(stage.settings.outputs) / 'students.json'}")
    profile = ["--profile", stage.settings.profile_file or stage.settings.profile]
    return [sys.executable, str(SCRIPT), *profile, *stage.overrides, *few, *where, f"training.seeds=['{seed}']"]


def environ() -> dict[str, str]:
    """Return an environment without the variables of the step."""
    return {name: value for name, value in os.environ.items() if name not in ("DO_TASKS_RESULT", "DO_TASKS_TEST")}


def finished(words: Sequence[str], limit_s: float) -> None:
    """Run a training to its end; raise Trouble with its output if it fails."""
    try:
        done = subprocess.run(words, env=environ(), capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"a training of {FEW['steps']} steps took more than {limit_s:g} s: try again later") from error
    if done.returncode:
        raise Trouble(f"the short training ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def cut_off(words: Sequence[str], folder: Path, limit_s: float) -> int:
    """Kill a training once it has a checkpoint; return the batch that comes next, 0 without a checkpoint."""
    child = subprocess.Popen(words, env=environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + limit_s
    try:
        while child.poll() is None and time.monotonic() < until and not saved(folder):
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait(10)
    rows = saved(folder)
    return int(rows[-1]["batch"]) if rows else 0


def saved(folder: Path) -> list[dict[str, int]]:
    """Return the checkpoints of the only seed."""
    found = list(folder.glob("checkpoints/seed_*/checkpoints.jsonl"))
    return files.read_whole_jsonl(found[0]) if found else []


if __name__ == "__main__":
    run("12_prove_resume", prove, __doc__)
