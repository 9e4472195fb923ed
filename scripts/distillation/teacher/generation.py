"""A teacher's answers as rows; row r is question r with a seed of its own, so rows are independent of their order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from distillation.sampler_requests import answer_questions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.settings import Settings
    from distillation.models import ModelSetup

SEEDS = 1_000_000  # apart: those of two settings.seed never meet


def answers(
    setup: ModelSetup, asked: Sequence[dict[str, Any]], first: int, settings: Settings
) -> Iterator[dict[str, Any]]:
    """Yield the rows of questions `first`, `first` + 1, ...: answers at temperature 1, untruncated."""
    wanted, voice = settings.teacher, setup.voice
    sampler = setup.sampler(wait_s=wanted.wait_s)
    prompt_id = mark(voice.prompt)
    seed = settings.seed * SEEDS + first
    drawn = answer_questions(sampler, asked, voice, wanted, prompted=True, first_seed=seed)
    for at, answer in enumerate(drawn):
        yield {
            "row": first + at,
            **asked[at],
            "answer": voice.text(answer.tokens),
            "tokens": answer.tokens,
            "logprobs": [round(one, 4) for one in answer.logprobs],
            "whole": answer.is_whole,
            "seed": seed + at,
            "model": setup.teacher,
            "told": prompt_id,
        }


def mark(prompt: str) -> str:
    """Return the id of a prompt in rows: 16 hex digits of its SHA-256."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def strangers(rows: Sequence[dict[str, Any]], model: str, prompt: str) -> int:
    """Count the rows of another model or of another prompt."""
    prompt_id = mark(prompt)
    return sum(row.get("model") != model or row.get("told") != prompt_id for row in rows)
