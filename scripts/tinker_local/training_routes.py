"""Routes of trained models: create, load, compute, step, save."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinker_local import codec, provenance, sampling_routes, tokenizer_files
from tinker_local import storage as stored
from tinker_local.api_types import Adam, Lora, RefusedError, StatusError
from tinker_local.futures import PROTOBUF, Reply, as_json
from tinker_local.storage import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinker_local.sessions import Service

OPTIMIZER = "adamw"
INFLIGHT = "inflight"  # the name of the one checkpoint that all inflight samplers of a model use
UNNAMED = "ephemeral-"
ADAM = tuple(Adam.__dataclass_fields__)
SAVED = {
    "weights": "save_weights",
    "sampler_weights": "save_weights_for_sampler",
    "external_weights": "save_weights_external",
}


def create_model(service: Service, request: Any) -> dict[str, Any]:
    """Start to create an adapter; return its future."""
    refuse_optimizer(request.optimizer_config)
    lora = Lora(**request.lora_config.model_dump()) if request.lora_config else Lora()

    def make(model: str) -> Reply:
        about = service.engine.unchanged(request.base_model)
        service.engine.create(model, about.name, lora)
        began(service, model, about.name, lora, request.user_metadata)
        return as_json({"model_id": model, "type": "create_model"})

    return new_model(service, request, make)


def refuse_optimizer(config: Any) -> None:
    """Raise RefusedError for an optimizer that is not served; None is the default."""
    if config is not None and config.type != OPTIMIZER:
        raise RefusedError(f"the optimizer {config.type} is not served here: leave it out, and {OPTIMIZER} trains")


def new_model(service: Service, request: Any, make: Callable[[str], Reply]) -> dict[str, Any]:
    """Start to create a model with its number in the session; return its future."""
    model = f"{request.session_id}:train:{request.model_seq_id}"
    session = service.session(request.session_id)
    name = f"{model}/create"
    if service.futures.get(name) is None and (model in service.bases or service.store.run(model)):
        raise StatusError(400, f"there is a model {model} already: number a new one, or resume from a checkpoint")
    session.models.add(model)

    def act() -> Reply:
        if request.session_id not in service.sessions:
            raise RefusedError(f"session {request.session_id} ended before {model} was made")
        service.refuse_crowd()
        try:
            return make(model)
        except BaseException:
            service.bases.pop(model, None)
            raise

    begin = lambda future: service.worker.do(future, act)  # noqa: E731
    return {**service.future(name, request.session_id, begin), "model_id": model}


def began(service: Service, model: str, base: str, lora: Lora, metadata: Any) -> None:
    """Record a training run, in the worker's thread."""
    service.bases[model] = base
    known = {"vocabulary": service.engine.about(base).vocabulary, "begun": service.store.clock()}
    service.store.write_run(model, {"base_model": base, "lora": asdict(lora), "user_metadata": metadata, **known})


def load_weights(service: Service, request: Any) -> dict[str, Any]:
    """Start to load a checkpoint into a new model, or one without earlier requests; return its future."""
    refuse_optimizer(request.optimizer_config)
    if request.model_id is not None:
        return load_first(service, request)
    if request.session_id is None or request.model_seq_id is None:
        raise StatusError(422, "load_weights needs session_id and model_seq_id, or model_id and seq_id")

    def make(model: str) -> Reply:
        where, about = service.store.found(request.path, ("weights",))
        if request.base_model not in (None, about["base_model"]):
            raise RefusedError(f"{request.path} is of {about['base_model']}, not of {request.base_model}")
        tokenizer_files.refuse_other(
            request.path, about.get("vocabulary"), service.engine.unchanged(about["base_model"])
        )
        service.engine.load(model, service.store.at(where), optimizer=request.optimizer)
        began(service, model, about["base_model"], Lora(**about["lora"]), request.user_metadata)
        return as_json({"path": request.path, "model_id": model, "type": "load_weights"})

    return new_model(service, request, make)


def load_first(service: Service, request: Any) -> dict[str, Any]:
    """Start to load into a model whose first request this is; return its future."""

    def act() -> Reply:
        if request.seq_id != 1:
            raise RefusedError(
                f"LoadWeights is not permitted with seq_id {request.seq_id}: "
                "use create_training_client_from_state, which loads before anything else"
            )
        where, about = service.store.found(request.path, ("weights",))
        if about["base_model"] != service.bases[request.model_id]:
            raise RefusedError(f"{request.path} is of {about['base_model']}: load it into a model of that base")
        tokenizer_files.refuse_other(request.path, about.get("vocabulary"), service.engine.about(about["base_model"]))
        service.engine.load(request.model_id, service.store.at(where), optimizer=request.optimizer)
        return as_json({"path": request.path, "model_id": request.model_id, "type": "load_weights"})

    return service.ordered(request.model_id, request.seq_id, act)


