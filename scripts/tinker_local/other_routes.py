"""Routes of the SDK that this service answers in words alone, and those that it does not know."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tinker_local import management_routes
from tinker_local.api_types import AbsentError, RefusedError, StatusError
from tinker_local.request_parsing import json_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request

    from tinker_local.sessions import Service

SDK = "0.38.0"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSED = (
    ("POST", "/copy_weights", "copying weights", "resume with create_training_client_from_state, and save"),
    ("POST", "/create_custom_loss", "a loss of the server's own", "give forward_backward_custom a function"),
    ("POST", management_routes.CHECKPOINT + "/publish", "publishing", "all checkpoints are of this machine's user"),
    ("DELETE", management_routes.CHECKPOINT + "/publish", "publishing", "no checkpoint is public"),
    ("PUT", "/sessions/{session}/project", "a project", "leave project_id out"),
    ("GET", "/sessions/{session}/trace_export", "a trace of a session", "time the calls in the client"),
    ("POST", "/sessions/search", "a search of sessions", "use list_sessions"),
    ("GET", "/audit", "an audit log", "there is one user"),
    ("GET", "/billing/usage/events", "billing", "nothing is billed"),
    ("GET", "/billing/usage/checkpoints/current", "billing", "list_user_checkpoints tells the sizes"),
    ("POST", "/auth/token", "an exchange of keys", "set TINKER_API_KEY to this service's key"),
    ("GET", "/auth/apikey/me", "the account of a key", "set TINKER_API_KEY to this service's key"),
    ("DELETE", "/auth/apikey/me", "the account of a key", "stop the service, and delete its token file"),
    ("POST", "/join_sampling_session", "a number for a copied client", "copies choose their own numbers"),
    ("POST", "/retrieve_futures", "fetching several results", "fetch them one by one"),
    ("POST", "/cancel_future", "cancelling a request", "it ends by itself"),
)


def refusal(what: str, instead: str) -> Callable[[Service, Request], Awaitable[Any]]:
    """Return a route that refuses in words."""

    async def refuse(service: Service, request: Request) -> Any:
        await read(service, request)
        raise RefusedError(f"{what} is not served here: {instead}")

    return refuse


async def unknown(service: Service, request: Request) -> Any:
    """Refuse a route that the pinned SDK does not have."""
    await read(service, request)
    raise AbsentError(
        f"{request.method} {request.url.path} is not served here: this service speaks the API of tinker {SDK}"
    )


async def read(service: Service, request: Request) -> None:
    """Read a body, which may number a request of a training."""
    with contextlib.suppress(StatusError):
        await json_of(request, service.bounds.body_bytes)


ROUTES = tuple((method, path, refusal(what, instead)) for method, path, what, instead in REFUSED)
