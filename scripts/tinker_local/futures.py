"""Futures of requests: each reply is kept until it is fetched, then for a while in case of a repeated request."""

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
    """A response: body and media type."""

    body: bytes
    media: str = JSON


def as_json(value: Any) -> Reply:
    """Return a value as a JSON reply."""
    return Reply(json.dumps(value).encode())


def failed(words: str, category: str = "user") -> Reply:
    """Return the reply of a failed request; the client stays usable."""
    return as_json({"error": words, "category": category})


@dataclass(eq=False)
class Promise:
    """The future of one request."""

    name: str
    session: str
    loop: asyncio.AbstractEventLoop
    size: int = 0
    reply: Reply | None = None
    done_at: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Promises:
    """All futures by name; a repeated request of the same name gets the same future."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds, self.lock = bounds, threading.Lock()
        self.all: OrderedDict[str, Promise] = OrderedDict()
        self.bytes, self.open, self.held = 0, 0, 0  # bytes of replies; pending requests; their bytes
        self.of: Counter[str] = Counter()  # pending requests by session

    def get(self, name: str) -> Promise | None:
        """Return a future, None if it is unknown or no longer kept."""
        return self.all.get(name)

    def new(self, name: str, session: str, size: int = 0) -> Promise:
        """Create a future, in the event loop that will wait for it. `size` is that of its request in bytes."""
        promise = Promise(name, session, asyncio.get_running_loop(), size)
        with self.lock:
            self.all[name] = promise
            self.count(promise, 1)
        return promise

    def count(self, promise: Promise, one: int) -> None:
        """Add `one` (1 or -1) to the counts of pending requests."""
        self.open += one
        self.held += one * promise.size
        self.of[promise.session] += one
        if not self.of[promise.session]:
            del self.of[promise.session]

    def waiting(self, session: str) -> int:
        """Return the number of pending requests of a session."""
        return self.of[session]

    def keep(self, promise: Promise, reply: Reply) -> None:
        """Set the reply of a future, from any thread; drop old replies if memory is short."""
        with self.lock:
            if promise.reply is not None:
                return
            promise.reply, promise.done_at = reply, time.monotonic()
            self.count(promise, -1)
            self.bytes += len(reply.body)
            self.make_room()
        try:
            promise.loop.call_soon_threadsafe(promise.arrived.set)
        except RuntimeError:  # the event loop is closed
            return

    def make_room(self) -> None:
        """Drop the oldest fetched replies while all together are too large."""
        if self.bytes <= self.bounds.kept_bytes:
            return
        for name, one in list(self.all.items()):
            if self.bytes <= self.bounds.kept_bytes:
                return
            if one.reply is not None and one.arrived.is_set():
                self.drop(name)

    def drop(self, name: str) -> None:
        """Drop a future that has its reply."""
        gone = self.all.pop(name)
        self.bytes -= len(gone.reply.body) if gone.reply else 0

    def sweep(self) -> None:
        """Drop the futures that got their reply long ago."""
        until = time.monotonic() - self.bounds.kept_s
        with self.lock:
            for name, one in list(self.all.items()):
                if one.reply is not None and one.done_at < until:
                    self.drop(name)
