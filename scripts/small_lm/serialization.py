"""The files in a checkpoint: tensors to bytes, through to the disk, and back."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor


@dataclass
class Sink:
    """A file that is written to by others: counts and digests the bytes, keeps the first trouble for `put`."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    bytes: int = 0
    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        """Write; torch.save aborts on an exception in here, so that none leaves."""
        size = memoryview(data).nbytes
        try:
            if not self.trouble:
                self.file.write(data)
        except OSError as error:
            self.trouble = error
        self.digest.update(data)
        self.bytes += size
        return size

    def flush(self) -> None:
        """Do nothing: `put` flushes."""


def put(path: Path, save: Callable[[Sink], object]) -> dict[str, Any]:
    """Write one new file through to the disk; return its size and digest."""
    with path.open("xb") as file:
        sink = Sink(file)
        save(sink)
        if sink.trouble:
            raise sink.trouble
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": sink.bytes, "sha256": sink.digest.hexdigest()}


def sync_file(path: Path) -> None:
    """Make a file's content last through a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def pack(weights: Mapping[str, Tensor]) -> bytes:
    """Return weights as safetensors; a tensor of two names is held once."""
    from safetensors import torch as safetensors

    first: dict[tuple[Any, ...], str] = {}
    held: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    for key, tensor in weights.items():
        spot = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) if tensor.numel() else (key,)
        if spot in first:
            same[key] = first[spot]
        else:
            first[spot] = key
            held[key] = tensor.detach().cpu().contiguous()
    content: bytes = safetensors.save(apart(held), metadata={"format": "pt", "same": json.dumps(same)})
    return content


def apart(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which none shares memory with another: parts of one are copied."""
    owners = {tensor.untyped_storage().data_ptr(): key for key, tensor in weights.items()}
    return {
        key: tensor if owners[tensor.untyped_storage().data_ptr()] == key else tensor.clone()
        for key, tensor in weights.items()
    }


def unpack(path: Path) -> dict[str, Tensor]:
    """Read weights; a name that stood for another's tensor does so again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as held:
            weights = {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 - it is no dict
            same = json.loads((held.metadata() or {}).get("same", "{}"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return weights | {key: weights[first] for key, first in same.items()}


def pack_state(state: Mapping[str, Any], sink: Sink) -> None:
    """Write what a training goes on from."""
    torch.save(dict(state), sink)


def load_state(path: Path) -> dict[str, Any]:
    """Read what a training goes on from; never more than tensors and plain values."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
