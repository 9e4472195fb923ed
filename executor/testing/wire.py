"""Replies as the bytes that the service sends."""

from __future__ import annotations

import json

from executor.system.records import TYPE_CHECKING
from executor.testing.replies import ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.testing.replies import Block, Reply, Usage
    from executor.testing.request import Request

MOST_DELTAS = 8
SHORTEST_DELTA = 8


def parts(reply: Reply, request: Request) -> list[bytes]:
    """Return the body piece by piece: one JSON text, or the events of a stream; half of it before a silence."""
    whole = list(_events(reply, request)) if request.streams else [_json(_message(reply, request))]
    if reply.silent_s is None:
        return whole
    return _first_half(whole) if reply.blocks else []


def error(reply: Reply, number: int) -> bytes:
    """Return the body of an error."""
    error = {"type": ERRORS[reply.status][0], "message": reply.message}
    return _json({"type": "error", "error": error, "request_id": request_id(number)})


def request_id(number: int) -> str:
    return f"req_{number:04}"


def call_id(number: int, at: int) -> str:
    """Return the id of the call that stands at this place in the reply to this request."""
    return f"toolu_{number:04}_{at:02}"


def counted(tokens: int) -> bytes:
    return _json({"input_tokens": tokens})


def models() -> bytes:
    """Return the list of models: one of each family, so that a family's name finds one."""
    ids = [f"claude-{family}-scripted" for family in ("sonnet", "opus", "haiku")]
    made = {"type": "model", "created_at": "2026-01-01T00:00:00Z"}
    listed = [{**made, "id": one, "display_name": one} for one in ids]
    return _json({"data": listed, "has_more": False, "first_id": ids[0], "last_id": ids[-1]})


def _first_half(whole: list[bytes]) -> list[bytes]:
    middle = len(whole) // 2
    return [*whole[:middle], whole[middle][: len(whole[middle]) // 2]]


def _message(reply: Reply, request: Request) -> dict[str, Any]:
    return {
        "id": f"msg_{request.number:04}",
        "type": "message",
        "role": "assistant",
        "model": request.body.get("model"),
        "content": [_content(block, call_id(request.number, at)) for at, block in enumerate(reply.blocks)],
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "usage": _usage(reply.usage),
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
    }


def _content(block: Block, call: str) -> dict[str, Any]:
    if block.kind == "text":
        return {"type": "text", "text": block.text}
    return {"type": "tool_use", "id": call, "name": block.name, "input": dict(block.input)}


def _events(reply: Reply, request: Request) -> Iterator[bytes]:
    message = _message(reply, request)
    opened = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    yield _event("message_start", message=opened)
    yield _event("ping")
    for at, block in enumerate(reply.blocks):
        yield from _block_events(at, block, call_id(request.number, at))
    ended = {"stop_reason": reply.stop_reason, "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage=message["usage"])
    yield _event("message_stop")


def _block_events(at: int, block: Block, call: str) -> Iterator[bytes]:
    empty = block.replace(text="", input={})
    yield _event("content_block_start", index=at, content_block=_content(empty, call))
    for delta in _deltas(block):
        yield _event("content_block_delta", index=at, delta=delta)
    yield _event("content_block_stop", index=at)


def _deltas(block: Block) -> Iterator[dict[str, str]]:
    if block.kind == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in _pieces(block.text))
        return
    yield {"type": "input_json_delta", "partial_json": ""}
    text = block.partial or json.dumps(dict(block.input))
    yield from ({"type": "input_json_delta", "partial_json": piece} for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    size = max(SHORTEST_DELTA, -(-len(text) // MOST_DELTAS))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind, **fields}) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
