"""Times a step of our trainer beside the bare torch step, the Hugging Face Trainer, Lightning.

    python benchmarks/trainer.py [--preset 1m,10m] [--rounds N] [--steps N] [--threads N] [--write PAGE]

All train a Llama of one shape with AdamW on the same windows in float32, in turn, in one process: compare the ratios
of one run. Bare torch and this trainer train the model of small_lm, Hugging Face and Lightning transformers' own Llama;
this trainer's AdamW is fused, the others are as their authors leave them. What is not installed is left out and said
(pip install -c constraints.txt torch==2.13.0 -r requirements/demo.txt lightning).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import torch
from torch import nn

from small_lm import data, device, metrics_log, settings, train
from small_lm.checkpoints import Checkpoints
from small_lm.model import loss_of
from small_lm.train_state import METRIC, Training

if TYPE_CHECKING:
    from collections.abc import Callable

VOCABULARY, LENGTH, ROWS = 2048, 256, 8
TOKENS = VOCABULARY * 100
WARM = 2
SAVES = 100  # steps between two checkpoints, as the default is


@dataclass(frozen=True)
class Words:
    """Stands for a tokenizer: the windows are random tokens."""

    size: int = VOCABULARY
    specials: tuple[str, ...] = ("<pad>",)


def chosen(preset: str, steps: int, threads: int) -> settings.Settings:
    """Return the settings of a training that only steps."""
    base = settings.Settings()
    run = {"steps": steps, "batch_tokens": LENGTH * ROWS, "length": LENGTH, "precision": "float32", "threads": threads}
    return replace(
        base,
        model=replace(base.model, preset=preset),
        optimiser=replace(base.optimiser, name="adamw", lr=1e-3, adamw_lr=1e-3, warmup=1),
        run=replace(base.run, **run),
    )


def training_of(preset: str, steps: int, threads: int) -> Training:
    """Return a fresh training on random windows."""
    wanted = chosen(preset, steps, threads)
    tokens = torch.randint(VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(1))
    corpus = data.Corpus(Words(), data.Windows(tokens, 1), tokens[:4096], data.digest(tokens), [])
    return Training(wanted, corpus, device.choose(wanted.run))


class Bare:
    """The step that is owed: forward, backward, clip, step; windows cut beforehand."""

    def __init__(self, preset: str, threads: int) -> None:
        training = training_of(preset, 10**6, threads)
        self.model, self.source = training.model, training.source
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)

    def __call__(self, steps: int) -> list[float]:
        batches = [self.source.next(ROWS, LENGTH) for _ in range(steps)]
        return [timed(self.step, inputs, targets) for inputs, targets in batches]

    def step(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Do one."""
        loss_of(self.model, inputs, targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


class Ours:
    """The trainer as scripts/train_lm.py runs it: window, step, metrics, TensorBoard, loss.txt, the line on stdout."""

    def __init__(self, preset: str, threads: int, folder: Path) -> None:
        self.training = training_of(preset, 10**6, threads)
        self.written = metrics_log.Records(folder, 0)

    def __call__(self, steps: int) -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            return [timed(self.step) for _ in range(steps)]

    def step(self) -> None:
        """Do one."""
        row = self.training.advance()
        self.written.stepped(row)
        train.refuse_broken(row)
        train.print_progress(self.training, row)


class Windows(torch.utils.data.Dataset):
    """The same windows for the others."""

    def __init__(self, training: Training, count: int) -> None:
        self.rows = training.source.next(count, LENGTH)[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[number], "labels": self.rows[number]}


def llama(preset: str) -> nn.Module:
    """Return the same architecture as transformers has it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = training_of(preset, 1, 1).model.shape
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        attention_bias=True,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


class HuggingFace:
    """The Hugging Face Trainer: from one step's beginning to the next one's."""

    def __init__(self, preset: str, threads: int, folder: Path) -> None:
        self.model, self.folder = llama(preset), folder
        self.data = Windows(training_of(preset, 1, threads), ROWS * 200)

    def __call__(self, steps: int) -> list[float]:
        from transformers import Trainer, TrainerCallback, TrainingArguments

        marks: list[float] = []

        class Clock(TrainerCallback):
            def on_step_begin(self, *_args: object, **_more: object) -> None:
                marks.append(time.perf_counter())

        wanted = TrainingArguments(
            output_dir=str(self.folder),
            max_steps=steps + 1,
            per_device_train_batch_size=ROWS,
            learning_rate=1e-3,
            save_strategy="no",
            report_to=[],
            logging_steps=10,
            disable_tqdm=True,
            use_cpu=True,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            Trainer(self.model, wanted, train_dataset=self.data, callbacks=[Clock()]).train()
        return between(marks)


class Lightning:
    """Lightning's Trainer: from one batch's beginning to the next one's."""

    def __init__(self, preset: str, threads: int, folder: Path) -> None:
        self.model, self.folder = llama(preset), folder
        self.data = Windows(training_of(preset, 1, threads), ROWS * 200)

    def __call__(self, steps: int) -> list[float]:
        import lightning

        marks: list[float] = []
        inner = self.model

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def training_step(self, batch: dict[str, torch.Tensor], _number: int) -> torch.Tensor:
                marks.append(time.perf_counter())
                return self.inner(**batch).loss

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)

        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = lightning.Trainer(
            max_steps=steps + 1,
            accelerator="cpu",
            gradient_clip_val=1.0,
            enable_model_summary=False,
            default_root_dir=self.folder,
            **quiet,
        )
        trainer.fit(Module(), torch.utils.data.DataLoader(self.data, batch_size=ROWS, shuffle=True))
        return between(marks)


