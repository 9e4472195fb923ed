"""The tokenizer in a training's folder: reused only if it is the one that settings ask for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from small_lm import checkpoint_folder, files, tokenizers, verified_folder
from small_lm.errors import USAGE, Trouble
from small_lm.tokenizer_origin import Origin, origin, parsed
from small_lm.tokenizers import KIND, SPECIALS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from small_lm.settings import Tokenizer as Chosen
    from small_lm.tokenizers import Tokenizer

CHECKPOINTS = "checkpoints"  # beside the tokenizer's folder: a model there has one row of its embedding a token


def settle(folder: Path, chosen: Chosen, texts: Sequence[str], extra: Sequence[str] = ()) -> Tokenizer:
    """Return the tokenizer of `folder` if it fits, else train one and save it there.

    A different one in the folder is replaced if no checkpoint uses it; raise Trouble otherwise.
    """
    wanted = origin(chosen.kind, texts, chosen.vocab_size, (*SPECIALS, *extra))
    found = described(folder)
    if found == wanted and verified_folder.is_whole(folder):
        return tokenizers.load(folder)
    is_used = bool(checkpoint_folder.inside(folder.parent / CHECKPOINTS))
    if is_used and found and found != wanted:
        raise refused(folder, "; ".join(wanted.differs(found)))
    return learned_anew(folder, chosen, texts, extra, is_used=is_used)


def learned_anew(
    folder: Path, chosen: Chosen, texts: Sequence[str], extra: Sequence[str], *, is_used: bool
) -> Tokenizer:
    """Train a tokenizer and save it; it must equal one of unknown origin that checkpoints use."""
    fresh = tokenizers.train(chosen.kind, texts, chosen.vocab_size, extra)
    there = folder / fresh.file
    if folder.exists():
        is_same = there.is_file() and there.read_bytes() == fresh.content()
        if is_used and not is_same and described(folder) is None:
            raise refused(folder, "it does not say from what, and these settings and texts give another")
        print(f"{folder} " + ("is described anew" if is_same else "holds another tokenizer or a part: learned anew"))
    tokenizers.save(fresh, folder)
    return fresh


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
