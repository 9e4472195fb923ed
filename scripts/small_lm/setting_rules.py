"""The rule of every setting: what a training can run with. It needs no torch, so that it is judged first."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_lm import base_model
from small_lm.config import did_you_mean, get
from small_lm.errors import USAGE, Trouble
from small_lm.shapes import PRESETS, shaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from small_lm.settings import Settings

SPECIAL_TOKENS, BYTES = 4, 256
LEAST_TEMPERATURE = 1e-3
MOST_SEED = 2**40
MOST_THREADS = 1024
MOST_CONTEXT = 131_072
IMAGE_TOKENS = 66  # <bos>, 64 pixels, the sign before the label
PACKAGES = {"bpe": "tokenizers", "sentencepiece": "sentencepiece", "unigram": "sentencepiece"}
LEAST_SIZE = {"char": SPECIAL_TOKENS + 1} | dict.fromkeys(PACKAGES, BYTES + SPECIAL_TOKENS)


@dataclass(frozen=True)
class Range:
    """Finite numbers from `least` to `most`; the ends themselves may be left out."""

    least: float = 0
    most: float = math.inf
    is_above: bool = False
    is_below: bool = False

    def holds(self, value: Any) -> bool:
        """Return True for a number in the range."""
        is_low = value <= self.least if self.is_above else value < self.least
        is_high = value >= self.most if self.is_below else value > self.most
        return math.isfinite(value) and not is_low and not is_high

    def __str__(self) -> str:
        least = f"above {self.least:g}" if self.is_above else f"{self.least:g} or more"
        most = f", {'below' if self.is_below else 'at most'} {number(self.most)}" if math.isfinite(self.most) else ""
        return least + most


def number(value: float) -> str:
    """Return a number as a person writes it: a whole one with all its digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


@dataclass(frozen=True)
class Temperature:
    """Zero for the likeliest token, else a number that float32 can divide by."""

    def holds(self, value: Any) -> bool:
        """Return True for 0, and from 0.001 on."""
        return bool(value == 0 or (math.isfinite(value) and value >= LEAST_TEMPERATURE))

    def __str__(self) -> str:
        return f"0, or {LEAST_TEMPERATURE} or more"


