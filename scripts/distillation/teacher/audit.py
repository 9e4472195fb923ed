"""Figures of the generated set, compared with their thresholds."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillation.corpus import text_features
from distillation.corpus.character import plain
from distillation.corpus.thresholds import at_least, at_most
from distillation.prompt import dialogue

if TYPE_CHECKING:
    from common.settings import Audit
    from common.stage import Criterion

FILES = re.compile(r"teacher_data_\d+\.jsonl")
DOUBLE_WORDS = 4  # an answer of fewer words may be given twice


@dataclass(frozen=True)
class References:
    """The references of the audit: the prompt, the character's words, the held-out questions."""

    prompt: str
    vocabulary: frozenset[str]
    held_out: frozenset[str]


def figures(rows: list[dict[str, Any]], references: References) -> dict[str, Any]:
    """Return every figure of the set; for an empty set only its size."""
    if not rows:
        return {"rows": 0}
    texts = [str(row["answer"]) for row in rows]
    words = [len(text.split()) for text in texts]
    sizes = [len(row["tokens"]) for row in rows]
    kinds = Counter(str(row["kind"]) for row in rows)
    return {
        "rows": len(rows),
        "empty_share": share(not text for text in texts),
        "duplicate_share": duplicates(rows),
        "question_duplicate_share": 1 - len({plain(str(row["question"])) for row in rows}) / len(rows),
        "median_words": statistics.median(words),
        "longest_words": max(words),
        "mean_tokens": statistics.mean(sizes),
        "cut_share": share(not row["whole"] for row in rows),
        "vocabulary_share": share(
            references.vocabulary & set(text_features.WORD.findall(text.lower())) for text in texts
        ),
        "distinct_words": len({word for text in texts for word in text_features.WORD.findall(text.lower())}),
        "kinds": dict(kinds.most_common()),
        "templates": len({row["template"] for row in rows}),
        "largest_kind_share": max(kinds.values()) / len(rows),
        "held_out_leaks": sum(plain(str(row["question"])) in references.held_out for row in rows),
        "prompt_leak_share": len(list(dialogue.find_leaks(map(dialogue.formatted, rows), references.prompt)))
        / len(rows),
    }


def share(marks: Any) -> float:
    """Return the share of true values."""
    counted = [bool(mark) for mark in marks]
    return sum(counted) / len(counted)


def duplicates(rows: list[dict[str, Any]]) -> float:
    """Return the share of long answers that repeat an earlier one."""
    forms = [plain(str(row["answer"])) for row in rows if row["group"] != "fact"]
    long = [form for form in forms if len(form.split()) >= DOUBLE_WORDS]
    return 1 - len(set(long)) / len(long) if long else 0.0


def judge(found: dict[str, Any], wanted: Audit, *, is_whole: bool) -> list[Criterion]:
    """Return a criterion for each threshold; for an unfinished set those that it can meet."""
    if not found["rows"]:
        return [at_least("There are answers", 0, 1, "rows")]
    criteria = [
        at_most("Answers are not double", found["duplicate_share"], wanted.max_duplicate_share, "said before"),
        at_most("Questions are not double", found["question_duplicate_share"], 0, "asked before"),
        at_most("Answers are not empty", found["empty_share"], wanted.max_empty_share, "empty"),
        at_least("Answers have a length", found["median_words"], wanted.min_median_words, "words in the middle one"),
        at_most("Answers come to an end", found["cut_share"], wanted.max_cut_share, "cut off"),
        at_least(
            "The character's words are used", found["vocabulary_share"], wanted.min_vocabulary_share, "of answers"
        ),
        at_most("No held-out question is asked", found["held_out_leaks"], wanted.max_leaks, "questions"),
        at_most("Answers do not recite the prompt", found["prompt_leak_share"], wanted.max_prompt_share, "of answers"),
    ]
    if is_whole:
        kinds = len(found["kinds"])
        balance = at_most("No kind is most of it", found["largest_kind_share"], wanted.max_kind_share, "of one kind")
        criteria += [balance, at_least("Kinds are many", kinds, wanted.min_kinds, "kinds")]
    return criteria
