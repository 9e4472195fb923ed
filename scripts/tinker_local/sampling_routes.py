"""Routes of samplers: create one, sample from it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from tinker_local import codec, tokenizer_files
from tinker_local.api_types import RefusedError, StatusError
from tinker_local.worker import Draw

if TYPE_CHECKING:
    from tinker_local.api_types import SamplingRequest, SamplingResult
    from tinker_local.sessions import Service


def add(service: Service, name: str, base: str, path: str | None, *, ephemeral: bool) -> None:
    """Save a sampler on disk, and put its tokenizer where the client looks for it."""
    if base.startswith(tokenizer_files.LOCAL):
        with contextlib.suppress(
            RefusedError
        ):  # the model is gone: sampling reports it; or its tokenizer is another now
            tokenizer_files.offer(service.engine.unchanged(base))
    service.store.write("samplers", name, {"base_model": base, "model_path": path, "ephemeral": ephemeral})
    session = service.sessions.get(name.split(":", maxsplit=1)[0])
    if session:
        session.samplers.add(name)


def create_sampler(service: Service, request: Any) -> dict[str, Any]:
    """Create a sampler of a base model or of a checkpoint."""
    service.session(request.session_id)
    if request.model_path is not None:
        base = str(service.store.found(request.model_path)[1]["base_model"])
    elif request.base_model is not None:
        base = service.engine.unchanged(request.base_model).name
    else:
        raise RefusedError("name a base_model or a model_path to sample from")
    name = f"{request.session_id}:sample:{request.sampling_session_seq_id}"
    add(service, name, base, request.model_path, ephemeral=False)
    return {"type": "create_sampling_session", "sampling_session_id": name}


def sampler(service: Service, name: str) -> dict[str, Any]:
    """Describe a sampler."""
    about = service.store.read("samplers", name)
    if about is None:
        raise StatusError(404, f"no sampler {name!r}: create_sampling_client makes one")
    return {"sampler_id": name, "base_model": about["base_model"], "model_path": about["model_path"]}


def sample(service: Service, request: Any) -> dict[str, Any]:
    """Start sampling; return its future."""
    if request.sampling_session_id is None or request.seq_id is None:
        raise StatusError(422, "asample needs sampling_session_id and seq_id")
    about = sampler(service, request.sampling_session_id)
    if not 1 <= request.num_samples <= service.bounds.batch:
        raise StatusError(422, f"num_samples is {request.num_samples}: ask for 1 to {service.bounds.batch}")
    asked = codec.asked(request)
    name = f"{request.sampling_session_id}/{request.seq_id}"
    if request.record_stability_info:
        asked = dataclasses.replace(asked, record_as=name)
    key = f"{about['base_model']}\n{about['model_path'] or ''}"
    session = request.sampling_session_id.split(":")[0]
    begin = lambda future: service.worker.put(Draw(future, key, asked))  # noqa: E731
    ids = [f"{name}/{number}" for number in range(request.num_samples)]
    return {**service.future(name, session, begin), "sample_sequence_ids": ids}


def draw(service: Service, key: str, asked: list[SamplingRequest]) -> list[SamplingResult]:
    """Sample, in the worker's thread."""
    base, path = key.split("\n")
    found = service.engine.sample(base, attach(service, path) if path else "", asked)
    for one, answered in zip(asked, found, strict=True):
        if one.record_as:
            service.recordings.keep(one.record_as, answered.answers)
    return found


def attach(service: Service, path: str) -> str:
    """Return the adapter of a checkpoint; load it if it is not in memory."""
    where, about = service.store.found(path)
    adapter = f"{path} {about['time']}"
    if adapter not in service.attached:
        tokenizer_files.refuse_other(path, about.get("vocabulary"), service.engine.about(str(about["base_model"])))
        service.refuse_crowd()
        service.engine.load(adapter, service.store.at(where), optimizer=False)
        service.forget_older(path)
        service.attached[adapter] = None
    service.attached.move_to_end(adapter)
    return adapter
