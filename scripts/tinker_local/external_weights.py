"""Weights for other programs: a peft folder beside the checkpoints, downloaded file by file by signed URLs."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import FileResponse

from tinker_local import age_encryption, management_routes, training_routes
from tinker_local import storage as stored
from tinker_local.api_types import AbsentError, RefusedError, StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import Request

    from tinker_local.sessions import Service
    from tinker_local.storage import Place

KIND = "external_weights"
OWN = {stored.ABOUT, "training.json"}  # what this service alone reads
SIGNED_S = 3600
FILE = f"/training_runs/{{run}}/checkpoints/{KIND}/{{name}}/files/{{file}}"
URLS = management_routes.CHECKPOINT + "/external_weights_urls"


def save_external(service: Service, request: Any) -> dict[str, Any]:
    """Start to save an adapter in peft's form, encrypted if the client names recipients; return its future."""
    readers = age_encryption.recipients(request.age_encryption_recipients or ())

    def encrypt(folder: Path) -> None:
        for path in sorted(folder.iterdir()) if readers else ():
            if path.name not in OWN:
                age_encryption.encrypt(path, readers)

    return training_routes.save(service, request, KIND, request.path, finish=encrypt)


async def urls(service: Service, request: Request) -> dict[str, Any]:
    """Return a URL for each file of external weights; it gives access to the file for an hour."""
    where = exported(service, request)
    until = int(service.store.clock()) + SIGNED_S
    found = {path.name: signed(service, request, where, path.name, until) for path in parts(service, where)}
    return {"urls": found, "expires": stored.moment(until)}


def exported(service: Service, request: Request) -> Place:
    """Return the external weights at a path; raise RefusedError for other checkpoints."""
    where = management_routes.named(service, request)
    if where.kind != KIND:
        raise RefusedError(
            f"{where} cannot be fetched as it is: save_weights_external, or `tinker checkpoint download`"
        )
    return where


def place(request: Request) -> Place:
    """Return the external weights of a URL; they need not exist."""
    given = request.path_params
    return stored.place(f"{stored.PREFIX}{given['run']}/{KIND}/{given['name']}")


def parts(service: Service, where: Place) -> list[Path]:
    """Return the files of external weights."""
    found = sorted(service.store.at(where).iterdir())
    return [path for path in found if path.name not in OWN and path.is_file() and not path.is_symlink()]


def signed(service: Service, request: Request, where: Place, file: str, until: int) -> str:
    """Return the signed URL of one file."""
    base = str(request.base_url).rstrip("/")
    path = "/".join(quote(one, safe="") for one in (where.run, "checkpoints", where.kind, where.name, "files", file))
    seal = signature(request.app.state.token, service, where, file, str(until))
    return f"{base}/api/v1/training_runs/{path}?expires={until}&signature={seal}"


def signature(token: str, service: Service, where: Place, file: str, until: str) -> str:
    """Return the signature that only this service can make, for one file of one save of a checkpoint until a time."""
    saved = (service.store.checkpoint(where) or {}).get("time")
    signed_text = f"{where}\n{saved}\n{file}\n{until}"
    return hmac.new(token.encode(), signed_text.encode(), hashlib.sha256).hexdigest()


async def fetch(service: Service, request: Request) -> FileResponse:
    """Send one file, part by part; the signature of its URL replaces the API key."""
    where, file = place(request), str(request.path_params["file"])
    refuse_unsigned(service, request, where, file)
    found = next((path for path in parts(service, where) if path.name == file), None)
    if found is None:
        raise AbsentError(f"{where} has no file {file!r}: ask for its addresses again")
    return FileResponse(found, media_type="application/octet-stream")


def refuse_unsigned(service: Service, request: Request, where: Place, file: str) -> None:
    """Raise StatusError for a URL that this service did not sign, or that has expired."""
    asked = request.query_params
    until, given = asked.get("expires", ""), asked.get("signature", "")
    wanted = signature(request.app.state.token, service, where, file, until)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
        raise StatusError(403, "not an address of this service, or one of weights that are gone: ask for a new one")
    if int(until) <= service.store.clock():
        raise StatusError(403, "this address has expired: ask for a new one")
