"""The thread that does all work: each model's requests in order, requests for samples in batches."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinker_local import codec
from tinker_local.api_types import RefusedError
from tinker_local.futures import PROTOBUF, Reply, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinker_local.api_types import SamplingRequest, SamplingResult
    from tinker_local.futures import Future, Futures
    from tinker_local.limits import Bounds


SOON_S = 0.01
END_S = 2.0  # for the running task at the end; what it saves is whole or absent


@dataclass(eq=False)
class Job:
    """A task whose result is a reply."""

    future: Future
    act: Callable[[], Reply]
    arrived: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Draw:
    """A request for samples of one sampler."""

    future: Future
    sampler: str
    asked: SamplingRequest


@dataclass(eq=False)
class Call:
    """A task without a reply."""

    act: Callable[[], object]


@dataclass
class ModelQueue:
    """The queue of a model: `next` is the number of the next request, `waiting` and `skipped` are those received."""

    next: int = 1
    waiting: dict[int, Job] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)


class Worker:
    """The thread; `draw` answers requests of one sampler in a batch."""

    def __init__(
        self, futures: Futures, bounds: Bounds, draw: Callable[[str, list[SamplingRequest]], list[SamplingResult]]
    ) -> None:
        self.futures, self.bounds, self.draw = futures, bounds, draw
        self.ready: deque[Job | Draw | Call] = deque()
        self.queues: dict[str, ModelQueue] = {}
        self.wake_up, self.is_over = threading.Condition(), False
        self.thread = threading.Thread(target=self.run, name="tinker-engine", daemon=True)

    def do(self, future: Future, act: Callable[[], Reply]) -> None:
        """Queue a task with a reply."""
        self.put(Job(future, act))

    def call(self, act: Callable[[], object]) -> None:
        """Queue a task without a reply."""
        self.put(Call(act))

    def put(self, one: Job | Draw | Call) -> None:
        """Add a task to the queue."""
        with self.wake_up:
            self.ready.append(one)
            self.wake_up.notify()

    def in_order(self, model: str, number: int, future: Future, act: Callable[[], Reply]) -> None:
        """Queue a model's task after those with lower numbers."""
        with self.wake_up:
            queue = self.queues.setdefault(model, ModelQueue())
            if number < queue.next:
                why = f"request {number} of {model} came after request {queue.next - 1}: send requests in their order"
                self.futures.keep(future, failed(why))
                return
            queue.waiting[number] = Job(future, act)
            self.release(queue)
            if number in queue.waiting:
                future.loop.call_later(self.bounds.order_s + SOON_S, self.pass_over)
            self.wake_up.notify()

    def skip(self, model: str, number: int) -> None:
        """Do not wait for a request of a model, since it was refused."""
        with self.wake_up:
            queue = self.queues.setdefault(model, ModelQueue())
            if number >= queue.next and number not in queue.waiting:
                queue.skipped.add(number)
                self.release(queue)
                self.wake_up.notify()

    def release(self, queue: ModelQueue) -> None:
        """Move the tasks whose turn it is to the common queue."""
        while queue.next in queue.waiting or queue.next in queue.skipped:
            if queue.next in queue.waiting:
                self.ready.append(queue.waiting.pop(queue.next))
            queue.skipped.discard(queue.next)
            queue.next += 1

    def forget(self, model: str) -> None:
        """Remove a model's queue; its waiting tasks get an error."""
        with self.wake_up:
            queue = self.queues.pop(model, ModelQueue())
        for job in queue.waiting.values():
            self.futures.keep(job.future, failed(f"{model} has ended"))

    def pass_over(self) -> None:
        """Skip missing requests after too long a wait."""
        until = time.monotonic() - self.bounds.order_s
        with self.wake_up:
            for queue in self.queues.values():
                if queue.waiting and min(job.arrived for job in queue.waiting.values()) < until:
                    queue.next = min(queue.waiting)
                    self.release(queue)
            self.wake_up.notify()

    def run(self) -> None:
        """Work until `close`."""
        while True:
            with self.wake_up:
                while not (self.ready or self.is_over):
                    self.wake_up.wait()
                if self.is_over:
                    return
                first = self.ready.popleft()
                together = self.like(first) if isinstance(first, Draw) else []
            if isinstance(first, Draw):
                self.answer(first.sampler, together)
            elif isinstance(first, Call):
                with contextlib.suppress(Exception):
                    first.act()
            else:
                self.futures.keep(first.future, attempted(first.act))

    def like(self, first: Draw) -> list[Draw]:
        """Take the requests of the same sampler from the queue, up to a limit."""
        taken, count = [first], first.asked.num_samples
        for one in [one for one in self.ready if isinstance(one, Draw) and one.sampler == first.sampler]:
            if count + one.asked.num_samples > self.bounds.batch:
                break
            self.ready.remove(one)
            taken.append(one)
            count += one.asked.num_samples
        return taken

    def answer(self, sampler: str, draws: list[Draw]) -> None:
        """Answer all requests in a batch; after an error each alone, so that one bad request harms no other."""
        try:
            found = self.draw(sampler, [one.asked for one in draws])
        except Exception:  # noqa: BLE001 - each gets its own words below
            for one in draws:
                self.futures.keep(one.future, attempted(functools.partial(self.alone, one)))
            return
        for one, answered in zip(draws, found, strict=True):
            self.futures.keep(one.future, attempted(functools.partial(drawn, answered, one.asked)))

    def alone(self, one: Draw) -> Reply:
        """Answer one request."""
        return drawn(self.draw(one.sampler, [one.asked])[0], one.asked)

    def close(self) -> None:
        """Stop after the running task; waiting tasks get an error."""
        with self.wake_up:
            self.is_over = True
            self.wake_up.notify()
            asked = [one for one in self.ready if not isinstance(one, Call)]
            left: list[Any] = [*asked, *(job for queue in self.queues.values() for job in queue.waiting.values())]
        for one in left:
            self.futures.keep(one.future, failed("the service has ended: start it again, then resume", "server"))
        if self.thread.ident:
            self.thread.join(END_S)


def drawn(found: SamplingResult, asked: SamplingRequest) -> Reply:
    """Return samples as a reply."""
    return Reply(codec.answered(found, len(asked.prompt), asked.targets), PROTOBUF)


def attempted(act: Callable[[], Reply]) -> Reply:
    """Return the reply of a task, or one with its error."""
    try:
        return act()
    except RefusedError as error:
        return failed(str(error))
    except MemoryError:
        return failed("there is not enough memory for this request: make it smaller", "server")
    except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread
        return failed(f"{type(error).__name__}: {error}", "server")
