"""Tokenizers of several kinds with one interface.

Every kind numbers the special tokens first: <pad> 0, <bos> 1, <end> 2, <unk> 3, then the requested ones. No text is
encoded to a special token; only `special` has their ids.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any

from small_lm import fast_tokenizer, files, verified_folder
from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble
from small_lm.tokenizer_base import KIND, SPECIALS, Tokenizer, as_json
from small_lm.tokenizer_origin import origin, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from small_lm.tokenizer_origin import Origin

__all__ = ["KIND", "SPECIALS", "Tokenizer"]

CHUNK = 1000  # characters that SentencePiece is shown at once; it leaves longer sentences out


class Characters(Tokenizer):
    """Characters as tokens; the rarest ones beyond the vocabulary's size are unknown."""

    kind, file = "char", "characters.json"
    most_bytes = 0  # all: counting characters takes no memory

    def __init__(self, characters: Sequence[str], specials: Sequence[str]) -> None:
        super().__init__(specials)
        self.characters = list(characters)
        self.numbers = {character: number for number, character in enumerate(characters, len(specials))}
        self.size = len(specials) + len(characters)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, specials: Sequence[str]) -> Characters:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        ranked = sorted(counts, key=lambda character: (-counts[character], character))
        return cls(ranked[: vocab_size - len(specials)], specials)

    @classmethod
    def read(cls, data: bytes, specials: Sequence[str]) -> Characters:
        return cls(json.loads(data), specials)

    def encode(self, text: str) -> list[int]:
        return [self.numbers.get(character, self.unknown) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        first = len(self.specials)
        return "".join("\ufffd" if one == self.unknown else self.characters[one - first] for one in known(self, ids))

    def content(self) -> bytes:
        return json.dumps(self.characters, ensure_ascii=False).encode()

    def files(self) -> dict[str, bytes]:
        fast = {"tokenizer.json": fast_tokenizer.characters(self.special, self.numbers)}
        fast["tokenizer_config.json"] = fast_tokenizer.config(self.chat_template)
        return super().files() | {name: as_json(value) for name, value in fast.items()}


def known(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Return the ids without special tokens, except <unk>."""
    return [number for number in ids if number >= len(tokenizer.specials) or number == tokenizer.unknown]


class BytePairs(Tokenizer):
    """Byte-level BPE of the `tokenizers` package; any text is restored exactly."""

    kind, file = "bpe", "tokenizer.json"

    def __init__(self, learned: Any, specials: Sequence[str]) -> None:
        super().__init__(specials)
        self.learned = learned
        self.learned.encode_special_tokens = True  # "<end>" in a text is five characters
        self.size = learned.get_vocab_size()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, specials: Sequence[str]) -> BytePairs:
        package = needed("tokenizers")
        learned = package.Tokenizer(package.models.BPE())
        learned.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        learned.decoder = package.decoders.ByteLevel()
        alphabet = package.pre_tokenizers.ByteLevel.alphabet()
        refuse_small(vocab_size, len(alphabet) + len(specials), cls.kind)
        trainer = package.trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
        )
        learned.train_from_iterator(texts, trainer)
        return cls(learned, specials)

    @classmethod
    def read(cls, data: bytes, specials: Sequence[str]) -> BytePairs:
        return cls(needed("tokenizers").Tokenizer.from_str(data.decode()), specials)

    def encode(self, text: str) -> list[int]:
        return list(self.learned.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.learned.decode(list(ids), skip_special_tokens=True))

    def content(self) -> bytes:
        return str(self.learned.to_str(pretty=True)).encode()

    def files(self) -> dict[str, bytes]:
        return {"tokenizer_config.json": as_json(fast_tokenizer.config(self.chat_template))} | super().files()


class SentencePieces(Tokenizer):
    """SentencePiece's BPE with byte fallback; text is not normalized, spaces and lines included."""

    kind, file, model_type = "sentencepiece", "tokenizer.model", "bpe"
    most_bytes = 8_000_000  # SentencePiece holds them in memory, several times

    def __init__(self, model: bytes, specials: Sequence[str]) -> None:
        super().__init__(specials)
        self.model = model
        self.learned = needed("sentencepiece").SentencePieceProcessor(model_proto=model)
        self.size = self.learned.vocab_size()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, specials: Sequence[str]) -> SentencePieces:
        package, model = needed("sentencepiece"), io.BytesIO()
        refuse_small(vocab_size, 256 + len(specials), cls.kind)
        pieces = (text[at : at + CHUNK] for text in texts for at in range(0, len(text), CHUNK))
        numbers = {f"{name.strip('<>').replace('end', 'eos')}_id": at for at, name in enumerate(SPECIALS)}
        names = {f"{name.strip('<>').replace('end', 'eos')}_piece": name for name in SPECIALS}
        try:
            package.SentencePieceTrainer.train(
                sentence_iterator=pieces,
                model_writer=model,
                model_type=cls.model_type,
                vocab_size=vocab_size,
                control_symbols=list(specials[len(SPECIALS) :]),
                **(numbers | names | VERBATIM),
            )
        except RuntimeError as error:
            raise Trouble(f"SentencePiece cannot learn {vocab_size} tokens here ({error}): set another size") from error
        return cls(model.getvalue(), specials)

    @classmethod
    def read(cls, data: bytes, specials: Sequence[str]) -> SentencePieces:
        return cls(data, specials)

    def encode(self, text: str) -> list[int]:
        return list(self.learned.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.learned.decode(list(ids)))

    def content(self) -> bytes:
        return self.model


VERBATIM = {
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "add_dummy_prefix": False,
    "byte_fallback": True,
    "character_coverage": 1.0,
    "num_threads": 1,  # the same model each time
    "minloglevel": 2,
}


class Unigram(SentencePieces):
    """SentencePiece's unigram model: slow to train, quick to encode."""

    kind, model_type = "unigram", "unigram"


KINDS: dict[str, type[Tokenizer]] = {cls.kind: cls for cls in (Characters, BytePairs, SentencePieces, Unigram)}


def train(kind: str, texts: Iterable[str], vocab_size: int, extra: Sequence[str] = ()) -> Tokenizer:
    """Train a tokenizer that records its origin; `extra` names further special tokens."""
    read = list(texts)
    return learned(origin(kind, read, vocab_size, (*SPECIALS, *extra)), read)


def learned(wanted: Origin, texts: Iterable[str]) -> Tokenizer:
    """Train the tokenizer of an origin; the texts are read once."""
    fresh = kind_of(wanted.kind).train(texts, wanted.vocab_size, wanted.specials)
    fresh.origin, fresh.is_fresh = wanted, True
    return fresh


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer's folder, whole or not at all."""
    verified_folder.keep(folder, tokenizer.files())


def load(folder: Path) -> Tokenizer:
    """Read a tokenizer from its own folder or a model's."""
    if not (folder / KIND).is_file():
        raise Trouble(f"{folder} holds no {KIND}: name the folder of a trained tokenizer", USAGE)
    about = files.read_json(folder / KIND)
    kind = kind_of(about["kind"])
    read = kind.read((folder / kind.file).read_bytes(), about["specials"])
    if about.get("size", read.size) != read.size:
        raise Trouble(f"{folder}: {KIND} tells of {about['size']} tokens, {kind.file} has {read.size}: make it again")
    read.origin, read.chat_template = parsed(about), str(about.get("chat_template", ""))
    return read


def kind_of(name: str) -> type[Tokenizer]:
    """Return the class of a kind."""
    if name not in KINDS:
        raise Trouble(f"no tokenizer.kind {name!r}{did_you_mean(name, KINDS)}; there are: {', '.join(KINDS)}", USAGE)
    return KINDS[name]


def needed(package: str) -> Any:
    """Import the package of a kind; raise Trouble if it is missing."""
    try:
        return import_module(package)
    except ImportError as error:
        raise Trouble(f"{package} is not installed: pip install {package}, or set tokenizer.kind=char") from error


def refuse_small(vocab_size: int, least: int, kind: str) -> None:
    """Raise Trouble for a vocabulary that is too small for all bytes."""
    if vocab_size < least:
        raise Trouble(f"{kind} needs tokenizer.vocab_size={least} or more: every byte has a token", USAGE)
