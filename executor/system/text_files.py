"""Text files of any encoding, read in bounded memory, and checksums of their rows."""

from __future__ import annotations

import json
import os
from functools import cache

from executor.system.text import without_escapes

BLOCK = 1 << 20
MOST_BYTES = 64 * BLOCK  # the last bytes of a file
SAMPLE = 2048  # bytes from which the encoding is found
UTF_16_SHARE = 3  # a text with a third of zeros or more is UTF-16


def read_text(name: str, start: int = 0, *, cut: bool = False) -> str:
    """Return a file as text from byte `start` on; of more than 64 MiB the last, from the start of a line.

    A carriage return ends a line too. `cut`: `start` is in the middle of a line, which is left out.
    """
    content, is_part = _last_bytes(name, start)
    text = _as_lines(content)
    return (text.partition("\n")[2] or text) if cut or is_part else text.lstrip("\ufeff")


def _last_bytes(name: str, start: int) -> tuple[bytes, bool]:
    """Return a file from byte `start` on, and True where only its last 64 MiB are returned."""
    blocks: list[bytes] = []
    with open(name, "rb") as stream:
        begin = max(start, os.fstat(stream.fileno()).st_size - MOST_BYTES)
        stream.seek(begin)
        while len(blocks) < MOST_BYTES // BLOCK:
            blocks.append(stream.read(BLOCK))
            if not blocks[-1]:
                break
    return b"".join(blocks), begin > start


def _as_lines(content: bytes) -> str:
    """Return bytes as text whose lines end in a newline."""
    return decode(content).replace("\r\n", "\n").replace("\r", "\n")


def decode(content: bytes) -> str:
    """Return bytes as text without colours: UTF-8 with single bytes of Windows (cp1252), or UTF-16."""
    codec = _utf_16(content[:SAMPLE])
    if codec:
        return without_escapes(content.decode(codec, "replace"))
    try:
        return without_escapes(content.decode("utf-8"))
    except UnicodeDecodeError:
        return without_escapes(content.decode("utf-8", "surrogateescape").translate(_windows()))


def _utf_16(start: bytes) -> str:
    """Return the codec of a text whose first bytes are UTF-16, empty for any other."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if UTF_16_SHARE * start.count(b"\0") > len(start) and b"\0\0\0" not in start:
        return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    return ""


@cache
def _windows() -> dict[int, str]:
    """Return the cp1252 character of each byte as `surrogateescape` decodes it: an error handler is slow."""
    return {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}


def read_rows(name: str) -> list[str]:
    """Return the rows of a file, of more than 64 MiB those of its end."""
    content, is_part = _last_bytes(name, 0)
    return rows_of(content.partition(b"\n")[2] if is_part else content)


def rows_of(content: bytes) -> list[str]:
    """Return the rows of a JSON list, else the lines of a text that are not blank."""
    text = _as_lines(content).lstrip("\ufeff")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return [line for line in text.split("\n") if line.strip()]
    rows = body.get("log_history") if isinstance(body, dict) else body
    return [json.dumps(row, sort_keys=True) for row in rows] if isinstance(rows, list) else []


def row_checksum(piece: str) -> int:
    """Return the checksum of a row, in which each run of blanks counts as one."""
    from zlib import crc32

    return crc32(" ".join(piece.split()).encode("utf-8", "replace"))
