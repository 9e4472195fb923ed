"""Questions to the teacher, from templates and from the plays; held-out ones differ from those trained on."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from common import config
from common.errors import USAGE, Trouble
from distillation.corpus.character import is_question, plain
from distillation.prompt.character_card import GROUPS, title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from common.settings import Settings
    from distillation.corpus.plays import Speech

SLOT = re.compile(r"\{(\w+)\}")
LEAST_SPEECHES = 30  # of a person who is asked about
OUT_OF_A_PLAY = "play"
FACT, CUE = "fact", "cue"


@dataclass(frozen=True)
class Question:
    """One question; `group` is fact (its answer stands in the prompt) or cue (it has no right answer)."""

    id: str
    kind: str
    group: str
    template: str
    question: str


@dataclass(frozen=True)
class Template:
    """A question with slots."""

    name: str
    kind: str
    group: str
    text: str


@dataclass(frozen=True)
class Book:
    """All templates, and the values of their slots."""

    trained: tuple[Template, ...]
    held_out: tuple[Template, ...]
    slots: dict[str, tuple[str, ...]]

    @property
    def kinds(self) -> set[str]:
        """The kinds of question."""
        return {one.kind for one in (*self.trained, *self.held_out)}


@dataclass(frozen=True)
class Asked:
    """Questions to train on, and held-out questions to evaluate with."""

    train: list[Question]
    held_out: list[Question]

    def rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return both as rows of JSON."""
        return [asdict(one) for one in self.train], [asdict(one) for one in self.held_out]


def read_book(speeches: Iterable[Speech], settings: Settings) -> Book:
    """Read the templates; the persons are frequent speakers of plays that are not held out."""
    path = config.CONFIGS / "questions" / "plays.yaml"
    content = config.read_yaml(path)
    slots = {name: tuple(map(str, words)) for name, words in content["slots"].items()}
    slots["person"] = persons(speeches, settings.held_out)
    book = Book(
        tuple(templates(content["kinds"], "train", "")), tuple(templates(content["kinds"], "held_out", "h")), slots
    )
    for one in (*book.trained, *book.held_out):
        unknown = set(SLOT.findall(one.text)) - set(slots)
        if unknown:
            raise Trouble(f"{path}: {one.text!r} has a slot {unknown.pop()!r}: use {', '.join(sorted(slots))}", USAGE)
    return book


def templates(kinds: dict[str, Any], which: str, mark: str) -> Iterator[Template]:
    """Yield the templates of all kinds."""
    for kind, about in kinds.items():
        for number, text in enumerate(about[which], 1):
            yield Template(f"{kind}_{mark}{number:02}", kind, str(about["group"]), str(text))


def persons(speeches: Iterable[Speech], held_out: Sequence[str]) -> tuple[str, ...]:
    """Return the names of frequent speakers, none of a held-out play."""
    counts: dict[str, int] = {}
    for one in speeches:
        if one.play not in held_out and not GROUPS.search(one.speaker):
            counts[one.speaker] = counts.get(one.speaker, 0) + 1
    return tuple(title(name) for name in sorted(counts) if counts[name] >= LEAST_SPEECHES) or ("my friend",)


def asked(speeches: Sequence[Speech], settings: Settings) -> Asked:
    """Return all questions, no two with the same normal form; the same seed and data give the same ones."""
    book, wanted = read_book(speeches, settings), settings.questions
    chance = random.Random(f"questions {settings.seed}")  # noqa: S311 - a seeded choice, no secret
    taken: set[str] = set()
    last = held_out_questions(book, speeches, settings, chance, taken)
    return Asked(trained(book, speeches, settings, chance, taken), last[: wanted.held_out])


def held_out_questions(
    book: Book, speeches: Sequence[Speech], settings: Settings, chance: random.Random, taken: set[str]
) -> list[Question]:
    """Return the held-out questions: held-out wordings of facts, cues of held-out plays, held-out templates."""
    wanted = settings.questions
    facts = int(wanted.held_out * wanted.held_out_facts)
    cues = [one.text for one in speeches if one.play in settings.held_out and is_question(one.text)]
    found = filled(some_of(book.held_out, FACT), book, facts, chance, taken)
    found += out_of_plays(cues, wanted.held_out, chance, taken)
    found += filled(some_of(book.held_out, CUE), book, wanted.held_out - len(found), chance, taken)
    return numbered("h", found, chance)


def trained(
    book: Book, speeches: Sequence[Speech], settings: Settings, chance: random.Random, taken: set[str]
) -> list[Question]:
    """Return the training questions: questions of plays, then facts, the rest from templates."""
    wanted = settings.questions
    cues = [one.text for one in speeches if one.play not in settings.held_out and is_question(one.text)]
    found = out_of_plays(cues, int(wanted.train * wanted.cues), chance, taken)
    found += filled(some_of(book.trained, FACT), book, int(wanted.train * wanted.facts), chance, taken)
    found += filled(some_of(book.trained, CUE), book, wanted.train - len(found), chance, taken)
    return numbered("q", found, chance)


def some_of(templates: Iterable[Template], group: str) -> list[Template]:
    """Return the templates of one group."""
    return [one for one in templates if one.group == group]


def filled(
    templates: Sequence[Template], book: Book, count: int, chance: random.Random, taken: set[str]
) -> list[tuple[Template, str]]:
    """Return up to `count` new questions, each template in turn; fewer where the slots give no more."""
    found: list[tuple[Template, str]] = []
    tries = itertools.cycle(templates) if templates else iter(())
    for one in itertools.islice(tries, 20 * max(0, count)):
        if len(found) >= count:
            break
        text = SLOT.sub(lambda slot: chance.choice(book.slots[slot[1]]), one.text)
        text = text[:1].upper() + text[1:]
        if is_new(text, taken):
            found.append((one, text))
    return found


def out_of_plays(cues: Iterable[str], count: int, chance: random.Random, taken: set[str]) -> list[tuple[Template, str]]:
    """Return up to `count` short questions of the plays."""
    one = Template(OUT_OF_A_PLAY, OUT_OF_A_PLAY, CUE, "")
    texts = list(dict.fromkeys(cues))
    chance.shuffle(texts)
    return [(one, text) for text in itertools.islice((text for text in texts if is_new(text, taken)), count)]


def is_new(text: str, taken: set[str]) -> bool:
    """Return True if a question is new; add it to `taken`."""
    form = plain(text)
    if form in taken:
        return False
    taken.add(form)
    return True


def numbered(letter: str, found: list[tuple[Template, str]], chance: random.Random) -> list[Question]:
    """Shuffle the questions and number them."""
    chance.shuffle(found)
    return [
        Question(f"{letter}{number:05}", one.kind, one.group, one.name, text)
        for number, (one, text) in enumerate(found)
    ]
