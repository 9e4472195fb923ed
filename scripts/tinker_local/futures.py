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
class Future:
    """The future of one request."""

    name: str
    session: str
    loop: asyncio.AbstractEventLoop
    size: int = 0
    reply: Reply | None = None
    done_at: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Futures:
    """All futures by name; a repeated request of the same name gets the same future."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds, self.lock = bounds, threading.Lock()
        self.all: OrderedDict[str, Future] = OrderedDict()
        self.bytes, self.open, self.held = 0, 0, 0  # bytes of replies; pending requests; their bytes
        self.of: Counter[str] = Counter()  # pending requests by session

    def get(self, name: str) -> Future | None:
        """Return a future, None if it is unknown or no longer kept."""
        return self.all.get(name)

    def new(self, name: str, session: str, size: int = 0) -> Future:
        """Create a future, in the event loop that will wait for it. `size` is that of its request in bytes."""
        future = Future(name, session, asyncio.get_running_loop(), size)
        with self.lock:
            self.all[name] = future
            self.count(future, 1)
        return future

    def count(self, future: Future, one: int) -> None:
        """Add `one` (1 or -1) to the counts of pending requests."""
        self.open += one
        self.held += one * future.size
        self.of[future.session] += one
        if not self.of[future.session]:
            del self.of[future.session]

    def waiting(self, session: str) -> int:
        """Return the number of pending requests of a session."""
        return self.of[session]

    def keep(self, future: Future, reply: Reply) -> None:
        """Set the reply of a future, from any thread; drop old replies if memory is short."""
        with self.lock:
            if future.reply is not None:
                return
            future.reply, future.done_at = reply, time.monotonic()
            self.count(future, -1)
            self.bytes += len(reply.body)
            self.make_room()
        try:
            future.loop.call_soon_threadsafe(future.arrived.set)
        except RuntimeError:  # the event loop is closed
            return

    def wake(self) -> None:
        """End the polls that wait; without a reply the client is asked to repeat them."""
        for one in self.all.values():
            one.arrived.set()

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
