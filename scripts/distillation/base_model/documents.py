"""Training documents that teach a model to use its prompt: turns of one person after a sheet, or consecutive speeches.

    <bos><sheet>SPEECHES: .. By name ..<q>cue<a>reply<end><q>cue<a>reply<end>
    <bos><q>speech<a>speech<end><q>speech<a>speech<end>

Under a sheet, WORDS holds words of the replies that follow, and some turns ask for its facts, often with names made up
for this document: looking them up pays, remembering them does not.
"""

from __future__ import annotations

import itertools
import random
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from distillation.base_model.fact_sheets import (
    ANSWER,
    ASK,
    QUESTIONS,
    SHEET,
    Facts,
    Sheet,
    exchange,
    invented,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from distillation.base_model.characters import Cast, Person
    from distillation.base_model.settings import Documents as Wanted
    from distillation.corpus.plays import Speech
    from small_lm.data import Pair
    from small_lm.tokenizers import Tokenizer

IGNORED = -100
WORDS_A_REPLY = 10
WORDS_SHARE = 0.4  # of a sheet, at most
DISTRACTING = 0.25  # words that no reply has, beside those that one has
SHEET_SHARE = (0.37, 0.55)  # of a document
PLAIN_FACTS = 0.08  # turns without a sheet that ask for a fact, which cannot be known then
TRIED = 40  # speeches that may stand in a sheet

Turns = list[tuple["Speech", "Speech"]]


class DocumentEncoder:
    """Writes documents in tokens; caches the tokens of each piece of text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.read = lru_cache(maxsize=None)(lambda piece: tuple(tokenizer.encode(piece)))
        self.sheet, self.ask, self.answer = (tokenizer.special[name] for name in (SHEET, ASK, ANSWER))

    def pieces(self, pieces: Iterable[str]) -> list[int]:
        """Return the token ids of several pieces, one after the other."""
        return [number for piece in pieces for number in self.read(piece)]

    def turn(self, cue: str, reply: str) -> list[int]:
        """Return <q>cue<a>reply<end>."""
        return [self.ask, *self.read(cue), self.answer, *self.read(reply), self.tokenizer.end]

    def prompt(self, cue: str, sheet: Sheet | None = None) -> list[int]:
        """Return the ids before an answer: <bos>, the sheet if one is given, <q>cue<a>."""
        before = [self.sheet, *self.pieces(sheet.spoken()), *self.pieces(sheet.stated())] if sheet else []
        return [self.tokenizer.bos, *before, self.ask, *self.read(cue), self.answer]


class Documents:
    """An endless source of documents; each has a number, which seeds its own random generator."""

    def __init__(self, cast: Cast, tokenizer: Tokenizer, wanted: Wanted, seed: int) -> None:
        self.cast, self.encoder, self.wanted, self.seed = cast, DocumentEncoder(tokenizer), wanted, seed
        self.people = [*itertools.accumulate(len(person.turns) for person in cast.people)]
        self.plays = [*itertools.accumulate(len(play) for play in cast.plays)]
        self.number = 0

    def next(self, size: int, length: int) -> Pair:
        """Return `size` documents cut at `length` tokens; unpredictable parts of a sheet do not count in the loss."""
        rows = [self.document(number, length) for number in range(self.number, self.number + size)]
        self.number += size
        inputs = torch.tensor([tokens[:-1] for tokens, _ in rows])
        return inputs, torch.tensor([targets[1:] for _, targets in rows])

    def state(self) -> dict[str, Any]:
        """Return the number of the next document."""
        return {"number": self.number}

    def load(self, state: dict[str, Any]) -> None:
        """Continue at the document of `state`."""
        self.number = state["number"]

    def document(self, number: int, length: int) -> tuple[list[int], list[int]]:
        """Return tokens and targets, `length` + 1 of each, of one document."""
        chance = random.Random(f"{self.seed} {number}")  # noqa: S311 - a seeded choice of texts, no secret
        has_sheet = bool(self.people) and chance.random() < self.wanted.sheet_share
        tokens, targets = (self.with_sheet if has_sheet else self.without_sheet)(chance, length)
        missing = length + 1 - len(tokens)
        pad, none = [self.encoder.tokenizer.pad] * missing, [IGNORED] * missing
        return (tokens + pad)[: length + 1], (targets + none)[: length + 1]

    def without_sheet(self, chance: random.Random, length: int) -> tuple[list[int], list[int]]:
        """Return consecutive speeches of a play, from a random one on."""
        play = chance.choices(self.cast.plays, cum_weights=self.plays)[0]
        at, tokens = chance.randrange(max(1, len(play) - 1)), [self.encoder.tokenizer.bos]
        while len(tokens) <= length:
            if chance.random() < PLAIN_FACTS:
                tokens += self.encoder.turn(*asked(self.made_up(chance), chance))
            tokens += self.encoder.turn(play[at % len(play)].text, play[(at + 1) % len(play)].text)
            at += 2
        return tokens, tokens

    def with_sheet(self, chance: random.Random, length: int) -> tuple[list[int], list[int]]:
        """Return a sheet, then turns of its person."""
        person = chance.choices(self.cast.people, cum_weights=self.people)[0]
        room = int(length * chance.uniform(*SHEET_SHARE))
        facts = self.facts(person, chance)
        turns, played = self.turns(person, facts, chance, length - room)
        sheet = self.filled(person, facts, played, chance, room)
        spoken = [self.encoder.tokenizer.bos, self.encoder.sheet, *self.encoder.pieces(sheet.spoken())]
        stated = self.encoder.pieces(sheet.stated())
        return spoken + stated + turns, spoken + [IGNORED] * len(stated) + turns

    def facts(self, person: Person, chance: random.Random) -> Facts:
        """Return the person's own facts, or made-up ones for a share `made_up_share` of the documents."""
        return self.made_up(chance) if chance.random() < self.wanted.made_up_share else person.facts

    def made_up(self, chance: random.Random) -> Facts:
        """Return made-up facts: names of other persons or invented ones, a word of any person."""
        if not self.people:
            return Facts(invented(chance), invented(chance), "rest")
        somebody = [chance.choice(self.cast.people) for _ in range(3)]
        names = [invented(chance) if chance.random() < 0.5 else person.facts.name for person in somebody[:2]]
        return Facts(names[0], names[1], chance.choice(somebody[2].distinctive or ("rest",)))

    def turns(self, person: Person, facts: Facts, chance: random.Random, room: int) -> tuple[list[int], Turns]:
        """Return the tokens of turns that fill `room`, and the turns among them that are from the plays."""
        tokens: list[int] = []
        chosen: Turns = []
        for cue, reply in shuffled(person.turns, chance):
            while chance.random() < self.wanted.fact_share:
                tokens += self.encoder.turn(*asked(facts, chance))
            if len(tokens) >= room:
                break
            tokens += self.encoder.turn(cue.text, reply.text)
            chosen.append((cue, reply))
        return tokens, chosen

    def filled(self, person: Person, facts: Facts, turns: Turns, chance: random.Random, room: int) -> Sheet:
        """Return a sheet of about `room` tokens: words of the replies, and speeches that no turn contains."""
        words = self.words(person, turns, chance, int(room * WORDS_SHARE))
        left = room - len(self.encoder.pieces(Sheet((), person.play, words, facts).stated()))
        taken = {speech.text for turn in turns for speech in turn}
        speeches = (one.text for one in itertools.islice(shuffled(person.speeches, chance), TRIED))
        others = (text for text in speeches if text not in taken)
        return Sheet(self.fitting(others, left), person.play, words, facts)

    def words(self, person: Person, turns: Turns, chance: random.Random, room: int) -> tuple[str, ...]:
        """Return uncommon words of the replies, mixed with other words of the person, at most `room` tokens."""
        own: dict[str, None] = {}
        for _, reply in turns:
            found = self.cast.uncommon[reply.id]
            own |= dict.fromkeys(chance.sample(found, min(WORDS_A_REPLY, len(found))))
        others = [word for word in person.distinctive if word not in own]
        words = [*own, *chance.sample(others, min(len(others), int(len(own) * DISTRACTING) + 1))]
        chance.shuffle(words)
        return tuple(within(words, room, lambda word: len(self.encoder.read(f" {word}"))))

    def fitting(self, texts: Iterable[str], room: int) -> tuple[str, ...]:
        """Return the texts that fit into `room` tokens together, one a line."""
        kept: list[str] = []
        for text in texts:
            size = len(self.encoder.read(text)) + 1
            if size <= room:
                kept.append(text)
                room -= size
        return tuple(kept)


def shuffled(items: Sequence[Any], chance: random.Random) -> Iterator[Any]:
    """Yield items in random order; only as many are shuffled as the caller takes."""
    moved: dict[int, int] = {}
    for last in range(len(items) - 1, -1, -1):
        at = int(chance.random() * (last + 1))
        yield items[moved.get(at, at)]
        moved[at] = moved.get(last, last)


def asked(facts: Facts, chance: random.Random) -> tuple[str, str]:
    """Return a question for a random fact with its answer."""
    return exchange(chance.choice(tuple(QUESTIONS)), facts, chance)


def within(items: Iterable[str], room: int, size: Callable[[str], int]) -> Iterator[str]:
    """Yield items from the first on, until the next does not fit into `room`."""
    for item in items:
        room -= size(item)
        if room < 0:
            return
        yield item


def as_played(encoder: DocumentEncoder, plays: Iterable[Sequence[Speech]], length: int) -> list[list[int]]:
    """Return documents without a sheet that cover each play once; each has at most `length` tokens.

    A turn that begins near the end is cut there; the next document begins with the next turn.
    """
    rows = []
    for play in plays:
        row = [encoder.tokenizer.bos]
        for at in range(0, len(play) - 1, 2):
            if len(row) >= length:
                rows.append(row[:length])
                row = [encoder.tokenizer.bos]
            row += encoder.turn(play[at].text, play[at + 1].text)
        rows.append(row[:length])
    return rows
