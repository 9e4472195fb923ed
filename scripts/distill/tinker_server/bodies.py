"""What a request brings, read within bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zstandard

from distill.tinker_server.values import StatusError

if TYPE_CHECKING:
    from fastapi import Request


async def body_of(request: Request, most: int) -> bytes:
    """Read a body within bounds, decompressed."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise StatusError(413, f"the body is larger than {most:,} bytes: send less at once")
        parts.append(part)
    body = b"".join(parts)
    return unpacked(body, most) if request.headers.get("content-encoding") == "zstd" else body


def unpacked(body: bytes, most: int) -> bytes:
    """Decompress zstd within bounds."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as source:
            found = source.read(most + 1)
    except zstandard.ZstdError as error:
        raise StatusError(400, f"the body is not zstd ({error})") from error
    if len(found) > most:
        raise StatusError(413, f"the body is larger than {most:,} bytes: send less at once")
    return bytes(found)


async def json_of(request: Request, most: int) -> dict[str, Any]:
    """Read a JSON object."""
    body = await body_of(request, most)
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise StatusError(400, f"the body is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise StatusError(422, "the body must be a JSON object")
    return found