def timed(act: Callable[..., None], *given: object) -> float:
    """Return how long a call took, in seconds."""
    began = time.perf_counter()
    act(*given)
    return time.perf_counter() - began


def between(marks: list[float]) -> list[float]:
    """Return the times between marks."""
    return [later - earlier for earlier, later in pairwise(marks)]


def stall(preset: str, threads: int, folder: Path, step_s: float) -> float:
    """Return the share of a training that saving takes: one save, full and best, every SAVES steps."""
    training = training_of(preset, 10**6, threads)
    training.advance()
    saves = []
    with Checkpoints(folder, keep_last=2, keep_best=3, metric=METRIC) as kept:
        for number in range(7):
            began = time.perf_counter()
            weights = dict(training.model.state_dict())
            kept.save(number, weights=weights, full=training.state(), metrics={METRIC: 1.0 / (number + 1)})
            saves.append(time.perf_counter() - began)
    return statistics.median(saves) / (SAVES * step_s + statistics.median(saves))


def measure(preset: str, given: argparse.Namespace, folder: Path) -> list[str]:
    """Time all in turn; return the lines of a table."""
    rows: dict[str, Callable[[int], list[float]]] = {"bare torch": Bare(preset, given.threads)}
    rows["do-tasks"] = Ours(preset, given.threads, folder / "ours")
    if importlib.util.find_spec("accelerate"):
        rows["Hugging Face Trainer"] = HuggingFace(preset, given.threads, folder / "hf")
    if importlib.util.find_spec("lightning"):
        rows["Lightning"] = Lightning(preset, given.threads, folder / "lightning")
    times: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(given.rounds + 1):
        for name, run in rows.items():
            taken = run(given.steps)
            times[name] += taken[WARM:] if number else []
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    base = medians["bare torch"]
    lines = [f"| {preset} | {name} | {1000 * took:.1f} | {took / base:.3f} |" for name, took in medians.items()]
    share = stall(preset, given.threads, folder / "saves", medians["do-tasks"])
    return [*lines, f"| {preset} | saving, every {SAVES} steps | | {share:.2%} of the time |"]


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="1m,10m")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(given.threads)
    lines = ["| preset | trainer | ms a step | beside bare torch |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for preset in given.preset.split(","):
            lines += measure(preset, given, Path(folder, preset))
    load = os.getloadavg()[0]
    lines += ["", f"{given.rounds} rounds of {given.steps} steps, {given.threads} threads, load {load:.1f} at the end."]
    print("\n".join(lines))
    if given.write:
        given.write.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
