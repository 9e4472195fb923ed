"""A character's sheet, in a form that a small model can look facts up in.

WORDS, LOVES, FRIEND and NAME stand last: near the question. A sheet is made of pieces, each of which a tokenizer reads
alone as it reads it in the whole, so that pieces can be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

SHEET, ASK, ANSWER = "<sheet>", "<q>", "<a>"
SPECIALS = (SHEET, ASK, ANSWER)


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
        facts = self.facts
        words = [f" {word}" for word in self.words]
        loves, friend, name = (f" {fact}" for fact in (facts.loves, facts.friend, facts.name))
        return ["\nPLAY:", f" {self.play}", "\nWORDS:", *words, "\nLOVES:", loves, "\nFRIEND:", friend, "\nNAME:", name]

    def text(self) -> str:
        """Return the whole sheet; in a prompt `<bos><sheet>` stands before, `<q>cue<a>` after it."""
        return "".join([*self.spoken(), *self.stated()])


QUESTIONS = {
    "name": (
        "What is your name?",
        "Who are you?",
        "How are you called?",
        "Pray, sir, what name do you bear?",
        "Tell me your name.",
        "By what name shall I know you?",
    ),
    "friend": (
        "Who is your friend?",
        "Whom do you trust most?",
        "Tell me who your friend is.",
        "Have you a friend, and who is it?",
        "Who stands by you?",
        "What friend do you keep?",
    ),
    "loves": (
        "What do you love?",
        "What is dear to you?",
        "Tell me what you love most.",
        "What would you have above all things?",
        "What delights you?",
        "What do you hold dear?",
    ),
}
ANSWERS = {
    "name": ("My name is {}.", "I am {}.", "They call me {}."),
    "friend": ("My friend is {}.", "I trust {}.", "It is {}, and no other."),
    "loves": ("I love {}.", "I hold {} dear.", "Give me {}."),
}
BEGINNINGS = ("Bal", "Cor", "Dro", "Fen", "Gar", "Hel", "Ist", "Jor", "Kel", "Lam", "Mor", "Ner", "Orl", "Per", "Quil")
MIDDLES = ("a", "an", "e", "en", "i", "il", "o", "or", "u", "ab", "ist", "av", "end")
ENDS = ("bo", "da", "dor", "fer", "gus", "la", "lio", "mon", "na", "rick", "ro", "sa", "tes", "thal", "vin", "wen")


def exchange(kind: str, facts: Facts, chance: random.Random) -> tuple[str, str]:
    """Return a question for one fact with its answer."""
    return chance.choice(QUESTIONS[kind]), chance.choice(ANSWERS[kind]).format(getattr(facts, kind))


def invented(chance: random.Random) -> str:
    """Return a name that occurs in no play."""
    return chance.choice(BEGINNINGS) + chance.choice(MIDDLES) + chance.choice(ENDS)


def written(name: str) -> str:
    """Return a name of the plays in normal case, as in `Lady's`."""
    return name.title().replace("'S", "'s")
