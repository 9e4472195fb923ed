"""Answers that come later: each is kept until it was fetched, then a while for whoever asks again."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinker_local.limits import Bounds

JSON, PROTOBUF = "application/json", "application/x-protobuf"


@dataclass(frozen=True)
class Reply:
    """What is sent."""

    body: bytes
    media: str = JSON


def as_json(value: Any) -> Reply:
    """Return a reply of one JSON document."""
    return Reply(json.dumps(value).encode())


def failed(words: str, category: str = "user") -> Reply:
    """Return the reply of a request that could not be done; the client stays usable."""
    return as_json({"error": words, "category": category})


@dataclass(eq=False)
class Promise:
    """One answer that is awaited."""

    name: str
    session: str
    loop: asyncio.AbstractEventLoop
    size: int = 0
    reply: Reply | None = None
    done_at: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Promises:
    """All that were given out, by name; asked for again by the same name, a request is the first one."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds, self.lock = bounds, threading.Lock()
        self.all: OrderedDict[str, Promise] = OrderedDict()
        self.bytes, self.open, self.held = 0, 0, 0  # of answers; requests without one, with their bytes
        self.of: Counter[str] = Counter()  # requests without an answer, by session

    def get(self, name: str) -> Promise | None:
        """Return one, None when it was never given or is no longer kept."""
        return self.all.get(name)

    def new(self, name: str, session: str, size: int = 0) -> Promise:
        """Give one out; called in the loop that will wait for it. `size` is that of its request, in bytes."""
        promise = Promise(name, session, asyncio.get_running_loop(), size)
        with self.lock:
            self.all[name] = promise
            self.count(promise, 1)
        return promise

    def count(self, promise: Promise, one: int) -> None:
        """Note that one more waits, or one less."""
        self.open += one
        self.held += one * promise.size
        self.of[promise.session] += one
        if not self.of[promise.session]:
            del self.of[promise.session]

    def waiting(self, session: str) -> int:
        """Return how many of a session have no answer."""
        return self.of[session]

    def keep(self, promise: Promise, reply: Reply) -> None:
        """Answer one, from any thread; old answers make room."""
        with self.lock:
            if promise.reply is not None:
                return
            promise.reply, promise.done_at = reply, time.monotonic()
            self.count(promise, -1)
            self.bytes += len(reply.body)
            self.make_room()
        try:
            promise.loop.call_soon_threadsafe(promise.arrived.set)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    def make_room(self) -> None:
        """Forget the oldest answers while they are too large together."""
        if self.bytes <= self.bounds.kept_bytes:
            return
        for name, one in list(self.all.items()):
            if self.bytes <= self.bounds.kept_bytes:
                return
            if one.reply is not None and one.arrived.is_set():
                self.drop(name)

    def drop(self, name: str) -> None:
        """Forget one that has its answer."""
        gone = self.all.pop(name)
        self.bytes -= len(gone.reply.body) if gone.reply else 0

    def sweep(self) -> None:
        """Forget what was answered long ago."""
        until = time.monotonic() - self.bounds.kept_s
        with self.lock:
            for name, one in list(self.all.items()):
                if one.reply is not None and one.done_at < until:
                    self.drop(name)
