"""Token ids in a memory-mapped file: written beside, renamed, used again only for the same texts and tokenizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from small_lm import files, tokenizer_folder
from small_lm.errors import Trouble
from small_lm.texts import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from small_lm.texts import Part
    from small_lm.tokenizers import Tokenizer

FORMAT = "token ids, 1"
BATCH = 1 << 16  # ids that are held at once, before they are written


@dataclass(frozen=True)
class Tokens:
    """A stream of tokens in a file; a slice is read from the disk as a tensor. `digest`: of the ids as 64 bits each."""

    path: Path
    ids: Any  # a numpy array, mapped read-only
    digest: str

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, places: slice) -> Tensor:
        return torch.from_numpy(self.ids[places].astype(np.int64))


def settle(path: Path, part: Part, texts: str, tokenizer: Tokenizer) -> Tokens:
    """Return the tokens of some texts with this digest, from their file if it holds them, else written anew."""
    wanted = {"texts": texts, "tokenizer": tokenizer_folder.content_digest(tokenizer)}
    about = described(path)
    if {name: about.get(name) for name in wanted} != wanted or not is_whole(path, about):
        path.with_suffix(".json").unlink(missing_ok=True)
        about = write(path, part, tokenizer) | wanted
        files.write_json(path.with_suffix(".json"), about)
    return mapped(path, about)


def described(path: Path) -> dict[str, Any]:
    """Return the description beside a file of tokens; empty if it is missing or damaged."""
    try:
        about = files.read_json(path.with_suffix(".json"))
    except (OSError, Trouble):
        return {}
    return about if isinstance(about, dict) and about.get("format") == FORMAT else {}


def is_whole(path: Path, about: dict[str, Any]) -> bool:
    """Return True if the file holds the bytes of its description."""
    return path.is_file() and files.sha256(path) == about.get("sha256")


def write(path: Path, part: Part, tokenizer: Tokenizer) -> dict[str, Any]:
    """Write the tokens of all documents, each between <bos> and <end>; return their description."""
    kind = np.dtype("<u2" if tokenizer.size <= 2**16 else "<u4")
    sealed, digest, count = hashlib.sha256(), hashlib.sha256(), 0
    with files.replacing(path) as out:
        for ids in batched(stream(part, tokenizer)):
            content = np.asarray(ids, dtype=np.int64)
            digest.update(content.tobytes())
            stored = content.astype(kind).tobytes()
            sealed.update(stored)
            out.write(stored)
            count += len(ids)
    return {
        "format": FORMAT,
        "tokens": count,
        "type": kind.str,
        "sha256": sealed.hexdigest(),
        "digest": digest.hexdigest(),
    }


def stream(part: Part, tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Yield the ids of all documents, a piece at a time."""
    for document in part.documents():
        yield [*tokenizer.opening]
        yield from map(tokenizer.encode, cut(document))
        yield [*tokenizer.closing]


def batched(pieces: Iterable[list[int]]) -> Iterator[list[int]]:
    """Yield the same ids in larger lists."""
    held: list[int] = []
    for piece in pieces:
        held += piece
        if len(held) >= BATCH:
            yield held
            held = []
    if held:
        yield held


def mapped(path: Path, about: dict[str, Any]) -> Tokens:
    """Return the tokens of a file; an empty file cannot be mapped."""
    kind = np.dtype(about["type"])
    ids = np.memmap(path, dtype=kind, mode="r") if about["tokens"] else np.empty(0, kind)
    return Tokens(path, ids, about["digest"])
