"""A request as the server saw it."""

from __future__ import annotations

import json

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class Result(Record):
    """The answer to one tool call, as the model would read it."""

    id: str
    text: str
    is_error: bool = False


class Request(Record):
    """One POST: `number` counts from 1, the names of `headers` are in lower case, `raw` is the body as it came."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: str

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools on offer."""
        return tuple(str(tool.get("name", "")) for tool in dicts(self.body.get("tools")))

    @property
    def results(self) -> tuple[Result, ...]:
        """The tool results in the last message, in order; system messages may follow it."""
        last = [message for message in dicts(self.body.get("messages")) if message.get("role") != "system"][-1:]
        return tuple(_result(block) for message in last for block in blocks(message, "tool_result"))

    @property
    def streams(self) -> bool:
        """True when the reply shall come as events."""
        return self.body.get("stream") is True

    def answered(self) -> Iterator[str]:
        """Yield the ids of all calls that its messages answer."""
        for message in dicts(self.body.get("messages")):
            yield from (str(block.get("tool_use_id")) for block in blocks(message, "tool_result"))


def read(raw: bytes) -> dict[str, Any]:
    """Return the body; empty when it is no JSON object."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list, nothing for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def blocks(message: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the blocks of this kind in a message."""
    return [block for block in dicts(message.get("content")) if block.get("type") == kind]


def _result(block: Mapping[str, Any]) -> Result:
    content = block.get("content")
    text = content if isinstance(content, str) else "".join(str(one.get("text", "")) for one in dicts(content))
    return Result(str(block.get("tool_use_id")), text, is_error=block.get("is_error") is True)
