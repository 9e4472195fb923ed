"""Train a language model: the loop, its preparation, the export."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from small_lm import base_model, data, device, files, foreign_model, hf_format, metrics_log, processes, texts
from small_lm.checkpoints import Checkpoints
from small_lm.errors import Trouble
from small_lm.results import write_result
from small_lm.train_state import METRIC, Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from small_lm.checkpoints import Loaded
    from small_lm.data import Corpus
    from small_lm.metrics_log import Records
    from small_lm.processes import Processes
    from small_lm.settings import Settings
    from small_lm.tokenizers import Tokenizer


LEFT = ("training_logs", "checkpoints", "model")  # files that only a run with training steps writes


class Term:
    """A flag that SIGTERM or SIGINT sets; the loop checks it between two steps."""

    def __init__(self) -> None:
        self.code = 0

    def listen(self) -> None:
        """Install the signal handlers; a second SIGINT ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.record_signal)

    def record_signal(self, number: int, _frame: object) -> None:
        """Record a signal."""
        self.code = 128 + number
        signal.signal(signal.SIGINT, signal.default_int_handler)


def loop(training: Training, written: Records, kept: Checkpoints, term: Term) -> int:
    """Train, evaluate, sample and save until all steps are done or a signal arrives; return the signal's exit code."""
    code = training.together.most(term.code)
    while not (training.is_over or code):
        row = training.advance()
        written.stepped(row)
        code = training.together.most(term.code)
        refuse_broken(row)
        print_progress(training, row)
        judged = judge(training, written)
        sample(training, written)
        save(training, kept, judged, is_ending=code > 0)
    return code


def follow(training: Training, term: Term) -> int:
    """Train as another process than the first: the same steps, and nothing is written. Return a signal's exit code."""
    code = training.together.most(term.code)
    while not (training.is_over or code):
        row = training.advance()
        code = training.together.most(term.code)
        refuse_broken(row)
        if is_judged(training):
            training.judge()
    return code


def is_judged(training: Training) -> bool:
    """Return True if an evaluation is due: at the end and every so many steps, but not in the copy warm-up."""
    is_time = training.copying.is_warm and is_due(training.step, training.chosen.judge.every)
    return training.is_over or is_time


def judge(training: Training, written: Records) -> dict[str, Any]:
    """Evaluate the model when due; return the row, else an empty one."""
    if not is_judged(training):
        return {}
    row = training.judge()
    written.judged(row)
    print(", ".join(f"{name} {value:.5g}" for name, value in row.items()), flush=True)
    return row


def sample(training: Training, written: Records) -> None:
    """Generate text when due."""
    if training.is_over or is_due(training.step, training.chosen.sample.every):
        for prompt, text in training.sample():
            written.sampled(training.step, prompt, text)


def save(training: Training, kept: Checkpoints, judged: dict[str, Any], *, is_ending: bool) -> None:
    """Save a checkpoint when due: in full, or after an evaluation the weights with their metrics."""
    is_full = is_ending or training.is_over or is_due(training.step, training.chosen.keep.every)
    if is_full or judged:
        metrics = {METRIC: judged[METRIC]} if judged else {}
        full = training.state() if is_full else None
        kept.save(training.step, weights=training.model.state_dict(), full=full, metrics=metrics)


def is_due(step: int, every: int) -> bool:
    """Return True every `every` steps; 0 is never."""
    return every > 0 and step % every == 0


def refuse_broken(row: dict[str, Any]) -> None:
    """Raise Trouble for a loss that is not finite, before the broken weights are saved."""
    if not all(math.isfinite(row.get(name, 0.0)) for name in ("loss", "copy_loss", "grad_norm")):
        raise Trouble(f"step {row['step']}: the loss or its gradient is not finite: lower optimiser.lr")


def print_progress(training: Training, row: dict[str, Any]) -> None:
    """Print progress, for progress bars and for people."""
    if is_due(training.step, training.chosen.run.log_every) or training.is_over:
        print(json.dumps({"progress": {"done": training.step, "total": training.total}}), flush=True)
        name = "loss" if "loss" in row else "copy_loss"
        pace = f"lr {row['lr']:.2e} {row['tokens_per_s']:,.0f} tokens/s"
        print(f"step {training.step}/{training.total} {name} {row[name]:.4f} {pace}", flush=True)


# Before and after


def train(chosen: Settings, corpus: Corpus, kept: Checkpoints, term: Term) -> int:
    """Train a fresh model in one process, or resume; return the exit code."""
    here = device.choose(chosen.run)
    torch.set_num_threads(here.threads)
    return carry_out(Training(chosen, corpus, here), kept, term)


def carry_out(training: Training, kept: Checkpoints, term: Term) -> int:
    """Train, or resume; return the exit code. The best weights are written to `outputs`/model."""
    resume(training, kept)
    introduce(training, kept)
    written = metrics_log.Records(Path(training.chosen.outputs, "training_logs"), training.step)
    try:
        code = loop(training, written, kept, term)
    finally:
        written.close()
    if not training.is_over:
        return code
    export(training, kept)
    write_result(metrics={"steps": training.step, METRIC: training.best})
    return 0


