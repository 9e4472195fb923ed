"""The service's application: routes, the check of the key, errors as responses."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from typing import TYPE_CHECKING, Any

import fastapi
from fastapi import Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from tinker import types

from tinker_local import codec, external_weights, management_routes, other_routes, sampling_routes, training_routes
from tinker_local.api_types import AbsentError, RefusedError, StatusError
from tinker_local.futures import JSON, as_json
from tinker_local.request_parsing import body_of, json_of, note_number
from tinker_local.sessions import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tinker_local.api_types import Engine
    from tinker_local.limits import Bounds
    from tinker_local.storage import Store

API = "/api/v1"
GONE = 499  # the client has gone away
RETRIED = (408, 409, 429)  # the SDK sends these again
SIMPLE = {  # options that keep the SDK simple: no tokens of its own, no compression, one future at a time
    "pjwt_auth_enabled": False,
    "parallel_fwdbwd_chunks": False,
    "proto_compress_fwdbwd": False,
    "sample_use_retrieve_futures": False,
    "sample_enable_stuck_detection": False,
    "custom_loss_server_side": False,
    "sample_join_sampling_session": False,
    "use_pyqwest_transport": False,
}


def create(engine: Engine, *, store: Store, token: str, bounds: Bounds) -> fastapi.FastAPI:
    """Return the application; its worker lives as long as it does."""
    service = Service(engine, store, bounds)

    @contextlib.asynccontextmanager
    async def living(app: fastapi.FastAPI) -> AsyncIterator[None]:
        service.worker.thread.start()
        sweeping = asyncio.create_task(sweep(service, app))
        try:
            yield
        finally:
            sweeping.cancel()
            service.worker.close()  # in this thread: at the end of a script no other can be started

    app = fastapi.FastAPI(lifespan=living, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service, app.state.token, app.state.server = service, token, None
    for method, path, act in ROUTES:
        app.add_api_route(API + path, answering(act, service, token), methods=[method])
    app.add_api_route(API + external_weights.FILE, answering(external_weights.fetch, service, None), methods=["GET"])
    app.add_api_route(f"{API}/healthz", healthy, methods=["GET"])
    others = answering(other_routes.unknown, service, token)
    app.add_api_route("/{path:path}", others, methods=list(other_routes.METHODS))
    return app


async def healthy() -> dict[str, str]:
    """Return the health of the service; needs no token."""
    return {"status": "ok"}


async def sweep(service: Service, app: fastapi.FastAPI) -> None:
    """Remove expired data at intervals; after a signal end the polls in time, before the server cancels them."""
    while not (app.state.server and app.state.server.should_exit):
        await asyncio.sleep(service.bounds.sweep_s)
        service.sweep()
    await asyncio.sleep(service.bounds.ending_s)
    service.futures.wake()


def answering(
    act: Callable[..., Awaitable[Any]], service: Service, token: str | None
) -> Callable[[Request], Awaitable[Response]]:
    """Return a route's function, which checks the token if there is one and turns errors into responses."""

    async def answer(request: Request) -> Response:
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
            return error_response(
                401, "not this service's API key: set TINKER_API_KEY to the one that it was started with"
            )
        try:
            found = await act(service, request)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except (StatusError, ValidationError, RefusedError) as error:
            return refused(service, request, error)
        return found if isinstance(found, Response) else Response(as_json(found).body, media_type=JSON)

    return answer


def refused(service: Service, request: Request, error: Exception) -> Response:
    """Return an error as a response; later requests of a training do not wait for one that was refused for good."""
    status, words = status_of(error)
    number = getattr(request.state, "training", None)
    if number and number[0] in service.bases and status not in RETRIED:
        service.worker.skip(*number)
    return error_response(status, words)


def status_of(error: Exception) -> tuple[int, str]:
    """Return the HTTP status of an error, and its words."""
    if isinstance(error, StatusError):
        return error.status, str(error)
    if isinstance(error, ValidationError):
        return 422, short(error)
    return 404 if isinstance(error, AbsentError) else 400, str(error)


def error_response(status: int, words: str) -> Response:
    """Return an error as a response that the SDK shows."""
    return Response(as_json({"detail": words}).body, status, media_type=JSON)


def short(error: ValidationError) -> str:
    """Return the first three errors of a body."""
    faults = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()[:3]]
    return "; ".join(faults)


