"""The script, with what was asked so far."""

from __future__ import annotations

from threading import RLock

from executor.system.masking import Masker
from executor.system.records import TYPE_CHECKING, Record
from executor.testing.protocol import refusal
from executor.testing.replies import Reply, refused, server_error
from executor.testing.request import Request, read
from executor.testing.wire import call_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

MOST_REQUESTS = 1000
OVER = "the script has no more replies"
FULL = f"a scripted server answers {MOST_REQUESTS} requests: the agent may be going round in circles"


class Exchange(Record):
    """A request with its reply; `trouble` says why the reply is not the script's."""

    request: Request
    reply: Reply
    trouble: str = ""

    def calls(self) -> Iterator[tuple[str, str]]:
        """Yield (id, name) of each call that the agent got whole."""
        for at, block in enumerate(self.reply.blocks if self.reply.is_turn else ()):
            if block.kind == "tool_use" and not block.partial:
                yield call_id(self.request.number, at), block.name


class Script:
    """Hands out the replies one by one; any thread may call it."""

    def __init__(self, script: Sequence[Reply] | Callable[[Request], Reply | None]) -> None:
        self._script = script if callable(script) else _checked(script)
        self._given = 0
        self._lock = RLock()
        self.exchanges: list[Exchange] = []
        self.troubles: list[str] = []

    def answer(self, path: str, headers: Mapping[str, str], raw: bytes) -> Exchange:
        """Write the request down, with the reply that it gets."""
        with self._lock:
            number = len(self.exchanges) + 1
            request = Request(number, path, headers, read(raw), raw.decode("utf-8", "replace"))
            if number > MOST_REQUESTS:
                self.blot(FULL)
                return _failed(request, FULL)
            exchange = self._exchange(request)
            self.exchanges.append(exchange)
            return exchange

    def _exchange(self, request: Request) -> Exchange:
        refused_with = refusal(request)
        if refused_with is not None:
            return Exchange(request, refused_with, f"refused with {refused_with.status}: {refused_with.message}")
        try:
            reply: object = self._script(request) if callable(self._script) else self._next()
        except Exception as error:  # noqa: BLE001 - a script of the user may raise anything
            return _failed(request, f"the script failed: {type(error).__name__}: {error}")
        if reply is None:
            return _failed(request, OVER)
        if not isinstance(reply, Reply):
            return _failed(request, f"the script gave a {type(reply).__name__}: make replies with say, use, done, ...")
        return Exchange(request, reply)

    def _next(self) -> Reply | None:
        left = self.left()
        self._given += len(left[:1])
        return left[0] if left else None

    def left(self) -> tuple[Reply, ...]:
        """Return the replies that were not requested yet; a callable has none."""
        return () if callable(self._script) else tuple(self._script[self._given :])

    def blot(self, trouble: str) -> None:
        """Write down, once, what went wrong outside an exchange."""
        with self._lock:
            if trouble not in self.troubles and len(self.troubles) < MOST_REQUESTS:
                self.troubles.append(trouble)

    def findings(self, secrets: Iterable[str], key: str, open_calls: Iterable[str]) -> list[str]:
        """Return all that is wrong by now, in words."""
        with self._lock:
            return [
                *(f"request {one.request.number}: {one.trouble}" for one in self.exchanges if one.trouble),
                *self.troubles,
                *_unanswered(self.exchanges, frozenset(open_calls)),
                *_unused(self.left()),
                *_leaks(self.exchanges, {"the key of this server": key, **_named(secrets)}),
            ]


def _checked(script: Sequence[Reply]) -> tuple[Reply, ...]:
    replies = tuple(script)
    for at, reply in enumerate(replies, start=1):
        if not isinstance(reply, Reply):
            raise TypeError(f"reply {at} of the script is a {type(reply).__name__}: make it with say, use, done, ...")
    return replies


def _failed(request: Request, trouble: str) -> Exchange:
    return Exchange(request, _last_word(trouble), trouble)


def _last_word(message: str) -> Reply:
    """Return an error that makes the SDK give up: another attempt would fail too."""
    return server_error(500, message).replace(headers={"x-should-retry": "false"})


def _unanswered(exchanges: list[Exchange], open_calls: frozenset[str]) -> Iterator[str]:
    answered = {one for exchange in exchanges for one in exchange.request.answered()}
    for exchange in exchanges:
        for call, name in exchange.calls():
            if call not in answered and name not in open_calls:
                yield f"reply {exchange.request.number}: its call of {name} ({call}) was never answered"


def _unused(left: tuple[Reply, ...]) -> Iterator[str]:
    if left:
        count = "1 reply" if len(left) == 1 else f"{len(left)} replies"
        yield f"{count} of the script nobody asked for; the next is {left[0]!r:.200}"


def _named(secrets: Iterable[str]) -> dict[str, str]:
    return {f"secret {at} of those passed": secret for at, secret in enumerate(secrets, start=1)}


def _leaks(exchanges: list[Exchange], secrets: Mapping[str, str]) -> Iterator[str]:
    maskers = {name: (secret, Masker([secret])) for name, secret in secrets.items() if secret}
    for exchange in exchanges:
        text = exchange.request.raw
        for name, (secret, masker) in maskers.items():
            if secret in text or masker.mask(text) != text:
                yield f"request {exchange.request.number}: {name} is in its body, whole, in parts or encoded"


def lost(path: str) -> Reply:
    return refused(404, f"POST {path}: this server has /v1/messages and /v1/messages/count_tokens")
