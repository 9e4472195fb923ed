"""The state of the running service: sessions, futures, models in memory."""

from __future__ import annotations

import functools
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinker_local import sampling_routes
from tinker_local import storage as stored
from tinker_local.api_types import RefusedError, StatusError
from tinker_local.futures import Futures
from tinker_local.provenance import Recordings
from tinker_local.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinker_local.api_types import Engine
    from tinker_local.futures import Future, Reply
    from tinker_local.limits import Bounds
    from tinker_local.storage import Store


@dataclass
class Session:
    """A client: the time of its last request, its models and samplers."""

    seen_at: float
    models: set[str] = field(default_factory=set)
    samplers: set[str] = field(default_factory=set)


def restored(store: Store) -> dict[str, Session]:
    """Return the sessions of a service before this one that have not ended, with their samplers."""
    about = {name: store.read("sessions", name) for name in store.names("sessions")}
    found = {name: Session(time.monotonic()) for name, one in about.items() if one and not one["finished"]}
    for sampler in store.names("samplers"):
        session = found.get(sampler.split(":", maxsplit=1)[0])
        if session:
            session.samplers.add(sampler)
    return found


class Service:
    """The state of the service, used in the event loop, except for methods that name the worker's thread."""

    def __init__(self, engine: Engine, store: Store, bounds: Bounds) -> None:
        self.engine, self.store, self.bounds = engine, store, bounds
        self.futures, self.recordings = Futures(bounds), Recordings(bounds)
        self.worker = Worker(self.futures, bounds, functools.partial(sampling_routes.draw, self))
        self.sessions = restored(store)
        self.bases: dict[str, str] = {}  # base models of the models in memory, by id
        self.attached: OrderedDict[str, None] = OrderedDict()  # adapters of samplers, the least recently used first
        self.tidy_at = 0.0

    # Sessions

    def create_session(self, request: Any) -> dict[str, Any]:
        """Create a session."""
        if len(self.sessions) >= self.bounds.sessions:
            raise StatusError(429, f"{self.bounds.sessions} sessions are open: close one, or wait until one expires")
        name = uuid.uuid4().hex
        self.sessions[name] = Session(time.monotonic())
        about = {"user_metadata": request.user_metadata, "display_name": request.display_name, "finished": None}
        self.store.write("sessions", name, about)
        return {"type": "create_session", "session_id": name}

    def session(self, name: str) -> Session:
        """Return an open session; reopen one from before a restart."""
        about = self.store.read("sessions", name)
        if about is None:
            raise StatusError(404, f"no session {name!r}: make a new ServiceClient")
        if about["finished"]:
            raise StatusError(410, f"session {name} has ended ({about['finished']}): make a new ServiceClient")
        return self.sessions.setdefault(name, Session(time.monotonic()))

    def heartbeat(self, name: str) -> dict[str, Any]:
        """Record a sign of life of a client."""
        self.session(name).seen_at = time.monotonic()
        return {"type": "session_heartbeat"}

    def finish(self, name: str, reason: str) -> None:
        """End a session and free its memory; its checkpoints stay. The first reason is kept."""
        about = self.store.read("sessions", name)
        if about is None:
            raise StatusError(404, f"no session {name!r}")
        if not about["finished"]:
            self.store.write("sessions", name, {**about, "finished": reason})
        held = self.sessions.pop(name, Session(0.0))
        for model in held.models:
            self.end_model(model)
        for sampler in held.samplers:
            self.end_sampler(sampler)
        self.worker.call(functools.partial(self.recordings.end, name))

    def end_model(self, model: str) -> None:
        """Drop a model's adapter after the running request."""
        self.worker.forget(model)
        self.bases.pop(model, None)
        self.worker.call(functools.partial(self.drop, model))

    def drop(self, model: str) -> None:
        """Remove a model from memory, also one that was being created; in the worker's thread."""
        self.bases.pop(model, None)
        self.engine.drop(model)

    def end_sampler(self, name: str) -> None:
        """Delete a sampler with unnamed weights."""
        about = self.store.read("samplers", name)
        if about and about.get("ephemeral"):
            self.store.remove("samplers", name)
            where = stored.place(about["model_path"])
            self.worker.call(lambda: self.store.delete(where))

    def sweep(self) -> None:
        """End silent sessions, drop old replies, remove expired checkpoints."""
        until = time.monotonic() - self.bounds.expiry_s
        for name in [name for name, one in self.sessions.items() if one.seen_at < until]:
            self.finish(name, f"no heartbeat for {self.bounds.expiry_s:g} s")
        self.futures.sweep()
        self.worker.pass_over()
        if time.monotonic() >= self.tidy_at:
            self.tidy_at = time.monotonic() + self.bounds.tidy_s
            self.worker.call(self.store.sweep)
            self.worker.call(self.recordings.sweep)

    # Futures

    def future(self, name: str, session: str, begin: Callable[[Future], None], size: int = 0) -> dict[str, Any]:
        """Create a future and start its work; a repeated request of the same name gets the first one.

        `size` is that of its request in bytes, which counts until it is done.
        """
        if self.futures.get(name) is None:
            self.refuse_queue(session, size)
            begin(self.futures.new(name, session, size))
        return {"request_id": name}

    def refuse_queue(self, session: str, size: int) -> None:
        """Raise StatusError while too many requests are pending, or too large ones."""
        if self.futures.open >= self.bounds.waiting:
            raise StatusError(429, f"{self.bounds.waiting} requests wait: try again later")
        if self.futures.waiting(session) >= self.bounds.waiting_of_one:
            raise StatusError(429, f"{self.bounds.waiting_of_one} requests of this session wait: try again later")
        if self.futures.held and self.futures.held + size > self.bounds.waiting_bytes:
            raise StatusError(429, f"requests of {self.futures.held:,} bytes wait: try again later")

    def ordered(self, model: str, seq: int | None, act: Callable[[], Reply], size: int = 0) -> dict[str, Any]:
        """Create a future of a model's request; requests of a model run in their order."""
        self.refuse_dead(model)
        if seq is None or seq < 1:
            raise StatusError(422, "seq_id must be 1 or more: requests of a model are counted")
        session = model.split(":", maxsplit=1)[0]
        self.session(session).seen_at = time.monotonic()
        begin = lambda future: self.worker.in_order(model, seq, future, act)  # noqa: E731 - one line, one use
        return {**self.future(f"{model}/{seq}", session, begin, size), "model_id": model}

    def refuse_dead(self, model: str) -> None:
        """Raise StatusError for a model that is not in memory, with the next move."""
        if model in self.bases:
            return
        if self.store.run(model) is None:
            raise StatusError(404, f"no model {model!r}: create it first")
        cure = "resume from a checkpoint with create_training_client_from_state_with_optimizer"
        raise StatusError(404, f"model {model} has ended, with its session or with a service before this one: {cure}")

    def forget_older(self, path: str) -> None:
        """Drop the adapter of a checkpoint that was replaced; in the worker's thread."""
        for adapter in [one for one in self.attached if one.startswith(f"{path} ")]:
            del self.attached[adapter]
            self.engine.drop(adapter)

    def refuse_crowd(self) -> None:
        """Drop samplers' adapters until one more fits; raise RefusedError if trainings use all of the memory."""
        while len(self.bases) + len(self.attached) >= self.bounds.adapters:
            if not self.attached:
                words = f"{self.bounds.adapters} adapters are in memory: close a ServiceClient that is done"
                raise RefusedError(words)
            self.engine.drop(self.attached.popitem(last=False)[0])
