"""Counts of answers with the fact that their question asks for and the teacher's prompt states.

Questions are of two sorts: in wordings that training questions have, and in wordings that no training question has.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from distillation import sampler_requests
from distillation.corpus.text_features import WORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from common.settings import Settings
    from distillation.models import ModelSetup

    Rows = Sequence[Mapping[str, Any]]

TRAINED, HELD_OUT, ALL = "trained", "held_out", "all"
SEEDS = 11_000_000  # apart from those of all other answers


def has_fact(text: str, fact: str) -> bool:
    """Return True if an answer has the last word of a fact: Falstaff of Sir John Falstaff."""
    wanted = WORD.findall(fact.lower())[-1:]
    return bool(wanted) and wanted[0] in WORD.findall(text.lower())


def questions(trained: Rows, held_out: Rows, facts: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    """Return up to `count` questions for facts of each sort, the kinds in turn; equal data give equal questions."""
    found = []
    for sort, rows in ((TRAINED, trained), (HELD_OUT, held_out)):
        by_kind: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            if row["group"] == "fact" and row["kind"] in facts:
                by_kind[row["kind"]].append(row)
        mixed = (row for turn in itertools.zip_longest(*by_kind.values()) for row in turn if row)
        kept = itertools.islice(mixed, count)
        found += [{name: row[name] for name in ("id", "kind", "template", "question")} | {"sort": sort} for row in kept]
    return found


def answers(setup: ModelSetup, sampler: Any, rows: Rows, settings: Settings, *, prompted: bool) -> Iterable[str]:
    """Return one answer to each question; every model gets the same seeds."""
    seed = SEEDS + settings.seed
    drawn = sampler_requests.answer_questions(
        sampler, map(dict, rows), setup.voice, settings.teacher, prompted=prompted, first_seed=seed
    )
    return [setup.voice.text(one.tokens) for one in drawn]


def tally(rows: Rows, facts: Mapping[str, str], models: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Count by sort and kind, and over all, the questions (`of`) and the answers of each model that say the fact."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        for sort, kind in itertools.product((row["sort"], ALL), (row["kind"], ALL)):
            cell = found.setdefault(sort, {}).setdefault(kind, dict.fromkeys(("of", *models), 0))
            cell["of"] += 1
            for model in models:
                cell[model] += has_fact(row[model], facts[row["kind"]])
    return found


def text(cell: Mapping[str, int], model: str) -> str:
    """Return the count of a model as text."""
    return f"{cell[model]} of {cell['of']}"
