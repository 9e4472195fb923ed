"""Requests that the real service refuses before a model sees them."""

from __future__ import annotations

from itertools import pairwise

from executor.system.records import TYPE_CHECKING, Record
from executor.testing.replies import refused
from executor.testing.request import dicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.testing.replies import Reply
    from executor.testing.request import Request

ROLES = ("user", "assistant", "system")


class Turn(Record):
    """Messages of one role in a row, which the service reads as one; `at` is the place of the first."""

    at: int
    role: str
    content: tuple[Mapping[str, Any], ...] = ()

    def ids(self, kind: str, key: str) -> list[str]:
        """Return the values under `key` in the blocks of this kind, in order."""
        return [str(block.get(key)) for block in self.content if block.get("type") == kind]


def refusal(request: Request, needs: tuple[str, ...] = ("model", "max_tokens", "messages")) -> Reply | None:
    """Return the error with which the service answers this request; None: it is well made."""
    if not (request.headers.get("x-api-key") or request.headers.get("authorization")):
        return refused(401, "x-api-key header is required")
    flaw = next(_flaws(request, needs), "")
    return refused(400, flaw) if flaw else None


def _flaws(request: Request, needs: tuple[str, ...]) -> Iterator[str]:
    if not request.headers.get("anthropic-version"):
        yield "anthropic-version: header is required"
    if not request.body:
        yield "the request body is not a JSON object"
    yield from (f"{name}: Field required" for name in needs if name not in request.body)
    yield from _flaws_of(request.body.get("messages"))


def _flaws_of(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            yield f"messages.{at}.role: Input should be one of {', '.join(ROLES)}"
        elif not isinstance(message.get("content"), (str, list)):
            yield f"messages.{at}.content: Input should be a string or a list of blocks"
    for before, turn in pairwise([Turn(0, ""), *turns(messages), Turn(len(messages), "")]):
        yield from _unpaired(before, turn)


def turns(messages: list[Any]) -> list[Turn]:
    """Return the conversation with messages of one role in a row as one; system messages stand apart from it."""
    found: list[Turn] = []
    for at, message in enumerate(messages):
        content = tuple(dicts(message["content"])) or ({"type": "text"},)
        if found and found[-1].role == message["role"]:
            found[-1] = found[-1].replace(content=found[-1].content + content)
        elif message["role"] != "system":
            found.append(Turn(at, message["role"], content))
    return found


def _unpaired(before: Turn, turn: Turn) -> Iterator[str]:
    """Yield a message for each call of one turn without its result in the next, and the reverse."""
    asked, answers = before.ids("tool_use", "id"), turn.ids("tool_result", "tool_use_id")
    if len(set(asked)) < len(asked):
        yield f"messages.{before.at}: `tool_use` ids must be unique"
    if missing := [one for one in asked if one not in answers]:
        yield (
            f"messages.{before.at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block "
            "in the next message."
        )
    for one in answers:
        if one not in asked:
            yield (
                f"messages.{turn.at}: unexpected `tool_use_id` found in `tool_result` blocks: {one}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if answers.count(one) > 1:
            yield f"messages.{turn.at}: each tool_use must have a single result. Found multiple with id: {one}"
    kinds = [block.get("type") == "tool_result" for block in turn.content]
    if sorted(kinds, reverse=True) != kinds:
        yield f"messages.{turn.at}: `tool_result` blocks must come first in the content of a message"
