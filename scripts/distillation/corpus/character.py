"""One person's speeches, with the speeches that they answer."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.config import did_you_mean
from common.errors import USAGE, Trouble
from distillation.corpus.speaker_names import person

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.settings import Character
    from distillation.corpus.counts import Part
    from distillation.corpus.plays import Speech

QUESTION_WORDS = range(3, 26)


@dataclass(frozen=True)
class Pair:
    """A speech of the character with the one before it in the scene; `question`: the cue asks something short."""

    id: str
    play: str
    cue_speaker: str
    cue: str
    reply: str
    question: bool


def part_of(wanted: Character, parts: list[Part]) -> Part:
    """Return the part of the character that settings name; raise Trouble if none or several have this name."""
    name = wanted.name.upper()
    same = [part for part in parts if name in {part.speaker, part.person.upper()}]
    if wanted.plays:
        same = [part for part in same if set(part.plays) & set(wanted.plays)]
    if not same:
        near = did_you_mean(name, {part.speaker for part in parts})
        raise Trouble(f"nobody is called {wanted.name!r} here{near}: set character.name", USAGE)
    if len(same) > 1:
        plays = ", ".join(play for part in same for play in part.plays)
        raise Trouble(f"{len(same)} persons are called {wanted.name!r}: set character.plays to one of {plays}", USAGE)
    return same[0]


def own_speeches(speeches: Iterable[Speech], part: Part) -> list[Speech]:
    """Return the speeches of one part, in order."""
    return [one for one in speeches if one.speaker == part.speaker and person(one.play, one.speaker) == part.person]


def pairs(speeches: list[Speech], own: list[Speech]) -> list[Pair]:
    """Return each own speech that answers another person in the same scene."""
    before = {later.id: earlier for earlier, later in itertools.pairwise(speeches)}
    found = []
    for reply in own:
        cue = before.get(reply.id)
        if cue and (cue.play, cue.scene) == (reply.play, reply.scene) and cue.speaker != reply.speaker:
            found.append(Pair(reply.id, reply.play, cue.speaker, cue.text, reply.text, is_question(cue.text)))
    return found


def is_question(cue: str) -> bool:
    """Return True if a cue is a short question."""
    return cue.rstrip("'\")-").endswith("?") and len(cue.split()) in QUESTION_WORDS


def plain(text: str) -> str:
    """Return the words of a speech in lower case without punctuation, to find duplicates."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
