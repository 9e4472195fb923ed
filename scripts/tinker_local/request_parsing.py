"""Parse the body of a request within limits."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import zstandard

from tinker_local.api_types import StatusError

if TYPE_CHECKING:
    from fastapi import Request

DIGITS = 20  # of 64 bits and a sign
DEPTH = 64
SLICE = 1024  # of a compressed body: the largest result fits in memory


async def body_of(request: Request, most: int) -> bytes:
    """Read a body within limits, decompressed."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise StatusError(413, f"the body is larger than {most:,} bytes: send less at once")
        parts.append(part)
    body = b"".join(parts)
    return unpacked(body, most) if request.headers.get("content-encoding") == "zstd" else body


def unpacked(body: bytes, most: int) -> bytes:
    """Decompress one zstd frame slice by slice, so that a small body cannot fill the memory at once."""
    reader, parts, length = zstandard.ZstdDecompressor().decompressobj(), [], 0
    for start in range(0, len(body), SLICE):
        try:
            parts.append(reader.decompress(body[start : start + SLICE]))
        except zstandard.ZstdError as error:
            raise StatusError(400, f"the body is not zstd ({error})") from error
        length += len(parts[-1])
        if length > most:
            raise StatusError(413, f"the body is larger than {most:,} bytes: send less at once")
    if not reader.eof:
        raise StatusError(400, "the body is not zstd (it is cut off): send it again")
    return b"".join(parts)


async def json_of(request: Request, most: int) -> dict[str, Any]:
    """Read a JSON object."""
    body = await body_of(request, most)
    try:
        found = json.loads(body or b"{}", parse_int=whole, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        raise StatusError(400, f"the body is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise StatusError(422, "the body must be a JSON object")
    note_number(request, found.get("model_id"), found.get("seq_id"))
    refuse_unwritable(body, found)
    return found


def note_number(request: Request, model: Any, number: Any) -> None:
    """Note a training request's model and number, so that a refused one is not waited for."""
    if isinstance(model, str) and isinstance(number, int):
        request.state.training = (model, number)


def whole(text: str) -> int:
    """Return an integer; raise ValueError for one beyond 64 bits, which would break file names and sums."""
    if len(text) > DIGITS:
        raise ValueError(f"a number has {len(text)} digits, at most {DIGITS} are read")
    return int(text)


def finite(text: str) -> float:
    """Return a float; raise ValueError for NaN and infinity."""
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text[:20]} is no number")
    return found


def refuse_unwritable(body: bytes, found: dict[str, Any]) -> None:
    """Raise StatusError for a body that cannot be saved: nested too deep, or with a lone surrogate."""
    if body.count(b"[") + body.count(b"{") > DEPTH and is_deeper(found, DEPTH):
        raise StatusError(400, f"the body is nested deeper than {DEPTH}: make it flat")
    if b"\\u" in body:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise StatusError(400, "the body has half of a surrogate pair: send whole characters") from error


def is_deeper(value: Any, most: int) -> bool:
    """Return True if lists and objects are nested deeper than `most`; no recursion."""
    level = [value]
    for _ in range(most):
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return False
    return True