def forward_backward(service: Service, request: Any) -> dict[str, Any]:
    """Start a loss, with its gradient unless `forward_only`; return its future."""

    def act() -> Reply:
        data = codec.data_of(request)
        if request.loss_fn == provenance.LOSS:
            data = provenance.recorded(data, request.model_id.split(":")[0], service.recordings)
        found = service.engine.forward_backward(
            request.model_id,
            data,
            request.loss_fn,
            codec.config_of(request),
            forward_only=request.forward_only,
        )
        return Reply(codec.loss_output(found), PROTOBUF)

    return service.ordered(request.model_id, request.seq_id, act, request.ByteSize())


def optim_step(service: Service, request: Any) -> dict[str, Any]:
    """Start an optimizer step; return its future."""

    def act() -> Reply:
        given = request.optim_params.model_dump()
        odd = set(given) - {*ADAM, "type"}
        if any(given[name] is not None for name in odd) or not set(ADAM) <= set(given):
            raise RefusedError(f"optim_step takes Adam's {', '.join(ADAM)} here")
        metrics = service.engine.optim_step(request.model_id, Adam(**{name: given[name] for name in ADAM}))
        return as_json({"metrics": metrics, "type": "optim_step"})

    return service.ordered(request.model_id, request.seq_id, act)


def info(service: Service, model: str) -> dict[str, Any]:
    """Describe a model."""
    service.refuse_dead(model)
    run, base = service.store.run(model) or {}, service.engine.about(service.bases[model])
    data = {"arch": base.architecture, "model_name": base.name, "tokenizer_id": base.tokenizer}
    answer = {"model_id": model, "model_name": base.name, "model_data": data, "type": "get_info"}
    return {**answer, "is_lora": True, "lora_rank": run["lora"]["rank"]}


def save_weights(service: Service, request: Any) -> dict[str, Any]:
    """Start to save a checkpoint to resume from; return its future."""
    name = request.path if request.path is not None else f"{request.seq_id or 0:06d}"
    return save(service, request, "weights", name, overwrite=request.overwrite)


def save_for_sampler(service: Service, request: Any) -> dict[str, Any]:
    """Start to save weights to sample from, named or for this session alone; return its future.

    Each inflight save replaces the weights of the model's inflight samplers, those made before too.
    """
    if request.path is not None:
        refuse_path(request)
        return save(service, request, "sampler_weights", request.path)
    if request.sampling_session_seq_id is None:
        raise StatusError(422, "save_weights_for_sampler needs a path or a sampling_session_seq_id")
    number = request.sampling_session_seq_id
    sampler = f"{request.model_id.split(':')[0]}:sample:{number}"
    name = f"{UNNAMED}{INFLIGHT if request.kind == INFLIGHT else number}"
    return save(service, request, "sampler_weights", name, overwrite=True, sampler=sampler)


def refuse_path(request: Any) -> None:
    """Raise RefusedError for a named save of inflight weights, and for a name that a save without a name may take."""
    if request.kind == INFLIGHT:
        raise RefusedError("inflight weights have no name: leave out the path, or save a snapshot")
    if request.path.startswith(UNNAMED):
        raise RefusedError(
            f"{request.path!r}: names from {UNNAMED} on are those of weights without a name: choose another"
        )


def save(
    service: Service,
    request: Any,
    kind: str,
    name: str,
    *,
    overwrite: bool = False,
    sampler: str = "",
    finish: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Start to save a checkpoint; return its future. Without a name only `sampler` uses it.

    `finish` changes the written folder before the checkpoint is there.
    """
    model = request.model_id

    def write(folder: Path) -> None:
        service.engine.save(model, folder, optimizer=kind == "weights")
        if finish:
            finish(folder)

    def act() -> Reply:
        stored.refuse_name(name)
        stored.refuse_ttl(request.ttl_seconds)
        path = service.store.save(
            Place(model, kind, name),
            about_checkpoint(service, request, ephemeral=bool(sampler)),
            write,
            overwrite=overwrite,
        )
        answer = {"type": SAVED[kind]}
        if not sampler:
            return as_json({**answer, "path": path})
        sampling_routes.add(service, sampler, service.bases[model], path, ephemeral=True)
        return as_json({**answer, "path": None, "sampling_session_id": sampler})

    return service.ordered(model, request.seq_id, act)


def about_checkpoint(service: Service, request: Any, *, ephemeral: bool) -> dict[str, Any]:
    """Return the description of a checkpoint."""
    run, life = service.store.run(request.model_id) or {}, request.ttl_seconds
    return {
        "base_model": run["base_model"],
        "lora": run["lora"],
        "vocabulary": run.get("vocabulary"),
        "user_metadata": getattr(request, "user_metadata", None),  # external weights have none
        "expires": None if life is None else service.store.clock() + life,
        "ephemeral": ephemeral,
    }
