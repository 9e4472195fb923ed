"""Routes of samplers: create one, sample from it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tinker_local import codec, tokenizer_files
from tinker_local.api_types import RefusedError, StatusError
from tinker_local.worker import Draw

if TYPE_CHECKING:
    from tinker_local.api_types import Answered, Asked
    from tinker_local.sessions import Desk


def add(desk: Desk, name: str, base: str, path: str | None, *, ephemeral: bool) -> None:
    """Save a sampler on disk, and put its tokenizer where the client looks for it."""
    if base.startswith(tokenizer_files.LOCAL):
        with contextlib.suppress(RefusedError):  # the model is gone: sampling reports it
            tokenizer_files.offer(desk.engine.about(base))
    desk.store.write("samplers", name, {"base_model": base, "model_path": path, "ephemeral": ephemeral})
    session = desk.sessions.get(name.split(":", maxsplit=1)[0])
    if session:
        session.samplers.add(name)


def create_sampler(desk: Desk, request: Any) -> dict[str, Any]:
    """Create a sampler of a base model or of a checkpoint."""
    desk.session(request.session_id)
    if request.model_path is not None:
        base = str(desk.store.found(request.model_path)[1]["base_model"])
    elif request.base_model is not None:
        base = desk.engine.about(request.base_model).name
    else:
        raise RefusedError("name a base_model or a model_path to sample from")
    name = f"{request.session_id}:sample:{request.sampling_session_seq_id}"
    add(desk, name, base, request.model_path, ephemeral=False)
    return {"type": "create_sampling_session", "sampling_session_id": name}


def sampler(desk: Desk, name: str) -> dict[str, Any]:
    """Describe a sampler."""
    about = desk.store.read("samplers", name)
    if about is None:
        raise StatusError(404, f"no sampler {name!r}: create_sampling_client makes one")
    return {"sampler_id": name, "base_model": about["base_model"], "model_path": about["model_path"]}


def sample(desk: Desk, request: Any) -> dict[str, Any]:
    """Start sampling; return its future."""
    if request.sampling_session_id is None or request.seq_id is None:
        raise StatusError(422, "asample needs sampling_session_id and seq_id")
    about = sampler(desk, request.sampling_session_id)
    if not 1 <= request.num_samples <= desk.bounds.batch:
        raise StatusError(422, f"num_samples is {request.num_samples}: ask for 1 to {desk.bounds.batch}")
    asked = codec.asked(request)
    name = f"{request.sampling_session_id}/{request.seq_id}"
    key = f"{about['base_model']}\n{about['model_path'] or ''}"
    session = request.sampling_session_id.split(":")[0]
    begin = lambda promise: desk.worker.put(Draw(promise, key, asked))  # noqa: E731
    ids = [f"{name}/{number}" for number in range(request.num_samples)]
    return {**desk.promise(name, session, begin), "sample_sequence_ids": ids}


def draw(desk: Desk, key: str, asked: list[Asked]) -> list[Answered]:
    """Sample, in the worker's thread."""
    base, path = key.split("\n")
    return desk.engine.sample(base, wear(desk, path) if path else "", asked)


def wear(desk: Desk, path: str) -> str:
    """Return the adapter of a checkpoint; load it if it is not in memory."""
    where, about = desk.store.found(path)
    adapter = f"{path} {about['time']}"
    if adapter not in desk.worn:
        tokenizer_files.refuse_other(path, about.get("vocabulary"), desk.engine.about(str(about["base_model"])))
        desk.refuse_crowd()
        desk.engine.load(adapter, desk.store.at(where), optimizer=False)
        desk.worn[adapter] = None
    desk.worn.move_to_end(adapter)
    return adapter
