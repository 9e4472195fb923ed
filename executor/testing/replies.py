"""The replies that a script is made of."""

from __future__ import annotations

import json

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LONGEST_STALL_S = 600.0
ERRORS = {
    400: ("invalid_request_error", "the request is not valid"),
    401: ("authentication_error", "invalid API key"),
    403: ("permission_error", "this key may not use that"),
    404: ("not_found_error", "nothing is there"),
    413: ("request_too_large", "the request is too large"),
    429: ("rate_limit_error", "the rate limit is reached"),
    500: ("api_error", "internal error"),
    504: ("timeout_error", "the request took too long"),
    529: ("overloaded_error", "overloaded"),
}


class Usage(Record):
    """The tokens that a reply says it cost; `input` counts no cached ones, as the real service does."""

    input: int = 100
    output: int = 10
    cache_read: int = 0
    cache_write: int = 0


class Block(Record):
    """One piece of a turn: `kind` is text or tool_use; `partial` is all the JSON that there is of a cut call."""

    kind: str
    text: str = ""
    name: str = ""
    input: Mapping[str, Any] = {}
    partial: str = ""


class Reply(Record):
    """One answer of the server: a turn (status 200) or an error.

    `silent_s` not None: only half of it is sent, then nothing for so many seconds, then the connection ends.
    """

    status: int = 200
    blocks: tuple[Block, ...] = ()
    stop_reason: str = "end_turn"
    usage: Usage = Usage()
    message: str = ""
    headers: Mapping[str, str] = {}
    silent_s: float | None = None

    @property
    def is_turn(self) -> bool:
        """True for a turn of the model, whole or truncated; false for errors and silences."""
        return self.status == 200 and self.silent_s is None

    def billed(self, usage: Usage) -> Reply:
        """Return this reply with another usage: `say("hello").billed(usage(input=9000))`."""
        return self.replace(usage=usage)


def say(text: str) -> Reply:
    """Text, and the end of the turn."""
    return Reply(blocks=(Block("text", text),))


def use(name: str, /, **input: Any) -> Reply:  # noqa: A002 - the word of the API
    """One tool call; the server gives it its id."""
    return Reply(blocks=(Block("tool_use", name=name, input=input),), stop_reason="tool_use")


def bash(command: str) -> Reply:
    return use("bash", command=command)


def edit(command: str, path: str, **more: Any) -> Reply:
    """One call of the text editor: `command` is view, create, str_replace or insert."""
    return use("str_replace_based_edit_tool", command=command, path=path, **more)


def done(criteria: Mapping[str, Any] | None = None, summary: str = "") -> Reply:
    """The agent's claim that it is done; evidence as plain text becomes `{"met": true, "evidence": text}`."""
    claims = {name: _claim(evidence) for name, evidence in (criteria or {}).items()}
    return use("done", criteria=claims, summary=summary)


def _claim(evidence: Any) -> Any:
    return {"met": True, "evidence": evidence} if isinstance(evidence, str) else evidence


def together(*replies: Reply) -> Reply:
    """Several calls, or text with calls, in one turn; the usage is that of the last."""
    if not replies or not all(reply.is_turn and reply.stop_reason != "max_tokens" for reply in replies):
        raise ValueError("together takes whole turns, made by say, use, bash, edit or done; truncate the result")
    blocks = tuple(block for reply in replies for block in reply.blocks)
    calls = any(block.kind == "tool_use" for block in blocks)
    return replies[-1].replace(blocks=blocks, stop_reason="tool_use" if calls else "end_turn")


def truncated(reply: Reply) -> Reply:
    """The turn with its last block cut in the middle, because `max_tokens` was reached."""
    if not reply.is_turn or not reply.blocks:
        raise ValueError("truncated takes a turn, made by say, use, bash, edit, done or together")
    *whole, last = reply.blocks
    cut = last.replace(text=_half(last.text)) if last.kind == "text" else _cut(last)
    return reply.replace(blocks=(*whole, cut), stop_reason="max_tokens")


def _cut(call: Block) -> Block:
    """Return the call up to the middle of its last value; one that is no text is not there yet."""
    *whole, (name, value) = call.input.items() or [("", None)]
    if isinstance(value, str):
        given = {**dict(whole), name: _half(value)}
        return call.replace(input=given, partial=json.dumps(given).removesuffix('"}'))
    given = dict(whole)
    return call.replace(input=given, partial=json.dumps(given).removesuffix("}") + (', "' if given else ""))


def _half(text: str) -> str:
    return text[: len(text) // 2]


def usage(
    input: int = 100,  # noqa: A002 - the word of the API
    output: int = 10,
    cache_read: int = 0,
    cache_write: int = 0,
) -> Usage:
    """Tokens, for `reply.billed(...)`."""
    return Usage(input, output, cache_read, cache_write)


def refused(status: int = 401, message: str = "") -> Reply:
    """An error that trying again does not mend: 400, 401, 403, 404 or 413."""
    return _error(status, message)


def limited(status: int = 429, retry_after: float = 0.0) -> Reply:
    """Too many requests: come back after so many seconds."""
    return _error(status, headers=_later(retry_after))


def overloaded(retry_after: float = 0.0) -> Reply:
    return _error(529, headers=_later(retry_after))


def server_error(status: int = 500, message: str = "") -> Reply:
    """An error of the service itself: 500, 504 or 529; it does not say when to come back."""
    return _error(status, message)


def _error(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> Reply:
    if status not in ERRORS:
        raise ValueError(f"the service has no error {status}; it has {', '.join(map(str, ERRORS))}")
    return Reply(status, message=message or ERRORS[status][1], headers=headers or {})


def _later(seconds: float) -> dict[str, str]:
    """The SDK takes a wait of zero as not said and backs off by itself, so at once is a millisecond."""
    return {"retry-after": f"{seconds:g}", "retry-after-ms": f"{max(1.0, seconds * 1000):g}"}


def stall(seconds: float, within: Reply | None = None) -> Reply:
    """Headers, then silence for so many seconds, then the end of the connection.

    `within` a turn: half of it is sent before, which for a stream ends in the middle of an event.
    """
    if not 0 <= seconds <= LONGEST_STALL_S:
        raise ValueError(f"a stall lasts from 0 to {LONGEST_STALL_S:g} seconds, not {seconds}")
    if within is not None and not within.is_turn:
        raise ValueError("a stall is within a turn, made by say, use, bash, edit, done, together or truncated")
    return (within or Reply()).replace(silent_s=float(seconds))
