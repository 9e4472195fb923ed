"""The log files of a training: metrics, losses, samples, a manifest."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_lm import files, tokenizer_folder
from small_lm.results import digests, installed

if TYPE_CHECKING:
    from small_lm.data import Corpus
    from small_lm.device import Machine
    from small_lm.model import Llama
    from small_lm.settings import Settings

PACKAGES = (
    "torch",
    "numpy",
    "tokenizers",
    "sentencepiece",
    "safetensors",
    "tensorboardX",
    "transformers",
    "scikit-learn",
    "PyYAML",
)
CHARTED = ("loss", "copy_loss", "lr", "grad_norm", "tokens_per_s", "val_loss", "val_perplexity", "val_accuracy")


class Records:
    """The files of training_logs/; rows after `step`, of an interrupted run, are removed first."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / name for name in ("metrics.jsonl", "loss.txt", "samples.jsonl")]
        for path, step_of in zip(paths, (json_step, text_step, json_step), strict=True):
            rewind(path, step, step_of)
        self.metrics, self.losses, self.samples = (path.open("a", encoding="utf-8", buffering=1) for path in paths)
        self.board = board(folder / "tensorboard", step)

    def stepped(self, row: dict[str, Any]) -> None:
        """Write the row of a step."""
        self.metrics.write(json.dumps(row) + "\n")
        if "loss" in row:
            self.losses.write(f"step {row['step']} loss {row['loss']:.6f}\n")
        self.draw(row)

    def judged(self, row: dict[str, Any]) -> None:
        """Write the row of an evaluation."""
        self.metrics.write(json.dumps(row) + "\n")
        self.draw(row)

    def sampled(self, step: int, prompt: str, text: str) -> None:
        """Write a generated text."""
        self.samples.write(json.dumps({"step": step, "prompt": prompt, "text": text}, ensure_ascii=False) + "\n")

    def draw(self, row: dict[str, Any]) -> None:
        """Write a row's figures to TensorBoard, if tensorboardX is installed."""
        if self.board:
            for name in CHARTED:
                if name in row:
                    self.board.add_scalar(name, row[name], row["step"])

    def close(self) -> None:
        """Close the files."""
        for file in (self.metrics, self.losses, self.samples, *([self.board] if self.board else [])):
            file.close()


def board(folder: Path, step: int) -> Any:
    """Return a writer of TensorBoard's event files, or None without tensorboardX."""
    if not util.find_spec("tensorboardX"):
        return None
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def rewind(path: Path, step: int, step_of: Any) -> None:
    """Remove the lines of steps after `step`, and an incomplete last line."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        files.write_text(path, "".join(line for line in lines if line.endswith("\n") and step_of(line) <= step))


def json_step(line: str) -> int:
    """Return the step of a JSON row."""
    return int(json.loads(line)["step"])


def text_step(line: str) -> int:
    """Return the step of a row `step N loss X`."""
    return int(line.split()[1])


def manifest(settings: Settings, corpus: Corpus, machine: Machine, model: Llama, processes: int = 1) -> dict[str, Any]:
    """Return settings, digests and versions that reproduce the model."""
    return {
        "settings": dataclasses.asdict(settings),
        "seeds": {"model, order, copies, samples": settings.seed},
        "inputs": digests(corpus.inputs),
        "tokenizer": corpus.tokenizer.about() | {"sha256": tokenizer_folder.content_digest(corpus.tokenizer)},
        "tokens": {"sha256": corpus.digest, "vocabulary": corpus.tokenizer.size, "held_out": len(corpus.held_out)},
        "model": {**dataclasses.asdict(model.shape), "parameters": model.size},
        "machine": dataclasses.asdict(machine),
        "processes": processes,
        "versions": {"python": platform.python_version()} | installed(PACKAGES),
        "revision": revision(),
    }


def revision() -> str:
    """Return git's description of this code, with `-dirty` if it was changed; empty outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
