"""The files of a checkpoint: tensors to synced files and back."""

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
    """A file that counts and digests the bytes written to it, and keeps the first error for `put`."""

    file: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    bytes: int = 0
    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        """Write data; never raise, since torch.save aborts the process on an exception here."""
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
    """Write and sync one new file; return its size and digest."""
    with path.open("xb") as file:
        sink = Sink(file)
        save(sink)
        if sink.trouble:
            raise sink.trouble
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": sink.bytes, "sha256": sink.digest.hexdigest()}


def sync_file(path: Path) -> None:
    """Sync a file, so that its content survives a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def pack(weights: Mapping[str, Tensor]) -> bytes:
    """Return weights as safetensors; a tensor with two names is stored once."""
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
    """Return tensors that share no memory; views of one tensor are copied."""
    owners = {tensor.untyped_storage().data_ptr(): key for key, tensor in weights.items()}
    return {
        key: tensor if owners[tensor.untyped_storage().data_ptr()] == key else tensor.clone()
        for key, tensor in weights.items()
    }


def unpack(path: Path) -> dict[str, Tensor]:
    """Read weights; restore names that shared a tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as held:
            weights = {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 - it is no dict
            same = json.loads((held.metadata() or {}).get("same", "{}"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return weights | {key: weights[first] for key, first in same.items()}


def pack_state(state: Mapping[str, Any], sink: Sink) -> None:
    """Write the state of a training."""
    torch.save(dict(state), sink)


def load_state(path: Path) -> dict[str, Any]:
    """Read the state of a training; only tensors and plain values are accepted."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
