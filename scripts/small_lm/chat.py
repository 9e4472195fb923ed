"""Conversations: rows of messages, the template that makes a text of them, and what of it is learned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Messages = Sequence[dict[str, str]]
    Marked = tuple[list[int], list[bool]]  # ids, and True for those that are learned

ROLES = ("system", "user", "assistant")
COLUMN = "messages"
FILES = ("**/*.jsonl",)
TEMPLATE = (  # `pieces` writes the same
    "{{ bos_token }}{% for message in messages %}{{ message['role'].capitalize() }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def pieces(messages: Messages) -> Iterator[tuple[str, bool]]:
    """Yield the text of a conversation in pieces, with True for one that the assistant says."""
    before = ""
    for message in messages:
        if message["role"] == "assistant":
            yield f"{before}Assistant:", False
            yield f" {message['content']}", True
            before = "\n"
        else:
            before += f"{message['role'].capitalize()}: {message['content']}\n"
    yield before, False


def question(prompt: str) -> str:
    """Return the text after which the assistant answers a user."""
    return f"User: {prompt}\nAssistant:"


def beginning(messages: Messages) -> str:
    """Return words by which a person finds a conversation."""
    return f"the conversation that begins with {messages[0]['content'][:40]!r}"


# Rows


def row(path: Path, number: int, value: Any) -> str:
    """Return the messages of a row as one text of JSON; raise Trouble, with the row, for anything else."""
    where = f"{path}, {'row' if path.suffix.lower() == '.parquet' else 'line'} {number}"
    if not isinstance(value, list) or not value:
        raise Trouble(f"{where}: messages must be a list of {{role, content}}, got {shown(value)}", USAGE)
    messages = [message(f"{where}, message {at}", one) for at, one in enumerate(value, 1)]
    if not any(one["role"] == "assistant" for one in messages):
        raise Trouble(f"{where}: no message of the assistant, so that there is nothing to learn: leave it out", USAGE)
    return json.dumps(messages, ensure_ascii=False)


def message(where: str, value: Any) -> dict[str, str]:
    """Return one message with role and content alone."""
    if not isinstance(value, dict) or not {"role", "content"} <= set(value):
        raise Trouble(f"{where}: a message has role and content, got {shown(value)}", USAGE)
    role, content = value["role"], joined(value["content"])
    if role not in ROLES:
        raise Trouble(f"{where}: role must be {', '.join(ROLES[:-1])} or {ROLES[-1]}, got {shown(role)}", USAGE)
    if not isinstance(content, str) or not content.strip():
        raise Trouble(f"{where}: content must be a text that is not empty, got {shown(content)}", USAGE)
    return {"role": role, "content": content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")}


def joined(content: Any) -> Any:
    """Return the text of a content in parts of text; any other one as it is."""
    parts = content if isinstance(content, list) else []
    texts: list[Any] = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    is_text = parts and len(texts) == len(parts) and all(isinstance(text, str) for text in texts)
    return "".join(texts) if is_text else content


def shown(value: Any) -> str:
    """Return the beginning of a value as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)[:60]
