"""Texts as one stream of tokens, cut into batches; the position in the stream is part of a training's state."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from small_lm import files, tokenizer_folder
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from small_lm.settings import Settings
    from small_lm.settings import Text as Chosen
    from small_lm.tokenizers import Tokenizer

Pair = tuple[Tensor, Tensor]  # inputs and targets, both (B, T); a target of -100 does not count


class Source(Protocol):
    """An endless source of batches; it resumes from a `state` exactly."""

    def next(self, size: int, length: int) -> Pair:
        """Return `size` windows of `length` tokens."""

    def state(self) -> dict[str, Any]:
        """Return the position."""

    def load(self, state: dict[str, Any]) -> None:
        """Go to the position of `state`."""


@dataclass(frozen=True)
class Corpus:
    """Training and validation data; `digest` identifies the corpus."""

    tokenizer: Tokenizer
    source: Source
    held_out: Tensor
    digest: str
    inputs: list[Path]


@dataclass(frozen=True)
class Text:
    """The text of one file."""

    path: Path
    body: str


class Windows:
    """Windows of a token stream, each once an epoch, in a new random order for every epoch."""

    def __init__(self, tokens: Tensor, seed: int) -> None:
        self.tokens, self.seed = tokens, seed
        self.epoch, self.taken, self.length = 0, 0, 0
        self.starts: list[int] = []

    def next(self, size: int, length: int) -> Pair:
        """Return inputs and targets of `size` windows, (size, length) each; targets are one token ahead."""
        if length != self.length:
            self.begin(self.epoch + (self.length > 0), length)
        rows = torch.stack([self.tokens[start : start + length + 1] for start in self.take(size)])
        return rows[:, :-1], rows[:, 1:]

    def take(self, size: int) -> Iterator[int]:
        """Yield the starts of the next windows, across epochs."""
        for _ in range(size):
            if self.taken == len(self.starts):
                self.begin(self.epoch + 1, self.length)
            self.taken += 1
            yield self.starts[self.taken - 1]

    def begin(self, epoch: int, length: int) -> None:
        """Shuffle the order of an epoch; it depends on seed, epoch and length alone."""
        if len(self.tokens) <= 2 * length:
            raise Trouble(f"{len(self.tokens)} tokens are too few for windows of {length}: add text or set run.length")
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        offset = int(torch.randint(length, (), generator=chance))
        order = torch.randperm((len(self.tokens) - offset - 1) // length, generator=chance)
        self.epoch, self.taken, self.length = epoch, 0, length
        self.starts = (order * length + offset).tolist()

    def state(self) -> dict[str, Any]:
        """Return the position: epoch, number of windows used, their length."""
        return {"epoch": self.epoch, "taken": self.taken, "length": self.length}

    def load(self, state: dict[str, Any]) -> None:
        """Go to the position of `state`."""
        if state["length"]:
            self.begin(state["epoch"], state["length"])
        self.taken = state["taken"]


def in_order(tokens: Tensor, *, size: int, length: int, batches: int) -> Iterator[Pair]:
    """Yield at most `batches` batches from the beginning, the same ones each time; the last may be smaller."""
    count = min((len(tokens) - 1) // length, size * batches)
    if count < 1:
        raise Trouble(f"{len(tokens)} held-out tokens are too few for windows of {length}: hold out more, or shorten")
    ends = count * length
    inputs, targets = tokens[:ends].view(count, length), tokens[1 : ends + 1].view(count, length)
    yield from zip(inputs.split(size), targets.split(size), strict=True)


def prepare(settings: Settings, folder: Path) -> Corpus:
    """Read the texts, hold some out, train a tokenizer on the others; reuse the tokenizer of `folder` if it fits."""
    learned, judged = split(read(settings), settings.text)
    tokenizer = tokenizer_folder.settle(folder, settings.tokenizer, [text.body for text in learned])
    tokens, held_out = (stream(tokenizer, [text.body for text in part]) for part in (learned, judged))
    inputs = sorted({text.path for text in (*learned, *judged)})
    return Corpus(tokenizer, Windows(tokens, settings.seed), held_out, digest(tokens), inputs)


def read(settings: Settings) -> list[Text]:
    """Read the files that settings name, each once, in order of path."""
    patterns = [str(Path(settings.data, pattern)) for pattern in settings.text.files]
    found = sorted({path for pattern in patterns for path in glob.glob(pattern, recursive=True)})
    if not found:
        raise Trouble(f"no file matches {', '.join(patterns)}: set text.files, or data to the folder of the texts")
    return [Text(Path(path), files.read_text(Path(path))) for path in found]


def split(texts: Sequence[Text], chosen: Chosen) -> tuple[list[Text], list[Text]]:
    """Return training texts and held-out texts: whole files, or the end of each."""
    if not chosen.held_out:
        cuts = [(text, int(len(text.body) * (1 - chosen.val_share))) for text in texts]
        return (
            [Text(text.path, text.body[:cut]) for text, cut in cuts],
            [Text(text.path, text.body[cut:]) for text, cut in cuts],
        )
    missing = set(chosen.held_out) - {text.path.stem for text in texts}
    if missing:
        raise Trouble(f"text.held_out names {', '.join(sorted(missing))}, which text.files does not find", USAGE)
    learned = [text for text in texts if text.path.stem not in chosen.held_out]
    return learned, [text for text in texts if text.path.stem in chosen.held_out]


def stream(tokenizer: Tokenizer, bodies: Iterable[str]) -> Tensor:
    """Return all bodies as one tensor of tokens, each between <bos> and <end>."""
    ids: list[int] = []
    for body in bodies:
        ids += [tokenizer.bos, *tokenizer.encode(body), tokenizer.end]
    return torch.tensor(ids, dtype=torch.long)


def digest(tokens: Tensor) -> str:
    """Return the SHA-256 of a stream."""
    return hashlib.sha256(tokens.numpy().tobytes()).hexdigest()
