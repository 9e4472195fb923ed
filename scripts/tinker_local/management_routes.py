"""Routes that list, describe and delete models, training runs, checkpoints and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinker_local import storage as stored
from tinker_local.api_types import AbsentError, RefusedError
from tinker_local.request_parsing import json_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request

    from tinker_local.api_types import ModelInfo
    from tinker_local.sessions import Service
    from tinker_local.storage import Place

MOST_LISTED = 1000


def model(one: ModelInfo) -> dict[str, Any]:
    """Describe a base model."""
    return {"model_name": one.name, "max_context_length": one.max_context, "trainable": True, "sampleable": True}


def page(request: Request) -> tuple[int, int]:
    """Return offset and limit of a listing."""
    try:
        offset, limit = int(request.query_params.get("offset", 0)), int(request.query_params.get("limit", 100))
    except ValueError as error:
        raise RefusedError("offset and limit must be whole numbers") from error
    if offset < 0 or not 0 <= limit <= MOST_LISTED:
        raise RefusedError(f"offset must be 0 or more, limit 0 to {MOST_LISTED}")
    return offset, limit


def cut(request: Request, found: list[Any]) -> tuple[list[Any], dict[str, int]]:
    """Return the requested page of a listing with its position."""
    offset, limit = page(request)
    return found[offset : offset + limit], {"offset": offset, "limit": limit, "total_count": len(found)}


async def training_runs(service: Service, request: Request) -> dict[str, Any]:
    """List training runs, the newest first."""
    shown, cursor = cut(request, service.store.runs())
    return {"training_runs": [described(service, run) for run in shown], "cursor": cursor}


def known(service: Service, request: Request) -> str:
    """Return the run of a path; raise AbsentError if there is none."""
    run = str(request.path_params["run"])
    if service.store.run(run) is None:
        raise AbsentError(f"no training run {run!r}")
    return run


async def training_run(service: Service, request: Request) -> dict[str, Any]:
    """Describe a training run."""
    return described(service, known(service, request))


def described(service: Service, run: str) -> dict[str, Any]:
    """Return a training run as a listing shows it."""
    about = service.store.run(run) or {}
    there = shown_checkpoints(service, run)
    newest = {
        kind: next((one for one in there if one["checkpoint_type"] == kind), None) for kind in stored.KINDS.values()
    }
    return {
        "training_run_id": run,
        "base_model": about["base_model"],
        "model_owner": "local",
        "is_lora": True,
        "lora_rank": about["lora"]["rank"],
        "last_request_time": there[0]["time"] if there else stored.moment(about["begun"]),
        "last_checkpoint": newest["training"],
        "last_sampler_checkpoint": newest["sampler"],
        "user_metadata": about["user_metadata"],
    }


def shown_checkpoints(service: Service, run: str) -> list[dict[str, Any]]:
    """Return the named checkpoints of a run, the newest first."""
    found = service.store.checkpoints(run)
    return [stored.listed(where, about) for where, about in found if not about.get("ephemeral")]


async def checkpoints(service: Service, request: Request) -> dict[str, Any]:
    """List a run's checkpoints."""
    return {"checkpoints": shown_checkpoints(service, known(service, request)), "cursor": None}


async def all_checkpoints(service: Service, request: Request) -> dict[str, Any]:
    """List the checkpoints of all runs, the newest first."""
    found = [one for run in service.store.runs() for one in shown_checkpoints(service, run)]
    shown, cursor = cut(request, sorted(found, key=lambda one: str(one["time"]), reverse=True))
    return {"checkpoints": shown, "cursor": cursor}


def named(service: Service, request: Request) -> Place:
    """Return the checkpoint of a path; raise AbsentError if there is none."""
    where = stored.place(stored.PREFIX + "/".join(request.path_params[name] for name in ("run", "kind", "name")))
    if service.store.checkpoint(where) is None:
        raise AbsentError(f"no checkpoint {where}")
    return where


async def delete_checkpoint(service: Service, request: Request) -> dict[str, Any]:
    """Delete a checkpoint."""
    service.store.delete(named(service, request))
    return {}


async def set_ttl(service: Service, request: Request) -> dict[str, Any]:
    """Set or remove the expiry of a checkpoint."""
    where, given = named(service, request), await json_of(request, service.bounds.body_bytes)
    seconds = given.get("ttl_seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        raise RefusedError("ttl_seconds must be a whole number, or null")
    stored.refuse_ttl(seconds)
    service.store.change(where, expires=None if seconds is None else service.store.clock() + seconds)
    return {}


async def weights_info(service: Service, request: Request) -> dict[str, Any]:
    """Describe a checkpoint for a client that resumes from it."""
    path = (await json_of(request, service.bounds.body_bytes)).get("tinker_path")
    _, about = service.store.found(path if isinstance(path, str) else "")
    lora = {name: about["lora"][name] for name in ("train_unembed", "train_mlp", "train_attn")}
    return {"base_model": about["base_model"], "is_lora": True, "lora_rank": about["lora"]["rank"], **lora}


async def sessions(service: Service, request: Request) -> dict[str, Any]:
    """List sessions."""
    return {"sessions": cut(request, service.store.names("sessions"))[0]}


async def session(service: Service, request: Request) -> dict[str, Any]:
    """Describe a session."""
    name = str(request.path_params["session"])
    about = service.store.read("sessions", name)
    if about is None:
        raise AbsentError(f"no session {name!r}")
    runs = [run for run in service.store.runs() if run.startswith(f"{name}:")]
    samplers = [one for one in service.store.names("samplers") if one.startswith(f"{name}:")]
    members = {"training_run_ids": runs, "sampler_ids": samplers}
    return {**members, "user_metadata": about["user_metadata"], "display_name": about["display_name"]}


CHECKPOINT = "/training_runs/{run}/checkpoints/{kind}/{name}"
ROUTES: tuple[tuple[str, str, Callable[[Service, Request], Awaitable[Any]]], ...] = (
    ("GET", "/training_runs", training_runs),
    ("GET", "/training_runs/{run}", training_run),
    ("GET", "/training_runs/{run}/checkpoints", checkpoints),
    ("GET", "/checkpoints", all_checkpoints),
    ("DELETE", CHECKPOINT, delete_checkpoint),
    ("PUT", CHECKPOINT + "/ttl", set_ttl),
    ("POST", "/weights_info", weights_info),
    ("GET", "/sessions", sessions),
    ("GET", "/sessions/{session}", session),
)
