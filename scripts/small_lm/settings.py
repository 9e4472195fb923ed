"""Every setting of a language model's training with its default."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from small_lm import config
from small_lm.setting_rules import IMAGE_TOKENS, refuse_odd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Settings", "load", "refuse_odd", "tried"]

CONFIGS = Path(__file__).resolve().parent / "configs"
VARIABLES = "SMALL_LM"  # run.steps is SMALL_LM_RUN_STEPS
AnySettings = TypeVar("AnySettings", bound="Settings")


@dataclass(frozen=True)
class Text:
    """The texts: `files` are globs, relative to `data` unless absolute; `held_out` names files for validation only.

    Without `held_out` the last `val_share` of each file is for validation. Of .csv, .tsv, .jsonl and .parquet files
    each row is a document, its text stands in `column`. `hub` names a data set of the Hugging Face hub instead.
    Kind: `text`; `chat`: rows of messages, of which the replies of the assistant are learned; `digits`: images of
    scikit-learn, of which the digit is learned.
    """

    kind: str = "text"
    files: tuple[str, ...] = ("**/*.txt",)
    held_out: tuple[str, ...] = ()
    val_share: float = 0.1
    column: str = "text"
    hub: str = ""
    subset: str = ""
    split: str = "train"


@dataclass(frozen=True)
class Tokenizer:
    """Kind: `char`, `bpe`, `sentencepiece` (its BPE) or `unigram` (SentencePiece as well)."""

    kind: str = "bpe"
    vocab_size: int = 2048


@dataclass(frozen=True)
class Model:
    """Kind: `transformer` or `rnn` (LSTM). Preset: `tiny`, `1m`, `3m`, `5m`, `10m`, `30m`, `95m`.

    Init: `normal`, or `induction` with a copy warm-up.

    `layers`, `width`, `heads` and `inner` (of the feed-forward part) change the preset; 0 leaves it as it is.
    `dropout`: the share of what each part adds that is zero in training. `from` names the folder of a model to go on
    from, of small-lm or of Hugging Face; shape and tokenizer are then its own.
    """

    from_: str = ""
    kind: str = "transformer"
    preset: str = "1m"
    context: int = 1024
    init: str = "normal"
    layers: int = 0
    width: int = 0
    heads: int = 0
    inner: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class Optimiser:
    """The optimizer: `muon` (for matrices; AdamW for the rest) or `adamw`; schedule: `cosine` or `flat` then linear."""

    name: str = "muon"
    lr: float = 6e-3
    adamw_lr: float = 3e-3
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: int = 50
    decay_from: float = 0.5
    min_share: float = 0.05
    clip: float = 1.0
    accumulate: int = 1


@dataclass(frozen=True)
class Copy:
    """The copy warm-up of init=induction: copies alone until `until_loss`, then a `share` of the steps for a while.

    The warm-up runs at `rate_share` of the peak rates: the full rates destroy the circuit.
    """

    until_loss: float = 0.6
    rate_share: float = 0.5
    max_steps: int = 400
    share: float = 0.1
    until_share: float = 0.7


@dataclass(frozen=True)
class Run:
    """Steps, batch size and device; windows of `length` tokens, late in the run of `long_length` (0: never).

    `compile`: by torch.compile, which takes a minute first.
    """

    steps: int = 1000
    batch_tokens: int = 2048
    length: int = 256
    long_length: int = 0
    long_from: float = 0.7
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    threads: int = 0
    log_every: int = 10


@dataclass(frozen=True)
class Judge:
    """Evaluation on held-out text; `patience` is the number of evaluations without a better loss (0: no early stop)."""

    every: int = 100
    batches: int = 20
    patience: int = 0
    min_gain: float = 0.0


@dataclass(frozen=True)
class Sample:
    """Text generated every `every` steps (0: never); temperature 0 takes the most likely token."""

    every: int = 200
    prompts: tuple[str, ...] = ("",)
    max_length: int = 60
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Keep:
    """Checkpoints to keep: the last N in full, the weights of the best K; `second_home`: any fsspec URL."""

    every: int = 100
    last: int = 2
    best: int = 3
    second_home: str = ""


@dataclass(frozen=True)
class Settings:
    """All settings; a nested one is `group.key=value`; `resume`: `auto` (when do-tasks says so), `always`, `never`."""

    data: str = "data"
    outputs: str = "outputs/lm"
    seed: int = 17
    resume: str = "auto"
    text: Text = field(default_factory=Text)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    model: Model = field(default_factory=Model)
    optimiser: Optimiser = field(default_factory=Optimiser)
    copy: Copy = field(default_factory=Copy)
    run: Run = field(default_factory=Run)
    judge: Judge = field(default_factory=Judge)
    sample: Sample = field(default_factory=Sample)
    keep: Keep = field(default_factory=Keep)


def load(
    profile: str = "",
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    *,
    configs: Path = CONFIGS,
) -> Settings:
    """Return settings; the command line beats the environment, which beats the profile, which beats the defaults."""
    path = config.profile_path(profile or "local", configs)
    settings = config.layered(Settings(), path, overrides, environ, VARIABLES)
    refuse_odd(settings)
    return settings


def tried(settings: AnySettings) -> AnySettings:
    """Return the settings of a --test: a few steps of a tiny model, in a folder of its own."""
    short = IMAGE_TOKENS if settings.text.kind == "digits" else 32
    is_fresh = not settings.model.from_
    return dataclasses.replace(
        settings,
        outputs=os.path.join(settings.outputs, "test"),
        tokenizer=dataclasses.replace(settings.tokenizer, kind="char") if is_fresh else settings.tokenizer,
        model=Model(preset="tiny", context=max(64, short), kind=settings.model.kind) if is_fresh else settings.model,
        run=dataclasses.replace(settings.run, steps=4, batch_tokens=128, length=short, long_length=0, log_every=1),
        judge=dataclasses.replace(settings.judge, every=2, batches=1),
        sample=dataclasses.replace(settings.sample, every=4, max_length=8),
        keep=dataclasses.replace(settings.keep, every=2),
    )