def resume(training: Training, kept: Checkpoints | None) -> None:
    """Go on from the newest full checkpoint if that is asked for; the first process reads it for all."""
    if not goes_on(training.chosen):
        return
    found = training.together.once(lambda: kept.newest_full() if kept else None)
    if found:
        go_on(training, found)


def go_on(training: Training, found: Loaded) -> None:
    """Resume from a checkpoint; if it is of another training, remove the new tokenizer and raise Trouble."""
    try:
        training.load(found)
    except Trouble:
        if training.corpus.tokenizer.is_fresh:  # else it would be taken for the tokenizer of the checkpoints
            for name in ("tokenizer", data.TOKENS):
                shutil.rmtree(Path(training.chosen.outputs, name), ignore_errors=True)
        raise
    print(f"going on after step {training.step}", flush=True)


def goes_on(chosen: Settings) -> bool:
    """Return True to resume from the newest checkpoint: if do-tasks or the command line asks for it."""
    return chosen.resume == "always" or (chosen.resume == "auto" and bool(os.environ.get("DO_TASKS_RESUME")))


def introduce(training: Training, kept: Checkpoints) -> None:
    """Write the manifest; print the size of the model and of its checkpoints."""
    chosen, model, here = training.chosen, training.model, training.here
    about = metrics_log.manifest(chosen, training.corpus, here, model, training.together.size)
    files.write_json(Path(chosen.outputs, "manifest.json"), about)
    weights = 4 * model.size
    moments = 2 if chosen.optimiser.name == "adamw" else 1
    saves = chosen.run.steps // max(1, chosen.keep.every) + 1
    print(f"{model.size:,} parameters on {here.device} in {here.precision}, {here.threads} threads")
    print(kept.projection(weights, weights * (1 + moments), saves), flush=True)


def export(training: Training, kept: Checkpoints) -> None:
    """Write the model's folder with the best weights of the checkpoints, else the last weights."""
    best = kept.best()
    if best:
        training.model.load_state_dict(best.weights)
    folder = Path(training.chosen.outputs, "model")
    hf_format.save(folder, training.model, training.corpus.tokenizer)
    print(f"wrote {folder}" + (f" (step {best.step})" if best else ""), kept.measured(), sep="\n", flush=True)


def put_aside(folder: Path) -> None:
    """Rename the folder of an earlier run, so that the new run starts empty; a tokenizer alone is no run."""
    if any((folder / name).exists() for name in LEFT):
        number = next(n for n in range(1, sys.maxsize) if not Path(f"{folder}.{n}").exists())
        folder.rename(f"{folder}.{number}")
        print(f"an earlier run is now in {folder}.{number}")


def run(chosen: Settings) -> int:
    """Train with these settings; return the exit code. All that can be judged is judged before a file is written."""
    here = device.choose(chosen.run)
    torch.set_num_threads(here.threads)
    with processes.joined(here.device, chosen.run) as together:
        found = texts.find(chosen)
        model, tokenizer = base(chosen)
        examples = data.of_examples(chosen, found, tokenizer)

        def prepared() -> Training:
            corpus = examples or data.corpus(chosen, found, Path(chosen.outputs, "tokenizer"), tokenizer)
            return Training(chosen, corpus, here, model, together)

        return lead(chosen, prepared, together) if together.is_first else take_part(prepared, together)


def lead(chosen: Settings, prepared: Callable[[], Training], together: Processes) -> int:
    """Prepare the files and train; return the exit code."""
    folder, term, keep = Path(chosen.outputs), Term(), chosen.keep
    if not goes_on(chosen):
        put_aside(folder)
    term.listen()
    with Checkpoints(
        folder / "checkpoints", keep_last=keep.last, keep_best=keep.best, metric=METRIC, second_home=keep.second_home
    ) as kept:
        training = prepared()
        together.wait()
        return carry_out(training, kept, term)


def take_part(prepared: Callable[[], Training], together: Processes) -> int:
    """Train as another process than the first, which has prepared the files; return the exit code."""
    term = Term()
    term.listen()
    together.wait()
    training = prepared()
    resume(training, None)
    code = follow(training, term)
    return 0 if training.is_over else code


def base(chosen: Settings) -> tuple[Any, Tokenizer | None]:
    """Return the model to go on from with its tokenizer; None and None without model.from."""
    if not chosen.model.from_:
        return None, None
    folder = base_model.folder_of(Path(chosen.model.from_))
    model, tokenizer = (
        hf_format.read(folder) if base_model.is_own(folder) else foreign_model.load(folder, is_trained=True)
    )
    if chosen.model.dropout:
        model.drop(chosen.model.dropout)
    data.refuse_long_prompts(chosen, tokenizer)
    return model, tokenizer
