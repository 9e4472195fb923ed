"""Figures of a character's data, compared with their thresholds."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.stage import Criterion
from distillation.corpus.character import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.settings import Settings, Thresholds
    from distillation.corpus.character import Pair
    from distillation.corpus.plays import Speech

ODD = re.compile(r"[^ -~\u00a0-\u024f\u2010-\u201f\u2026]")


@dataclass(frozen=True)
class Data:
    """All speeches, the character's own, and those with their cues."""

    speeches: list[Speech]
    own: list[Speech]
    pairs: list[Pair]


def figures(data: Data, settings: Settings) -> dict[str, Any]:
    """Return every figure of the character's data."""
    lengths = sorted(len(one.text.split()) for one in data.own)
    unique = {plain(one.text) for one in data.own}
    held_out = set(settings.held_out)
    return {
        "speeches": len(data.own),
        "unique": len(unique),
        "duplicate_share": round(1 - len(unique) / len(data.own), 4),
        "empty": sum(not plain(one.text) for one in data.own),
        "words": sum(lengths),
        "shortest_words": lengths[0],
        "median_words": statistics.median(lengths),
        "mean_words": round(statistics.mean(lengths), 1),
        "p90_words": lengths[int(0.9 * (len(lengths) - 1))],
        "longest_words": lengths[-1],
        "odd_characters": sum(len(ODD.findall(one.text)) for one in data.own),
        "pairs": len(data.pairs),
        "question_cues": sum(pair.question for pair in data.pairs),
        "plays": dict(Counter(one.play for one in data.own)),
        "held_out_plays": sorted({one.play for one in data.speeches} & held_out),
        "own_in_held_out": sum(one.play in held_out for one in data.own),
        "leaks": leaks(data.speeches, held_out, settings.thresholds.leak_words),
    }


def leaks(speeches: Iterable[Speech], held_out: set[str], least_words: int) -> list[list[str]]:
    """Return [held-out speech, other speech] for each speech that occurs word for word on both sides."""
    elsewhere: dict[str, str] = {}
    inside: list[tuple[str, str]] = []
    for one in speeches:
        text = plain(one.text)
        if len(text.split()) < least_words:
            continue
        if one.play in held_out:
            inside.append((text, one.id))
        else:
            elsewhere.setdefault(text, one.id)
    return [[id_, elsewhere[text]] for text, id_ in inside if text in elsewhere]


def judge(found: dict[str, Any], settings: Settings) -> list[Criterion]:
    """Return one criterion for each threshold."""
    amounts, wanted = judge_amounts(found, settings.thresholds), len(settings.held_out)
    limits = settings.thresholds
    return [
        *amounts,
        at_most("Speeches are not double", found["duplicate_share"], limits.max_duplicate_share, "of them said before"),
        at_most("No speech is empty", found["empty"], 0, "empty"),
        at_most("No speech is a missed name", found["longest_words"], limits.max_words, "words in the longest"),
        at_most("Text is clean", found["odd_characters"], limits.max_odd_characters, "odd characters"),
        at_least("Held-out plays are here", len(found["held_out_plays"]), wanted, "held-out plays"),
        at_most("The character stays out of held-out plays", found["own_in_held_out"], 0, "speeches in held-out plays"),
        at_most("Nothing leaks from held-out plays", len(found["leaks"]), limits.max_leaks, "speeches on both sides"),
    ]


def judge_amounts(found: dict[str, Any], limits: Thresholds) -> list[Criterion]:
    """Return the criteria on amounts, which a --test cannot meet."""
    return [
        at_least(f"At least {limits.min_speeches} speeches", found["unique"], limits.min_speeches, "unique speeches"),
        at_least("Replies have cues", found["pairs"], limits.min_pairs, "cue and reply"),
        at_least("Cues ask", found["question_cues"], limits.min_question_cues, "short questions"),
        at_least("Speeches have a length", found["median_words"], limits.min_median_words, "words in the middle one"),
    ]


def at_least(text: str, value: float, least: float, what: str) -> Criterion:
    """Judge a figure that must not be smaller."""
    return Criterion(text, value >= least, f"{value:g} {what}, at least {least:g}")


def at_most(text: str, value: float, most: float, what: str) -> Criterion:
    """Judge a figure that must not be larger."""
    return Criterion(text, value <= most, f"{value:g} {what}, at most {most:g}")
