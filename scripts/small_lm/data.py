"""Texts as one stream of tokens, cut into batches; the position in the stream is part of a training's state."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from small_lm import base_model, examples, images, texts, token_file, tokenizer_folder
from small_lm.errors import USAGE, Trouble
from small_lm.examples import Examples, conversations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from small_lm import text_files
    from small_lm.settings import Settings
    from small_lm.texts import Texts
    from small_lm.token_file import Tokens
    from small_lm.tokenizers import Tokenizer

TOKENS = "tokens"  # the folder of the token files, beside the tokenizer's

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
    held_out: Tensor | Tokens | Examples
    digest: str
    inputs: list[Path]

    def judged(self, *, size: int, length: int, batches: int) -> Iterator[Pair]:
        """Yield at most `batches` batches of the validation data, the same ones each time."""
        if isinstance(self.held_out, Examples):
            return self.held_out.in_order(size=size, batches=batches)
        return in_order(self.held_out, size=size, length=length, batches=batches)


class Windows:
    """Windows of a token stream, each once an epoch, in a new random order for every epoch."""

    def __init__(self, tokens: Tensor | Tokens, seed: int) -> None:
        self.tokens, self.seed = tokens, seed
        self.epoch, self.taken, self.length = 0, 0, 0
        self.starts = torch.empty(0, dtype=torch.long)

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
            yield int(self.starts[self.taken - 1])

    def begin(self, epoch: int, length: int) -> None:
        """Shuffle the order of an epoch; it depends on seed, epoch and length alone."""
        refuse_few(len(self.tokens), length)
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        offset = int(torch.randint(length, (), generator=chance))
        order = torch.randperm((len(self.tokens) - offset - 1) // length, generator=chance)
        self.epoch, self.taken, self.length = epoch, 0, length
        self.starts = order * length + offset

    def state(self) -> dict[str, Any]:
        """Return the position: epoch, number of windows used, their length."""
        return {"epoch": self.epoch, "taken": self.taken, "length": self.length}

    def load(self, state: dict[str, Any]) -> None:
        """Go to the position of `state`."""
        if state["length"]:
            self.begin(state["epoch"], state["length"])
        self.taken = state["taken"]


def in_order(tokens: Tensor | Tokens, *, size: int, length: int, batches: int) -> Iterator[Pair]:
    """Yield at most `batches` batches from the beginning, the same ones each time; the last may be smaller."""
    refuse_few_held_out(len(tokens), length)
    count = min((len(tokens) - 1) // length, size * batches)
    ends = count * length
    read = tokens[: ends + 1]
    inputs, targets = read[:-1].view(count, length), read[1:].view(count, length)
    yield from zip(inputs.split(size), targets.split(size), strict=True)


def refuse_few(count: int, length: int) -> None:
    """Raise Trouble if there are too few tokens to learn from."""
    if count <= 2 * length:
        raise Trouble(f"{count} tokens are too few for windows of {length}: add text or set run.length")


def refuse_few_held_out(count: int, length: int) -> None:
    """Raise Trouble if there are too few tokens to judge by."""
    if count <= length:
        raise Trouble(f"{count} held-out tokens are too few for windows of {length}: hold out more, or shorten")


def refuse_long_prompts(settings: Settings, tokenizer: Tokenizer) -> None:
    """Raise Trouble for a prompt of the samples that the model's context cannot hold."""
    context = base_model.context_of(settings.model)
    for prompt in settings.sample.prompts:
        length = len(tokenizer.start(prompt))
        if length > context:
            most = (
                f"more than the model's context of {context}"
                if settings.model.from_
                else f"more than model.context={context}"
            )
            raise Trouble(f"sample.prompts: {prompt[:30]!r} has {length} tokens, {most}: shorten it", USAGE)


def prepare(settings: Settings, folder: Path) -> Corpus:
    """Return the corpus of the texts that settings name; `folder` is for the tokenizer, token files lie beside it."""
    return corpus(settings, texts.find(settings), folder)


def corpus(settings: Settings, found: Texts, folder: Path, tokenizer: Tokenizer | None = None) -> Corpus:
    """Learn or reuse the tokenizer, write or reuse the token files; what does not fit the settings leaves none.

    A `tokenizer` is that of the model which the training goes on from.
    """
    learned, held_out = found.learned, found.held_out
    run, longest = settings.run, max(settings.run.length, settings.run.long_length)
    refuse_few(learned.most_tokens(), longest)
    refuse_few_held_out(held_out.most_tokens(), run.length)
    settled = (
        tokenizer_folder.adopted(folder, tokenizer, learned)
        if tokenizer
        else tokenizer_folder.choose(folder, settings.tokenizer, learned)
    )
    refuse_long_prompts(settings, settled.tokenizer)
    home = folder.parent / TOKENS
    parts = [
        token_file.settle(home / f"{name}.bin", part, digest, settled.tokenizer)
        for name, part, digest in (
            ("train", learned, settled.wanted.texts),
            ("held_out", held_out, held_out.digest()),
        )
    ]
    try:
        refuse_few(len(parts[0]), longest)
        refuse_few_held_out(len(parts[1]), run.length)
    except Trouble:
        shutil.rmtree(home, ignore_errors=True)
        raise
    settled.keep()
    return Corpus(settled.tokenizer, Windows(parts[0], settings.seed), parts[1], parts[0].digest, found.paths)


def of_examples(settings: Settings, found: Texts, tokenizer: Tokenizer | None) -> Corpus | None:
    """Return the corpus of conversations or images, of which a part is learned; None for texts."""
    if settings.text.kind == "text":
        return None
    is_chat = tokenizer is not None
    tokenizer = tokenizer or images.tokenizer()
    if is_chat:
        tokenizer.begin_chat()
    refuse_long_prompts(settings, tokenizer)
    parts = [
        conversations(part, tokenizer, settings.run.length) if is_chat else images.examples(part, tokenizer)
        for part in (found.learned, found.held_out)
    ]
    examples.refuse_few(parts[0], parts[1], settings.text.kind)
    learned, held_out = (Examples(part, settings.seed, tokenizer.pad) for part in parts)
    return Corpus(tokenizer, learned, held_out, learned.digest(), found.paths)


def read(settings: Settings) -> list[text_files.File]:
    """Return the files that settings name, each once, in order of path."""
    return texts.files_of(settings)


def digest(tokens: Tensor) -> str:
    """Return the SHA-256 of a stream."""
    return hashlib.sha256(tokens.numpy().tobytes()).hexdigest()
