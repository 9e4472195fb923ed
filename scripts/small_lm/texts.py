"""The texts of a training: documents of files, read in pieces of bounded size, some of them held out."""

from __future__ import annotations

import glob
import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from small_lm import chat, hub, text_files
from small_lm.config import did_you_mean
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from small_lm.settings import Settings
    from small_lm.settings import Text as Chosen
    from small_lm.text_files import File, Source

LONGEST = 1_000_000  # characters of a piece without a space


@dataclass(frozen=True)
class Part:
    """The documents of some sources, from one place in each to another; it can be read again and again.

    A source of one document is cut by characters, one of rows by rows.
    """

    sources: tuple[tuple[Source, int, int | None], ...]

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return sorted({source.path for source, _, _ in self.sources if source.path})

    def documents(self) -> Iterator[Iterable[str]]:
        """Yield each document as its pieces, which are read once."""
        for source, first, last in self.sources:
            if source.is_rows:
                yield from ([row] for row in itertools.islice(source.rows(), first, last))
            else:
                yield between(source.pieces(), first, last)

    def pieces(self) -> Iterator[str]:
        """Yield the pieces of all documents that a tokenizer may read on their own."""
        for document in self.documents():
            yield from cut(document)

    def digest(self) -> str:
        """Return the SHA-256 of the documents in their order, including their boundaries."""
        found = hashlib.sha256()
        for source, first, last in self.sources:
            if source.is_rows:
                for row in itertools.islice(source.rows(), first, last):
                    found.update(f"{size(row)}:".encode() + encoded(row))
            else:
                found.update(f"{sum(map(size, between(source.pieces(), first, last)))}:".encode())
                for piece in between(source.pieces(), first, last):
                    found.update(encoded(piece))
        return found.hexdigest()

    def bytes(self) -> int:
        """Return the number of bytes of all documents."""
        return sum(size(piece) for document in self.documents() for piece in document)

    def most_tokens(self) -> int:
        """Return the most tokens that the documents can have: one a byte, and two around each document."""
        return sum(2 + sum(map(size, document)) for document in self.documents())


@dataclass(frozen=True)
class Texts:
    """The texts to learn from, and those that only judge."""

    learned: Part
    held_out: Part

    @property
    def paths(self) -> list[Path]:
        """All files, each once."""
        return sorted({*self.learned.paths, *self.held_out.paths})


def find(settings: Settings) -> Texts:
    """Return the texts that settings name, judged; raise Trouble for a file that cannot be read."""
    if settings.text.kind == "digits":
        from small_lm.images import Digits

        return split([Digits()], settings.text)
    sources: Sequence[Source] = hub.sources(settings.text) if settings.text.hub else files_of(settings)
    return split(sources, settings.text)


def files_of(settings: Settings) -> list[File]:
    """Return the files that settings name, each once, in order of path; a run's own outputs are none."""
    patterns = [str(Path(settings.data, pattern)) for pattern in patterns_of(settings.text)]
    found = sorted({path for pattern in patterns for path in glob.glob(pattern, recursive=True)})
    paths = [Path(path) for path in found if Path(path).is_file() and not is_output(Path(path), settings.outputs)]
    if not paths:
        raise Trouble(f"no file matches {', '.join(patterns)}: set text.files, or data to the folder of the texts")
    return [text_files.opened(path, settings.text) for path in paths]


def patterns_of(chosen: Chosen) -> tuple[str, ...]:
    """Return the globs of the files; conversations are not in .txt, which is the default."""
    is_default = chosen.files == type(chosen)().files
    return chat.FILES if chosen.kind == "chat" and is_default else chosen.files


def is_output(path: Path, outputs: str) -> bool:
    """Return True for a file below the folder of the outputs, or below an earlier run that was put aside."""
    whole, home = path.resolve(), Path(outputs).resolve()
    names = re.compile(re.escape(home.name) + r"(\.\d+)?")
    return any(one.parent == home.parent and names.fullmatch(one.name) for one in whole.parents)


def split(sources: Sequence[Source], chosen: Chosen) -> Texts:
    """Return training texts and held-out texts: whole files, or the end of each."""
    names = {source.path.stem for source in sources if source.path}
    missing = set(chosen.held_out) - names
    if missing:
        near = did_you_mean(min(missing), sorted(names))
        raise Trouble(f"text.held_out names {', '.join(sorted(missing))}, which text.files does not find{near}", USAGE)
    if chosen.held_out:
        learned = [source for source in sources if source.path and source.path.stem not in chosen.held_out]
        held_out = [source for source in sources if source not in learned]
        if not learned:
            raise Trouble("text.held_out names every file, so that none is left to learn from: hold out fewer", USAGE)
        refuse_unreadable(sources)
        return Texts(whole(learned), whole(held_out))
    cuts = [(source, int(source.length() * (1 - chosen.val_share))) for source in sources]
    return Texts(
        Part(tuple((source, 0, at) for source, at in cuts)), Part(tuple((source, at, None) for source, at in cuts))
    )


def whole(sources: Sequence[Source]) -> Part:
    """Return all documents of some sources."""
    return Part(tuple((source, 0, None) for source in sources))


def refuse_unreadable(sources: Sequence[Source]) -> None:
    """Raise Trouble for a source that cannot be read to its end."""
    for source in sources:
        source.length()


def between(pieces: Iterable[str], first: int, last: int | None) -> Iterator[str]:
    """Yield the characters from `first` to `last` of a text in pieces."""
    at = 0
    for piece in pieces:
        end = len(piece) if last is None else max(0, last - at)
        part = piece[max(0, first - at) : end]
        if part:
            yield part
        at += len(piece)


def cut(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces that begin before spaces after a word: no token of any kind spans two of them."""
    rest = ""
    for piece in pieces:
        rest += piece
        at = last_space(rest)
        if at:
            yield rest[:at]
            rest = rest[at:]
        elif len(rest) > LONGEST:
            yield rest
            rest = ""
    if rest:
        yield rest


def last_space(text: str) -> int:
    """Return the place of the last space that a word stands before; 0 if there is none."""
    at = text.rfind(" ")
    while at > 0 and text[at - 1].isspace():
        at = text.rfind(" ", 0, at)
    return max(0, at)


def encoded(piece: str) -> bytes:
    """Return the bytes of a piece."""
    return piece.encode("utf-8", "surrogatepass")


def size(piece: str) -> int:
    """Return the number of bytes of a piece."""
    return len(piece) if piece.isascii() else len(encoded(piece))
