"""Counts of speeches and words, by play or person."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillation.corpus.speaker_names import person

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distillation.corpus.plays import Play, Speech


@dataclass(frozen=True)
class Part:
    """The part of one person: speeches and words in all plays."""

    person: str
    speaker: str
    plays: tuple[str, ...]
    speeches: int
    words: int


def parts(speeches: Iterable[Speech]) -> list[Part]:
    """Return the parts of all persons, the largest first."""
    by_person: dict[str, list[Speech]] = defaultdict(list)
    for speech in speeches:
        by_person[person(speech.play, speech.speaker)].append(speech)
    found = [
        Part(name, own[0].speaker, tuple(sorted({one.play for one in own})), len(own), words(own))
        for name, own in by_person.items()
    ]
    return sorted(found, key=lambda part: (-part.speeches, part.person))


def words(speeches: Iterable[Speech]) -> int:
    """Count the words of some speeches."""
    return sum(len(speech.text.split()) for speech in speeches)


def row(play: Play) -> dict[str, Any]:
    """Return the figures of one text."""
    return {
        "name": play.name,
        "title": play.title,
        "layout": play.layout or "none: a poem",
        "speeches": len(play.speeches),
        "words": words(play.speeches),
        "speakers": len({speech.speaker for speech in play.speeches}),
    }
