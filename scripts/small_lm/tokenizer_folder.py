"""The tokenizer in a training's folder: reused only if it is the one that settings ask for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from small_lm import checkpoint_folder, files, tokenizer_origin, tokenizers, verified_folder
from small_lm.errors import USAGE, Trouble
from small_lm.tokenizer_origin import Origin, parsed
from small_lm.tokenizers import KIND, SPECIALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from small_lm.settings import Tokenizer as Chosen
    from small_lm.tokenizers import Tokenizer

CHECKPOINTS = "checkpoints"  # beside the tokenizer's folder: a model there has one row of its embedding a token


class Learnable(Protocol):
    """Texts that a tokenizer learns from; they can be read again."""

    def digest(self) -> str:
        """Return the SHA-256 of the texts, including their boundaries."""

    def pieces(self) -> Iterator[str]:
        """Yield the texts in pieces that no token spans."""

    def bytes(self) -> int:
        """Return the number of bytes of all texts."""


@dataclass(frozen=True)
class Held:
    """Texts in memory."""

    texts: Sequence[str]

    def digest(self) -> str:
        """Return the SHA-256 of the texts, including their boundaries."""
        return tokenizer_origin.digest(self.texts)

    def pieces(self) -> Iterator[str]:
        """Yield the texts."""
        yield from self.texts

    def bytes(self) -> int:
        """Return the number of bytes of all texts."""
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in self.texts)


@dataclass(frozen=True)
class Choice:
    """The tokenizer that settings and texts ask for; `keep` saves it if the folder does not hold it."""

    folder: Path
    tokenizer: Tokenizer
    wanted: Origin
    remark: str = ""

    def keep(self) -> None:
        """Save a new tokenizer, and say what became of an older one."""
        if self.tokenizer.is_fresh:
            if self.remark:
                print(f"{self.folder} {self.remark}")
            tokenizers.save(self.tokenizer, self.folder)


def settle(folder: Path, chosen: Chosen, texts: Sequence[str], extra: Sequence[str] = ()) -> Tokenizer:
    """Return the tokenizer of `folder` if it fits, else train one and save it there.

    A different one in the folder is replaced if no checkpoint uses it; raise Trouble otherwise.
    """
    choice = choose(folder, chosen, Held(texts), extra)
    choice.keep()
    return choice.tokenizer


def choose(folder: Path, chosen: Chosen, texts: Learnable, extra: Sequence[str] = ()) -> Choice:
    """Return the tokenizer of `folder` if it fits, else train one; nothing is written."""
    wanted = Origin(chosen.kind, chosen.vocab_size, (*SPECIALS, *extra), texts.digest())
    found = described(folder)
    if found == wanted and verified_folder.is_whole(folder):
        return Choice(folder, tokenizers.load(folder), wanted)
    is_used = bool(checkpoint_folder.inside(folder.parent / CHECKPOINTS))
    if is_used and found and found != wanted:
        raise refused(folder, "; ".join(wanted.differs(found)))
    fresh = tokenizers.learned(wanted, sampled(texts, tokenizers.kind_of(chosen.kind).most_bytes))
    return Choice(folder, fresh, wanted, remark(folder, fresh, is_used=is_used))


def adopted(folder: Path, tokenizer: Tokenizer, texts: Learnable) -> Choice:
    """Return the tokenizer of the model that a training goes on from; it stays as it is, nothing is saved."""
    return Choice(folder, tokenizer, Origin(tokenizer.kind, tokenizer.size, tokenizer.specials, texts.digest()))


def sampled(texts: Learnable, most: int) -> Iterator[str]:
    """Yield the pieces of texts; of more than `most` bytes an even part of them. 0: all."""
    share = min(1.0, most / max(1, texts.bytes())) if most else 1.0
    for number, piece in enumerate(texts.pieces()):
        if int((number + 1) * share) > int(number * share):
            yield piece


def remark(folder: Path, fresh: Tokenizer, *, is_used: bool) -> str:
    """Return a remark on the folder's old content; raise Trouble if checkpoints use it and its origin is unknown."""
    if not folder.exists():
        return ""
    there = folder / fresh.file
    is_same = there.is_file() and there.read_bytes() == fresh.content()
    if is_used and not is_same and described(folder) is None:
        raise refused(folder, "it does not say from what, and these settings and texts give another")
    return "is described anew" if is_same else "holds another tokenizer or a part: learned anew"


def described(folder: Path) -> Origin | None:
    """Return the origin in a tokenizer's folder; None if it is missing or unreadable."""
    try:
        about = files.read_json(folder / KIND)
    except (OSError, Trouble):
        return None
    return parsed(about) if isinstance(about, dict) else None


def refused(folder: Path, why: str) -> Trouble:
    """Return the Trouble for a different tokenizer that checkpoints use."""
    there = folder.parent / CHECKPOINTS
    return Trouble(
        f"{folder} was learned otherwise ({why}), and {there} stands on it: "
        "set all as it was, or set outputs=ANOTHER for a new training",
        USAGE,
    )


def content_digest(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of a tokenizer's content, special tokens included."""
    return hashlib.sha256(" ".join(tokenizer.specials).encode() + b"\n" + tokenizer.content()).hexdigest()
