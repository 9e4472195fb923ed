"""A teacher's answers as rows; row r is question r, its seed follows from r, so no row depends on when it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill import asking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from distill.scene import Scene
    from distill.settings import Settings

SEEDS = 1_000_000  # apart: those of two settings.seed never meet


def answers(set_up: Scene, asked: Sequence[dict[str, Any]], first: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the rows of questions `first`, `first` + 1, ...: answers at temperature 1, untruncated."""
    wanted, voice = settings.teacher, set_up.voice
    sampler = set_up.sampler(wait_s=wanted.wait_s)
    seed = settings.seed * SEEDS + first
    put = (
        asking.Asked(voice.asked(str(row["question"]), prompted=True), seed + at, wanted.max_tokens)
        for at, row in enumerate(asked)
    )
    for at, said in enumerate(asking.ask_all(sampler, put, wanted, voice.ends)):
        yield {
            "row": first + at,
            **asked[at],
            "answer": voice.text(said.tokens),
            "tokens": said.tokens,
            "logprobs": [round(one, 4) for one in said.logprobs],
            "whole": said.is_whole,
            "seed": seed + at,
            "model": set_up.teacher,
        }
