"""Similarity of answers: by edit distance, by an embedding, by a judge, as far as these are available."""

from __future__ import annotations

import os
from importlib import util
from statistics import mean
from typing import TYPE_CHECKING, Any

from distillation.sampler_requests import answer_questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.stage import Stage
    from distillation.models import ModelSetup, Student

ASKED, AGAIN = 100, 900_000_000  # answers that are compared; apart from all other seeds
ABSENT = "absent: sentence-transformers is not installed"
EMBEDDING = "sentence-transformers/all-MiniLM-L6-v2"
JUDGE_QUESTION = (
    "Two answers to one question are below. Which one is more like {name} of the plays? Say A or B, nothing else.\n\n"
    "Question: {question}\nA: {a}\nB: {b}"
)


def compared(stage: Stage, setup: ModelSetup, rows: Sequence[dict[str, Any]], student: Student) -> dict[str, Any]:
    """Sample answers of base, student and teacher to the first held-out questions; return their similarities."""
    some = rows[:ASKED]
    sampled = {
        "base": sample_answers(stage, setup, some, setup.sampler(model=setup.student), prompted=False),
        "student": sample_answers(stage, setup, some, setup.sampler(student.sampler_path), prompted=False),
        "teacher": sample_answers(stage, setup, some, setup.sampler(), prompted=True),
    }
    first = [str(row["answer"]) for row in some]
    beside = [
        {"question": some[at]["question"], "group": some[at]["group"], **{name: sampled[name][at] for name in sampled}}
        for at in shown(some, stage.settings.evaluation.side_by_side)
    ]
    return {
        "similarity": {
            "of": f"{len(some)} answers beside the teacher's first ones; its own second ones show the most to expect",
            "letters": {name: letters(answers, first) for name, answers in sampled.items()},
            "embedding": {name: embedded(answers, first) for name, answers in sampled.items()}
            if has_embedding()
            else ABSENT,
        },
        "win_rate": won(some, sampled),
        "side_by_side": beside,
    }


def shown(rows: Sequence[dict[str, Any]], count: int) -> list[int]:
    """Return the places of the rows to show: the first of each kind of fact, then the first others."""
    first = {row["kind"]: at for at, row in reversed([*enumerate(rows)]) if row["group"] == "fact"}
    others = [at for at, row in enumerate(rows) if row["group"] != "fact"]
    return [*sorted(first.values()), *others][:count]


def sample_answers(
    stage: Stage, setup: ModelSetup, rows: Sequence[dict[str, Any]], sampler: Any, *, prompted: bool
) -> list[str]:
    """Return an answer to each question."""
    drawn = answer_questions(sampler, rows, setup.voice, stage.settings.teacher, prompted=prompted, first_seed=AGAIN)
    return [setup.voice.text(one.tokens) for one in drawn]


def letters(answers: Sequence[str], others: Sequence[str]) -> float:
    """Return the mean similarity of pairs by edit distance, 0 to 1."""
    from rapidfuzz.fuzz import ratio

    return round(mean(float(ratio(one, other)) / 100 for one, other in zip(answers, others, strict=True)), 4)


def has_embedding() -> bool:
    """Return True if the package for embeddings is installed."""
    return util.find_spec("sentence_transformers") is not None


def embedded(answers: Sequence[str], others: Sequence[str]) -> float | str:
    """Return the mean cosine of pairs by an embedding model; the reason as text if there is no model."""
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(EMBEDDING)
    except Exception as error:  # noqa: BLE001 - any exception of its HTTP library means the same: no model
        return f"absent: {EMBEDDING} is out of reach ({type(error).__name__})"
    first, second = (model.encode(list(texts), normalize_embeddings=True) for texts in (answers, others))
    return round(float((first * second).sum(1).mean()), 4)


def won(rows: Sequence[dict[str, Any]], sampled: dict[str, list[str]]) -> Any:
    """Return a judge's preferences between student and base; the reason as text if there is no judge."""
    if not os.environ.get("ANTHROPIC_API_KEY"):
        return "absent: no credentials of a judge (ANTHROPIC_API_KEY)"
    if util.find_spec("anthropic") is None:
        return "absent: pip install 'do-tasks[agent]'"
    from distillation.evaluation import judge_model

    return judge_model.rate(JUDGE_QUESTION, rows, sampled["student"], sampled["base"])
