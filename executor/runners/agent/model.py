"""The model's service: one request, one complete answer, with retries."""

from __future__ import annotations

import json
import os
import random
import time

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.plan.limits import AgentLimits

MOST_TOKENS = 16_000  # of one answer
ATTEMPTS = 6
LONGEST_WAIT_S = 60.0
LONGEST_OBEYED_S = 300.0  # a longer retry-after ends the work
CONNECT_S = 20.0
MOST_COUNT = 10**12
AGAIN = (408, 409, 429, 500, 502, 503, 504, 529)
LIMITED = (429, 529)
TOO_LONG = ("prompt is too long", "context window", "context length", "exceeds the context", "too many tokens")


class Answer(Record):
    """One turn of the model: its blocks as plain data, why it stopped, its tokens by kind."""

    id: str
    content: list[dict[str, Any]]
    stop_reason: str
    usage: Mapping[str, int]


class ServiceError(Exception):
    """The service gave no answer, and a retry would not help; `kind` is that of an End, or `context`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Model:
    """A model behind an Anthropic-compatible service; `note` gets a message for each wait, `sleep` waits seconds."""

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        bounds: AgentLimits,
        note: Callable[[str], None],
        sleep: Callable[[float], object],
    ) -> None:
        self._client = client
        self.name = name
        self._bounds = bounds
        self._note = note
        self._sleep = sleep

    def ask(self, *, system: str, tools: list[dict[str, Any]], messages: list[dict[str, Any]], left_s: float) -> Answer:
        """Return the next turn; ServiceError when there is none within `left_s` seconds."""
        until = time.monotonic() + left_s
        for tried in range(1, ATTEMPTS + 1):
            try:
                return self._once(system, tools, messages)
            except Exception as error:  # errors of the SDK and of its transport, another package
                failure = _failure(error)
                if failure is None:
                    raise
                wait_s = failure.wait_s if failure.wait_s is not None else _backoff_s(tried)
                over = tried == ATTEMPTS or time.monotonic() + wait_s > until or wait_s > LONGEST_OBEYED_S
                if failure.kind != "again" or over:
                    raise _final(failure, tried) from None
                self._note(f"{failure.message}; asked again in {wait_s:.1f} s")
                self._sleep(wait_s)
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(self, system: str, tools: list[dict[str, Any]], messages: list[dict[str, Any]]) -> Answer:
        with self._client.messages.stream(
            model=self.name,
            max_tokens=MOST_TOKENS,
            system=system,
            tools=tools,
            messages=messages,
            cache_control={"type": "ephemeral"},
        ) as stream:
            message = _whole(stream)
        return Answer(
            id=message.id,
            content=_answerable([_sendable(block.to_dict()) for block in message.content]),
            stop_reason=message.stop_reason or "",
            usage=_usage(message.usage),
        )


class _GarbledError(Exception):
    """The answer cannot be read, or is not complete."""


def _whole(stream: Any) -> Any:
    """Return the message once it is complete: an incomplete one has calls that the model did not make."""
    try:
        for event in stream:
            if event.type == "message_stop":
                return stream.current_message_snapshot
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError) as error:
        raise _GarbledError(f"sent what is no answer: {_line(error)}") from error
    raise _GarbledError("ended its answer before the end, or sent none")


def client(environ: Mapping[str, str], bounds: AgentLimits) -> Any:
    """Return the client of the SDK, without its own retries; silence longer than `stall_s` ends a request."""
    import anthropic
    import httpx2

    timeout = httpx2.Timeout(bounds.stall_s, connect=min(CONNECT_S, bounds.stall_s))
    named = any(environ.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    # The SDK wants a key, also for a local service without one.
    key = None if named else "none"
    try:
        return anthropic.Anthropic(max_retries=0, timeout=timeout, api_key=key)
    except ValueError as error:  # a bad proxy or address
        raise ServiceError(
            "error", f"{_line(error)}; look at ANTHROPIC_BASE_URL and the variables of your proxy"
        ) from None


def resolve(client: Any, name: str) -> str:
    """Return the model of this name; the newest of its family for sonnet, opus, haiku ... (an alias has no digits)."""
    if not name.isalpha():
        return name
    try:
        known = [one.id for one in client.models.list(limit=100)]
    except Exception as error:
        failure = _failure(error)
        if failure is None:
            raise
        raise ServiceError(
            "error", f"which model is {name!r}? {failure.message}; name one in full: model: ..."
        ) from None
    found = next((one for one in known if name.lower() in one.lower()), "")
    if not found:
        raise ServiceError("error", f"no model here is called {name!r}; there are {', '.join(known) or 'none'}")
    return found


class _Failure(Record):
    """The failure of a request: `kind` is `again` for a retry, else that of an End; the service asks for `wait_s`."""

    kind: str
    message: str
    limited: bool = False
    wait_s: float | None = None


def _failure(error: Exception) -> _Failure | None:
    """Return the meaning of an exception of the SDK or its transport, None for any other."""
    import anthropic

    if isinstance(error, _GarbledError):
        return _Failure("again", f"the model's service {error}")
    if isinstance(error, anthropic.APIStatusError):
        return _status_failure(error)
    return _transport_failure(error)


def _transport_failure(error: Exception) -> _Failure | None:
    """Return the meaning of an error of the transport, None for an error of neither package."""
    import anthropic
    import httpx2

    unaskable = httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.InvalidURL
    if isinstance(error.__cause__ or error, unaskable):
        message = f"the model's service cannot be asked: {error.__cause__ or error}"
        return _Failure("error", f"{message}; look at ANTHROPIC_BASE_URL and the key")
    if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
        return _Failure("again", "the model's service fell silent")
    if isinstance(error, anthropic.APIConnectionError | httpx2.RequestError):
        return _Failure("again", f"the model's service cannot be reached: {error.__cause__ or error}")
    if isinstance(error, anthropic.APIError):  # an error event in a stream, or a bad answer
        return _Failure("again", f"the model's service broke off: {_line(error)}")
    if isinstance(error, anthropic.AnthropicError):
        return _Failure("error", _line(error))
    return None


def _status_failure(error: Any) -> _Failure:
    status, headers = int(error.status_code), error.response.headers
    message = f"the model's service says {status}: {_message(error)}"
    if status == 401:
        return _Failure("denied", f"{message}; look at ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL")
    if status in (400, 413) and (status == 413 or any(words in message.lower() for words in TOO_LONG)):
        return _Failure("context", message)
    retry = headers.get("x-should-retry")
    again = retry == "true" or (retry != "false" and status in AGAIN) or (retry is None and status == 200)
    kind = "again" if again else "error"
    return _Failure(kind, message, limited=status in LIMITED, wait_s=_retry_after_s(headers))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of wait that the service asks for, None without a number."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers.get(name, "")) * unit)
        except ValueError:
            continue
    return None


def _backoff_s(tried: int) -> float:
    return min(LONGEST_WAIT_S, 2.0 ** (tried - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests


def _final(failure: _Failure, tried: int) -> ServiceError:
    if failure.kind != "again":
        return ServiceError(failure.kind, failure.message)
    kind = "rate_limit" if failure.limited else "error"
    return ServiceError(kind, f"{failure.message} (asked {tried} times)")


def _message(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    message = inner.get("message") if isinstance(inner, dict) else None
    return _line(message or error)


def _line(what: object) -> str:
    return " ".join(str(what).split())[:300]


def _sendable(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block without the fields that only answers have."""
    return {key: value for key, value in block.items() if value is not None and key not in ("parsed_output", "caller")}


