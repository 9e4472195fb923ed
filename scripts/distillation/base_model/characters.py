"""The speakers of some plays, their dialogues, and the uncommon words that they use."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillation.base_model.fact_sheets import Facts, written
from distillation.corpus import text_features
from distillation.corpus.speaker_names import person
from distillation.prompt.character_card import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distillation.corpus.plays import Play, Speech

COMMON = 400  # words that say nothing of who speaks
SHORTEST = 4
LEAST_TURNS = 12  # of a person who gets a sheet
LOWER = re.compile(r"(?<![\w'])[a-z]+(?:'[a-z]+)*(?![\w'])")


@dataclass(frozen=True)
class Person:
    """A person with enough speeches; `turns` are (cue, reply), `distinctive` are typical words of the person."""

    name: str
    play: str
    facts: Facts
    speeches: tuple[Speech, ...]
    turns: tuple[tuple[Speech, Speech], ...]
    distinctive: tuple[str, ...]


@dataclass(frozen=True)
class Cast:
    """The speeches of some plays in order, the persons with large parts, and each speech's uncommon words by its id."""

    plays: tuple[tuple[Speech, ...], ...]
    people: tuple[Person, ...]
    uncommon: dict[str, tuple[str, ...]]


def gather_cast(plays: Sequence[Play], common_words: int = COMMON) -> Cast:
    """Return the company of some plays; a word is uncommon if it is rare in these plays."""
    speeches = [speech for play in plays for speech in play.speeches]
    counts = text_features.word_counts(speech.text for speech in speeches)
    common = {word for word, _ in counts.most_common(common_words)}
    uncommon = {speech.id: uncommon_words(speech.text, common) for speech in speeches}
    titles = {play.name: play.title for play in plays}
    people = tuple(make_person(name, own, turns, uncommon, counts, titles) for name, own, turns in large_parts(plays))
    return Cast(tuple(play.speeches for play in plays if play.speeches), people, uncommon)


def uncommon_words(text: str, common: set[str]) -> tuple[str, ...]:
    """Return the uncommon words of a speech, each once; words with a capital letter are left out."""
    found = dict.fromkeys(LOWER.findall(text))
    return tuple(word for word in found if len(word) >= SHORTEST and word not in common)


Part = tuple[str, list["Speech"], list[tuple["Speech", "Speech"]]]


def large_parts(plays: Iterable[Play]) -> list[Part]:
    """Return (person, speeches, turns) of each person with at least LEAST_TURNS turns, sorted by name."""
    own: dict[str, list[Speech]] = defaultdict(list)
    turns: dict[str, list[tuple[Speech, Speech]]] = defaultdict(list)
    for play in plays:
        for speech in play.speeches:
            own[person(play.name, speech.speaker)].append(speech)
        for cue, reply in itertools.pairwise(play.speeches):
            if cue.scene == reply.scene and cue.speaker != reply.speaker:
                turns[person(play.name, reply.speaker)].append((cue, reply))
    return [(name, own[name], turns[name]) for name in sorted(own) if len(turns[name]) >= LEAST_TURNS]


def make_person(
    name: str,
    own: list[Speech],
    turns: list[tuple[Speech, Speech]],
    uncommon: dict[str, tuple[str, ...]],
    counts: Counter[str],
    titles: dict[str, str],
) -> Person:
    """Return a person; the facts come from the speeches."""
    words = Counter(word for speech in own for word in uncommon[speech.id])
    ranked = sorted(words, key=lambda word: (-(words[word] ** 2) / counts[word], word))
    play = Counter(speech.play for speech in own).most_common(1)[0][0]
    facts = Facts(written(own[0].speaker), friend(turns), ranked[0] if ranked else "rest")
    return Person(name, titles[play], facts, tuple(own), tuple(turns), tuple(ranked[:60]))


def friend(turns: list[tuple[Speech, Speech]]) -> str:
    """Return the person whom these replies answer most often."""
    asked = Counter(cue.speaker for cue, _ in turns if not GROUPS.search(cue.speaker))
    return written(asked.most_common(1)[0][0]) if asked else "Nobody"