def takes(kind: Any, act: Callable[[Service, Any], Any]) -> Callable[[Service, Request], Awaitable[Any]]:
    """Return a route whose body is one of the SDK's own classes."""

    async def read(service: Service, request: Request) -> Any:
        return act(service, kind.model_validate(await json_of(request, service.bounds.body_bytes)))

    return read


async def client_config(service: Service, request: Request) -> dict[str, Any]:
    """Return the SDK's configuration."""
    await json_of(request, service.bounds.body_bytes)
    return SIMPLE


async def dynamic_config(service: Service, request: Request) -> dict[str, Any]:
    """Return the SDK's interval of refreshes."""
    await json_of(request, service.bounds.body_bytes)
    return {"refresh_interval_sec": 600}


async def telemetry(service: Service, request: Request) -> dict[str, Any]:
    """Accept the SDK's telemetry and ignore it."""
    await body_of(request, service.bounds.body_bytes)
    return {"status": "accepted"}


async def finish(service: Service, request: Request) -> dict[str, Any]:
    """End a session."""
    given = await json_of(request, service.bounds.body_bytes)
    reason = given.get("reason")
    kind = reason.get("type") if isinstance(reason, dict) else reason
    service.finish(request.path_params["session"], str(kind or "finished")[:100])
    return {}


async def forward_backward(service: Service, request: Request) -> dict[str, Any]:
    """Start a forward_backward; return its future."""
    wanted = codec.loss_request(await body_of(request, service.bounds.body_bytes))
    note_number(request, wanted.model_id, wanted.seq_id)
    return training_routes.forward_backward(service, wanted)


async def retrieve_future(service: Service, request: Request) -> Response:
    """Wait for a reply for a limited time; 408 asks the client to repeat, 410 means no longer kept."""
    wanted = types.FutureRetrieveRequest.model_validate(await json_of(request, service.bounds.body_bytes))
    future = service.futures.get(wanted.request_id)
    if future is None:
        return error_response(
            410, f"request {wanted.request_id} is not known here: it was forgotten, or the service began anew"
        )
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(future.arrived.wait(), service.bounds.poll_s)
    if future.reply is None:
        return Response(as_json({"type": "try_again", "queue_state": "active"}).body, 408, media_type=JSON)
    return Response(future.reply.body, media_type=future.reply.media)


async def capabilities(service: Service, _request: Request) -> dict[str, Any]:
    """List the base models."""
    return {"supported_models": [management_routes.model(one) for one in service.engine.models()]}


async def sampler(service: Service, request: Request) -> dict[str, Any]:
    """Describe a sampler."""
    return sampling_routes.sampler(service, request.path_params["sampler"])


ROUTES: tuple[tuple[str, str, Callable[[Service, Request], Awaitable[Any]]], ...] = (
    ("POST", "/client/config", client_config),
    ("POST", "/client/dynamic_config", dynamic_config),
    ("POST", "/telemetry", telemetry),
    ("GET", "/get_server_capabilities", capabilities),
    ("POST", "/create_session", takes(types.CreateSessionRequest, Service.create_session)),
    (
        "POST",
        "/session_heartbeat",
        takes(types.SessionHeartbeatRequest, lambda service, one: service.heartbeat(one.session_id)),
    ),
    ("POST", "/sessions/{session}/finish", finish),
    ("POST", "/create_model", takes(types.CreateModelRequest, training_routes.create_model)),
    (
        "POST",
        "/get_info",
        takes(types.GetInfoRequest, lambda service, one: training_routes.info(service, one.model_id)),
    ),
    ("POST", "/forward_backward", forward_backward),
    ("POST", "/optim_step", takes(types.OptimStepRequest, training_routes.optim_step)),
    ("POST", "/save_weights", takes(types.SaveWeightsRequest, training_routes.save_weights)),
    ("POST", "/save_weights_for_sampler", takes(types.SaveWeightsForSamplerRequest, training_routes.save_for_sampler)),
    ("POST", "/save_weights_external", takes(types.SaveWeightsExternalRequest, external_weights.save_external)),
    ("GET", external_weights.URLS, external_weights.urls),
    ("POST", "/load_weights", takes(types.LoadWeightsRequest, training_routes.load_weights)),
    ("POST", "/create_sampling_session", takes(types.CreateSamplingSessionRequest, sampling_routes.create_sampler)),
    ("GET", "/samplers/{sampler}", sampler),
    ("POST", "/asample", takes(types.SampleRequest, sampling_routes.sample)),
    ("POST", "/retrieve_future", retrieve_future),
    *management_routes.ROUTES,
    *other_routes.ROUTES,
)
