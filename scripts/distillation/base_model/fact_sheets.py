"""A character's sheet, in a form that a small model can look facts up in.

A sheet ends with its facts, near the question, each in the words of an answer: "By name Falstaff". A model that
continues a run of words as it met it before finds the fact. A sheet is made of pieces, each of which a tokenizer reads
alone as it reads it in the whole, so that pieces can be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

SHEET, ASK, ANSWER = "<sheet>", "<q>", "<a>"
SPECIALS = (SHEET, ASK, ANSWER)
LINES = {"loves": "\nI love", "friend": "\nMy friend", "name": "\nBy name"}  # before each fact, in this order
STARTS = {kind: f"{line.strip()} " for kind, line in LINES.items()}


@dataclass(frozen=True)
class Facts:
    """The facts that a question can ask for."""

    name: str
    friend: str
    loves: str


@dataclass(frozen=True)
class Sheet:
    """A character's prompt: speeches, play, words to use, facts."""

    speeches: tuple[str, ...]
    play: str
    words: tuple[str, ...]
    facts: Facts

    def spoken(self) -> list[str]:
        """Return the pieces that are text of the play."""
        return ["SPEECHES:", *(piece for speech in self.speeches for piece in ("\n", speech))]

    def stated(self) -> list[str]:
        """Return the pieces that cannot be predicted; they do not count in the loss."""
        words = [f" {word}" for word in self.words]
        facts = [piece for kind, line in LINES.items() for piece in (line, f" {getattr(self.facts, kind)}")]
        return ["\nPLAY:", f" {self.play}", "\nWORDS:", *words, *facts]

    def text(self) -> str:
        """Return the whole sheet; in a prompt `<bos><sheet>` stands before, `<q>cue<a>` after it."""
        return "".join([*self.spoken(), *self.stated()])


QUESTIONS = {
    "name": (
        "What is your name?",
        "Who are you?",
        "Pray, {address}, what name do you bear?",
        "Tell me your name.",
        "How are you called?",
        "And your name?",
        "What shall I call you?",
        "Your name, I pray you?",
        "What name did your father give you?",
        "Say who you are.",
        "I would know your name.",
        "Whom do I speak with?",
        "Give me your name, {address}, and be brief.",
        "What man are you?",
        "What name have you?",
        "How do they call you at home?",
    ),
    "friend": (
        "Who is your friend?",
        "Whom do you trust most?",
        "Tell me who your friend is.",
        "Who stands by you?",
        "Is there one whom you call a friend?",
        "And who is your friend?",
        "Who is the best of your friends?",
        "Name me your friend.",
        "Pray, {address}, who is your friend?",
        "Which man do you trust?",
        "Who would help you in need?",
        "I would know who your friend is.",
        "With whom do you drink?",
        "To whom would you go in trouble?",
        "Say, {address}, have you no friend?",
        "Whom do you love as a friend?",
    ),
    "loves": (
        "What do you love?",
        "What is dear to you?",
        "Tell me what you love most.",
        "What delights you?",
        "What would you have above all things?",
        "And what do you love?",
        "What is your delight?",
        "Name me the thing that you love.",
        "What thing is dearest to you?",
        "Pray, {address}, what do you love?",
        "What would you not live without?",
        "What pleases you best?",
        "I would know what you love.",
        "What does your heart desire?",
        "Say, {address}, what is most dear to you?",
        "What do you wish for?",
    ),
}
ANSWERS = {  # the word before a fact is that of the sheet: one token, rare elsewhere
    "name": ("By name {}.", "I am by name {}.", "Sir, by name {}."),
    "friend": ("My friend {}.", "It is my friend {}.", "I trust my friend {}."),
    "loves": ("I love {}.", "Sir, I love {}.", "Above all I love {}."),
}
ADDRESSES = (
    *("sir", "good sir", "my lord", "my good lord", "my friend", "old friend", "neighbour", "stranger", "cousin"),
    *("captain", "fellow", "good man", "old man", "brother", "soldier", "traveller", "good knight", "sweet knight"),
    *("worthy sir", "gentle sir", "honest man", "my masters", "madam", "good lady", "sirrah"),
)
ADDRESSED = 0.75  # share of the questions that name whom they ask
BEGINNINGS = ("Bal", "Cor", "Dro", "Fen", "Gar", "Hel", "Ist", "Jor", "Kel", "Lam", "Mor", "Ner", "Orl", "Per", "Quil")
MIDDLES = ("a", "an", "e", "en", "i", "il", "o", "or", "u", "ab", "ist", "av", "end")
ENDS = ("bo", "da", "dor", "fer", "gus", "la", "lio", "mon", "na", "rick", "ro", "sa", "tes", "thal", "vin", "wen")


def exchange(kind: str, facts: Facts, chance: random.Random) -> tuple[str, str]:
    """Return a question for one fact with its answer."""
    address = chance.choice(ADDRESSES) if chance.random() < ADDRESSED else ""
    question = put(chance.choice(QUESTIONS[kind]), address)
    return question, chance.choice(ANSWERS[kind]).format(getattr(facts, kind))


def put(wording: str, address: str) -> str:
    """Return a question with an address: in the place that the wording has for it, else before its last mark."""
    if "{address}" in wording:
        return wording.format(address=address or ADDRESSES[0])
    return f"{wording[:-1]}, {address}{wording[-1]}" if address else wording


def stated(text: str) -> dict[str, str]:
    """Return the facts that the text of a sheet states, by kind."""
    last = text.splitlines()[-len(LINES) :]
    return {kind: row.removeprefix(start) for kind, start in STARTS.items() for row in last if row.startswith(start)}


def is_statement(line: str) -> bool:
    """Return True for a line of a sheet that states a fact."""
    return line.startswith(tuple(STARTS.values()))


def invented(chance: random.Random) -> str:
    """Return a name that occurs in no play."""
    return chance.choice(BEGINNINGS) + chance.choice(MIDDLES) + chance.choice(ENDS)


def written(name: str) -> str:
    """Return a name of the plays in normal case, as in `Lady's`."""
    return name.title().replace("'S", "'s")