def _answerable(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks, each call with a name, an object as input and an id of its own."""
    found: dict[str, dict[str, Any]] = {}
    for at, block in enumerate(map(_spelled, blocks)):
        key, given = block.get("id"), block.get("input")
        if block.get("type") != "tool_use":
            found[f"{at}"] = block
            continue
        own = key if isinstance(key, str) and key and key not in found else f"toolu_{os.urandom(12).hex()}"
        named = {"name": str(block.get("name") or "unnamed"), "input": given if isinstance(given, dict) else {}}
        found[own] = {**block, **named, "id": own}
    return [*found.values()]


def _spelled(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block as JSON that any service accepts: no NaN, no lone surrogates."""
    data = json.dumps(block, ensure_ascii=False, default=str).encode("utf-8", "replace")
    plain: dict[str, Any] = json.loads(data, parse_constant=lambda _: None)
    return plain


def _usage(usage: Any) -> dict[str, int]:
    names = {
        "input": "input_tokens",
        "output": "output_tokens",
        "cache_read": "cache_read_input_tokens",
        "cache_write": "cache_creation_input_tokens",
    }
    return {kind: _count(getattr(usage, name, 0)) for kind, name in names.items()}


def _count(value: object) -> int:
    """Return a number of tokens, 0 for anything else."""
    return int(value) if isinstance(value, int | float) and 0 < value < MOST_COUNT else 0
