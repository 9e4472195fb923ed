"""A tracker behind a bounded queue: a training never waits for it, and its errors end it alone."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracking.tracker import Tracker

MOST_WAITING = 1000
END_S = 10.0


class Queued:
    """Calls a tracker from a thread of its own, in order. What finds the queue full is dropped and counted."""

    def __init__(self, name: str, tracker: Tracker, *, most: int = MOST_WAITING) -> None:
        self.name, self.tracker = name, tracker
        self.dropped, self.error = 0, ""
        self._waiting: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(most)
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def call(self, method: str, *arguments: Any) -> None:
        """Queue a call; drop it if the queue is full or the tracker has failed."""
        if self.error:
            self.dropped += 1
            return
        try:
            self._waiting.put_nowait((method, arguments))
        except queue.Full:
            self.dropped += 1

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            method, arguments = item
            if self.error:
                self.dropped += 1
                continue
            try:
                getattr(self.tracker, method)(*arguments)
            except Exception as error:  # noqa: BLE001 - a tracker is the code of others
                self.error = " ".join(str(error).split())[:300] or type(error).__name__
                self.dropped += 1
                self._warn(f"failed and is left out from now on: {self.error}")

    def close(self, state: str, limit_s: float = END_S) -> None:
        """Give the tracker `limit_s` seconds for what is queued and its end; then leave it."""
        until = time.monotonic() + limit_s
        if not self.error:
            self._put_until(("end", (state,)), until)
        self._put_until(None, until)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self.dropped += self._waiting.qsize()
            self._warn(f"did not end within {limit_s:g} s")
        if self.dropped:
            self._warn(f"{self.dropped} calls were dropped; tracking.jsonl has everything")

    def _put_until(self, item: tuple[str, tuple[Any, ...]] | None, until: float) -> None:
        try:
            self._waiting.put(item, timeout=max(0.01, until - time.monotonic()))
        except queue.Full:
            self.dropped += 1

    def _warn(self, line: str) -> None:
        print(f"tracker {self.name}: {line}", file=sys.stderr, flush=True)
