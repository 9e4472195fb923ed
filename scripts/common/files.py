"""Files that are whole or absent: written beside, synced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any

from common.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`; a reader sees the old file or the new one, never a part."""
    write_bytes(path, text.encode())


def write_array(path: Path, array: Any) -> None:
    """Write a numpy array as .npy, which can be read without holding it in memory."""
    import numpy as np

    with replacing(path) as out:
        np.save(out, array)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, whole or not at all."""
    with replacing(path) as out:
        out.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to; it replaces `path` once it is complete and synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync `folder`, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, indented."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Read one JSON document; raise Trouble if it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Trouble(f"{path} is not JSON ({error}): run the step that writes it again") from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line; raise Trouble with file and line if one is no JSON."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise Trouble(f"{path}:{number} is not JSON: run the step that writes it again") from error
    return rows


def read_whole_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a JSONL file that may be cut off; none if it is missing."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line.strip()]


def sha256(path: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