@dataclass(frozen=True)
class OneOf:
    """Some words."""

    names: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Return True for one of them."""
        return value in self.names

    def __str__(self) -> str:
        *others, last = self.names
        return f"{', '.join(others)} or {last}"


@dataclass(frozen=True)
class Filled:
    """A text or a list that is not empty."""

    def holds(self, value: Any) -> bool:
        """Return True if there is anything in it but spaces."""
        return bool(value) and all(str(part).strip() for part in ([value] if isinstance(value, str) else value))

    def __str__(self) -> str:
        return "a text that is not empty"


@dataclass(frozen=True)
class Anything:
    """Any value of the right type."""

    def holds(self, _value: Any) -> bool:
        """Return True."""
        return True


Rule = Range | Temperature | OneOf | Filled | Anything
COUNT, AMOUNT, POSITIVE, SHARE, ANYTHING = Range(1), Range(0), Range(is_above=True), Range(0, 1), Anything()

RULES: dict[str, Rule] = {
    "data": Filled(),
    "outputs": Filled(),
    "seed": Range(0, MOST_SEED),
    "resume": OneOf(("auto", "always", "never")),
    "text.kind": OneOf(("text", "chat", "digits")),
    "text.files": Filled(),
    "text.held_out": ANYTHING,
    "text.val_share": Range(0, 1, is_above=True, is_below=True),
    "text.column": Filled(),
    "text.hub": ANYTHING,
    "text.subset": ANYTHING,
    "text.split": Filled(),
    "tokenizer.kind": OneOf(tuple(LEAST_SIZE)),
    "tokenizer.vocab_size": COUNT,
    "model.from": ANYTHING,
    "model.kind": OneOf(("transformer", "rnn")),
    "model.preset": OneOf(tuple(PRESETS)),
    "model.layers": AMOUNT,
    "model.width": AMOUNT,
    "model.heads": AMOUNT,
    "model.inner": AMOUNT,
    "model.dropout": Range(0, 1, is_below=True),
    "model.context": Range(1, MOST_CONTEXT),
    "model.init": OneOf(("normal", "induction")),
    "optimiser.name": OneOf(("muon", "adamw")),
    "optimiser.lr": POSITIVE,
    "optimiser.adamw_lr": POSITIVE,
    "optimiser.weight_decay": AMOUNT,
    "optimiser.schedule": OneOf(("cosine", "flat")),
    "optimiser.warmup": AMOUNT,
    "optimiser.decay_from": SHARE,
    "optimiser.min_share": SHARE,
    "optimiser.clip": AMOUNT,
    "optimiser.accumulate": COUNT,
    "copy.until_loss": POSITIVE,
    "copy.rate_share": POSITIVE,
    "copy.max_steps": COUNT,
    "copy.share": SHARE,
    "copy.until_share": SHARE,
    "run.steps": COUNT,
    "run.batch_tokens": COUNT,
    "run.length": COUNT,
    "run.long_length": AMOUNT,
    "run.long_from": SHARE,
    "run.device": OneOf(("auto", "cpu", "cuda", "mps")),
    "run.precision": OneOf(("auto", "float32", "bfloat16", "float16", "fp32", "bf16", "fp16")),
    "run.compile": ANYTHING,
    "run.threads": Range(0, MOST_THREADS),
    "run.log_every": AMOUNT,
    "judge.every": AMOUNT,
    "judge.batches": COUNT,
    "judge.patience": AMOUNT,
    "judge.min_gain": AMOUNT,
    "sample.every": AMOUNT,
    "sample.prompts": ANYTHING,
    "sample.max_length": AMOUNT,
    "sample.temperature": Temperature(),
    "sample.top_k": AMOUNT,
    "sample.top_p": Range(0, 1, is_above=True),
    "sample.repetition_penalty": Range(1e-3, 1e3),
    "sample.stop": ANYTHING,
    "keep.every": AMOUNT,
    "keep.last": COUNT,
    "keep.best": AMOUNT,
    "keep.second_home": ANYTHING,
}


def refuse_odd(settings: Settings) -> None:
    """Raise Trouble for the first setting that no training can run with."""
    for name, rule in RULES.items():
        refuse(name, get(settings, name), rule)
    for line in together(settings):
        raise Trouble(line, USAGE)


def refuse(name: str, value: Any, rule: Rule) -> None:
    """Raise Trouble for a value that breaks its rule."""
    if not rule.holds(value):
        near = did_you_mean(str(value), rule.names) if isinstance(rule, OneOf) else ""
        raise Trouble(f"{name} must be {rule}, got {shown(value)}{near}", USAGE)


def shown(value: Any) -> str:
    """Return a value as a person wrote it."""
    return repr(value) if isinstance(value, (str, tuple)) else f"{value:g}" if isinstance(value, float) else f"{value}"


def together(settings: Settings) -> Iterator[str]:
    """Yield a line for each setting that does not fit to the others, or to this machine."""
    run = settings.run
    window = "long_length" if run.long_length > run.length else "length"
    longest = getattr(run, window)
    kind, size = settings.tokenizer.kind, settings.tokenizer.vocab_size
    context = base_model.context_of(settings.model)
    named = f"the {context} tokens that the model of model.from reads" if settings.model.from_ else "model.context"
    needs = {
        f"run.batch_tokens must be {longest} or more, one window of run.{window}": run.batch_tokens >= longest,
        f"{named} must be {longest} or more, one window of run.{window}": context >= longest,
        f"{kind} needs tokenizer.vocab_size={LEAST_SIZE[kind]} or more: "
        + ("every byte has a token" if kind in PACKAGES else "special tokens are four"): size >= LEAST_SIZE[kind],
    }
    yield from (line for line, is_met in needs.items() if not is_met)
    yield from blocked(Path(settings.outputs))
    yield from kind_problems(settings)
    if settings.model.from_:
        yield from base_model.problems(settings)
        yield from missing("")
        return
    shape = shaped(settings.model, vocab_size=size)
    if settings.model.init == "induction" and settings.model.kind == "rnn":
        yield "model.init=induction plants attention, which model.kind=rnn has not: leave it out"
    elif settings.model.init == "induction" and (shape.layers < 3 or shape.heads < 2):
        yield "model.init=induction needs 3 layers and 2 heads: choose a larger model.preset"
    yield from missing(kind)


def kind_problems(settings: Settings) -> Iterator[str]:
    """Yield a line for each setting that the kind of the texts excludes."""
    kind, run, is_trained = settings.text.kind, settings.run, bool(settings.model.from_)
    if kind == "text":
        return
    if kind == "chat" and not is_trained:
        yield "text.kind=chat goes on from a trained model: set model.from=FOLDER"
    if kind == "digits" and is_trained:
        yield "text.kind=digits has a vocabulary of its own: leave out model.from"
    if kind == "digits" and run.length < IMAGE_TOKENS:
        yield f"text.kind=digits needs run.length={IMAGE_TOKENS} or more: an image is so long"
    if settings.text.hub:
        yield f"text.kind={kind} reads no data set of the hub: leave out text.hub"
    if run.long_length:
        yield f"text.kind={kind} has windows of one length: leave out run.long_length"
    if kind == "digits" and not importlib.util.find_spec("sklearn"):
        yield "text.kind=digits needs scikit-learn: pip install scikit-learn"


def missing(kind: str) -> Iterator[str]:
    """Yield a line if torch or the package of a kind of tokenizer is not installed."""
    package = PACKAGES.get(kind)
    if not importlib.util.find_spec("torch"):
        yield "torch is not installed: pip install 'do-tasks[small-lm]'"
    elif package and not importlib.util.find_spec(package):
        yield f"{package} is not installed: pip install {package}, or set tokenizer.kind=char"


def blocked(outputs: Path) -> Iterator[str]:
    """Yield a line if the folder of the outputs cannot be written to."""
    there = next(path for path in (outputs.absolute(), *outputs.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        yield f"outputs={outputs} cannot be a folder: {there} is a file; set outputs=ANOTHER"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"outputs={outputs} cannot be written: {there} refuses this user; set outputs=ANOTHER"
