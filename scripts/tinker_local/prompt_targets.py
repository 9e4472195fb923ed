"""The tensor of token ids whose logprobs a request wants, dense or sparse, and the one that answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tinker.proto import tinker_public_pb2 as pb

from tinker_local.api_types import RefusedError, Targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinker_local.api_types import Array

NAME = "target_prompt_logprobs"


def read(given: Any, length: int) -> Targets | None:
    """Return the targets of a prompt of `length` tokens; raise RefusedError if the tensor's parts do not fit."""
    if given is None:
        return None
    shape, is_sparse = tuple(given.shape or ()), given.sparse_crow_indices is not None
    if len(shape) != 2 or shape[0] != length - 1 or shape[1] < 0 or given.dtype != "int64":
        raise RefusedError(f"{NAME} is {given.dtype} {shape}: give int64 ({length - 1}, K) for {length} tokens")
    ids = whole(given.data)
    if ids.size and ids.min() < -1:
        raise RefusedError(f"{NAME} has token ids below -1: give token ids, or -1 for none")
    if is_sparse:
        starts, columns = whole(given.sparse_crow_indices), whole(given.sparse_col_indices or [])
        refuse_odd_rows(shape, ids, starts, columns)
        return Targets(shape, np.repeat(np.arange(shape[0]), np.diff(starts)), ids, starts, columns)
    if ids.size != shape[0] * shape[1]:
        raise RefusedError(f"{NAME} has {ids.size} numbers, which do not fill {shape}")
    return Targets(shape, np.repeat(np.arange(shape[0]), shape[1]), ids)


def whole(given: Any) -> NDArray[np.int64]:
    """Return whole numbers as an array; raise RefusedError for others."""
    try:
        found = np.array(given)
        exact = found.astype(np.int64)
    except (OverflowError, ValueError) as error:
        raise RefusedError(f"{NAME} has numbers that are no token ids: give token ids") from error
    if (exact != found).any():
        raise RefusedError(f"{NAME} has fractions: give token ids")
    return exact


def refuse_odd_rows(
    shape: tuple[int, ...], ids: NDArray[np.int64], starts: NDArray[np.int64], columns: NDArray[np.int64]
) -> None:
    """Raise RefusedError if the indices of a sparse tensor do not fit it."""
    fits = starts.size == shape[0] + 1 and columns.size == ids.size and starts[0] == 0 and starts[-1] == ids.size
    if not fits or (np.diff(starts) < 0).any() or (ids.size and not 0 <= columns.min() <= columns.max() < shape[1]):
        raise RefusedError(f"{NAME} is no sparse matrix of shape {shape}")


def write(field: pb.Tensor, targets: Targets, logprobs: Array) -> None:
    """Encode the logprobs in shape and layout of the targets."""
    field.dtype = pb.DTYPE_FLOAT32
    field.shape.extend(targets.shape)
    values = logprobs.astype(np.float32).tobytes()
    if targets.row_starts is None or targets.columns is None:
        field.dense = values
        return
    field.sparse_csr.values = values
    field.sparse_csr.crow_indices = targets.row_starts.tobytes()
    field.sparse_csr.col_indices = targets.columns.tobytes()
