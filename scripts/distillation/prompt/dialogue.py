"""Answers as dialogues that a student learns from: question and answer, no prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import Trouble
from distillation.base_model import fact_sheets
from distillation.corpus import text_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROLES = ("user", "assistant")
SHINGLE = 8
LEAST_LINE = 4  # words of a line that is looked for


def formatted(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the teacher as a dialogue; `tokens` are the answer as it was drawn."""
    turns = zip(ROLES, (str(row["question"]), str(row["answer"])), strict=True)
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages} | {name: row[name] for name in ("id", "kind", "group", "tokens")}


def split_dialogue(dialogue: dict[str, Any]) -> tuple[str, str]:
    """Return (question, answer); raise Trouble if it is no dialogue of two turns."""
    messages = dialogue.get("messages")
    if not isinstance(messages, list) or [one.get("role") for one in messages] != list(ROLES):
        raise Trouble(f"{dialogue.get('id', 'a row')} is no question with its answer: run step 10 again")
    return str(messages[0]["content"]), str(messages[1]["content"])


def find_leaks(dialogues: Iterable[dict[str, Any]], prompt: str) -> Iterator[str]:
    """Yield each message that repeats a line or a run of words of the prompt; a fact of it may be said."""
    lines = [line.strip("-# ") for line in prompt.splitlines()]
    lines = [line for line in lines if len(line.split()) >= LEAST_LINE and not fact_sheets.is_statement(line)]
    runs = text_features.shingles(prompt, SHINGLE)
    for dialogue in dialogues:
        for message in dialogue["messages"]:
            text = str(message["content"])
            if (
                message["role"] not in ROLES
                or any(line in text for line in lines)
                or text_features.shingles(text, SHINGLE) & runs
            ):
                yield f"{dialogue.get('id', '?')}: {text[:60]}"
