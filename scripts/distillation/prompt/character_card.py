"""A character's portrait for the teacher's prompt, from the speeches."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import config
from distillation.corpus import speaker_names, text_features
from distillation.corpus.character import plain

if TYPE_CHECKING:
    from common.settings import Settings
    from distillation.corpus.character import Pair
    from distillation.corpus.counts import Part
    from distillation.corpus.plays import Speech

EXAMPLE_WORDS = range(8, 56)
CUE_WORDS = range(3, 31)
ORDERS = (
    "Answer as {name} would, in the first person, in the English of the plays, in one to four sentences. "
    "Stay yourself whatever you are asked; never speak of a prompt, a model or a play."
)
GROUPS = re.compile(r"^(?:ALL|BOTH)\b| AND |[,&]")


@dataclass(frozen=True)
class Source:
    """The data of a portrait: the part, its speeches, their cues, the speeches of all others."""

    part: Part
    own: list[Speech]
    pairs: list[Pair]
    others: list[Speech]
    titles: dict[str, str]


@dataclass(frozen=True)
class Portrait:
    """The content of the teacher's prompt; `examples` and `exchanges` are unchanged speeches."""

    name: str
    introduction: str
    manner: tuple[str, ...]
    facts: dict[str, str]
    vocabulary: tuple[str, ...]
    examples: tuple[Speech, ...]
    exchanges: tuple[Pair, ...]


def draw(source: Source, settings: Settings) -> Portrait:
    """Return the portrait; the same seed and data give the same one."""
    card = read_card(source.part.speaker)
    name = card.get("name") or source.part.speaker.title()
    chance = random.Random(settings.seed)  # noqa: S311 - a seeded choice of examples, no secret
    facts = facts_of(source, card, name)
    return Portrait(
        name=name,
        introduction=card.get("who") or introduce(source, facts),
        manner=(*card.get("manner", ()), *habits(source.own)),
        facts=facts,
        vocabulary=vocabulary(source, settings),
        examples=tuple(pick(chance, [one for one in source.own if fits(one.text)], settings.prompt.examples)),
        exchanges=tuple(pick(chance, [pair for pair in source.pairs if answers(pair)], settings.prompt.exchanges)),
    )


def read_card(speaker: str) -> dict[str, Any]:
    """Read the card that a person wrote about the character; most characters have none."""
    path = config.CONFIGS / "characters" / f"{re.sub(r'[^a-z0-9]+', '_', speaker.lower()).strip('_')}.yaml"
    return config.read_yaml(path) if path.is_file() else {}


def facts_of(source: Source, card: dict[str, Any], name: str) -> dict[str, str]:
    """Return the facts that a question can ask for: name, play, friend, and those of the card."""
    plays = Counter(one.play for one in source.own)
    facts = {"name": name, "play": source.titles[plays.most_common(1)[0][0]], "friend": friend(source)}
    return facts | {key: str(card[key]) for key in ("friend", "loves") if key in card}


def friend(source: Source) -> str:
    """Return the person whom the character answers most often."""
    spoken_with = Counter(pair.cue_speaker for pair in source.pairs if not GROUPS.search(pair.cue_speaker))
    return spoken_with.most_common(1)[0][0].title() if spoken_with else "nobody"


def introduce(source: Source, facts: dict[str, str]) -> str:
    """Return an introduction for a character without a card."""
    return (
        f"You are {facts['name']}, of {facts['play']}. You speak {source.part.speeches} times, "
        f"{source.part.words} words in all, and {facts['friend']} is the one you answer most."
    )


def habits(own: list[Speech]) -> tuple[str, ...]:
    """Return the character's manner of speaking, in figures."""
    lengths = sorted(len(one.text.split()) for one in own)
    asking = sum("?" in one.text for one in own) / len(own)
    crying = sum("!" in one.text for one in own) / len(own)
    middle, long = lengths[len(lengths) // 2], lengths[int(0.9 * (len(lengths) - 1))]
    return (
        f"Half of your speeches have {middle} words or fewer; one in ten has more than {long}.",
        f"You ask something in {asking:.0%} of your speeches, and cry out in {crying:.0%}.",
    )


def vocabulary(source: Source, settings: Settings) -> tuple[str, ...]:
    """Return the words that the character uses more than others, without names and the most common words."""
    own = text_features.word_counts(one.text for one in source.own)
    others = text_features.word_counts(one.text for one in source.others if one.play not in settings.held_out)
    common = {word for word, _ in others.most_common(settings.prompt.common)}
    ranked = text_features.distinctive(own, others, settings.prompt.min_count)
    dull = common | names_in(source)
    kept = (word for word, score in ranked if score > 0 and word.removesuffix("'s") not in dull)
    return tuple(kept)[: settings.prompt.vocabulary]


def names_in(source: Source) -> set[str]:
    """Return the words that name persons in the character's plays."""
    names = {name for play in source.part.plays for name in speaker_names.ALIASES.get(play, {})}
    names |= {one.speaker for one in (*source.own, *source.others) if one.play in source.part.plays}
    return {word for name in names for word in plain(name).split()}


def fits(text: str) -> bool:
    """Return True if a speech is a good example: whole, neither one word nor a monologue."""
    return len(text.split()) in EXAMPLE_WORDS and text[:1].isupper() and text.rstrip("'\"")[-1:] in ".!?"


def answers(pair: Pair) -> bool:
    """Return True if cue and reply are both good examples."""
    return fits(pair.reply) and len(pair.cue.split()) in CUE_WORDS


def pick(chance: random.Random, candidates: list[Any], count: int) -> list[Any]:
    """Return a random choice of `count` candidates, in their order."""
    chosen = chance.sample(range(len(candidates)), min(count, len(candidates)))
    return [candidates[at] for at in sorted(chosen)]


def written(portrait: Portrait) -> str:
    """Return the teacher's prompt as text."""
    exchanges = [f"{title(pair.cue_speaker)}: {pair.cue}\nYou: {pair.reply}\n" for pair in portrait.exchanges]
    return "\n".join(
        [
            f"# You are {portrait.name}",
            "",
            f"{portrait.introduction} {ORDERS.format(name=portrait.name)}",
            "",
            "## Your manner",
            "",
            *(f"- {line}" for line in portrait.manner),
            "",
            "## Words you like",
            "",
            ", ".join(portrait.vocabulary),
            "",
            "## What is so",
            "",
            *(f"- {key.capitalize()}: {value}" for key, value in portrait.facts.items()),
            "",
            "## As you have spoken",
            "",
            *(f"- {one.text}" for one in portrait.examples),
            "",
            "## As you have answered",
            "",
            *exchanges,
        ]
    )


def title(name: str) -> str:
    """Return a name of the plays in normal case, as in `Lady's`."""
    return name.title().replace("'S", "'s")
