"""Decode requests and encode answers of the SDK, in protobuf or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError
from tinker.proto import tinker_public_pb2 as pb

from tinker_local import prompt_targets
from tinker_local.api_types import Datum, LossOutput, RefusedError, Sampling, SamplingRequest, Span

if TYPE_CHECKING:
    from tinker_local.api_types import Answer, Array, SamplingResult, Targets, TopTokens

DTYPES: dict[int, Any] = {pb.DTYPE_FLOAT32: np.float32, pb.DTYPE_INT64: np.int64, pb.DTYPE_INT32: np.int32}
STOP = {"stop": pb.STOP_REASON_STOP, "length": pb.STOP_REASON_LENGTH}
MOST_NUMBERS = 1 << 24  # of one request
NONE_THERE = -99999.0  # the SDK's mark for a place without a token


def loss_request(body: bytes) -> pb.ForwardBackwardRequest:
    """Parse the message of forward_backward; raise RefusedError if it is none."""
    found = pb.ForwardBackwardRequest()
    try:
        found.ParseFromString(body)
    except DecodeError as error:
        raise RefusedError(f"the body is no ForwardBackwardRequest ({error})") from error
    return found


def data_of(request: pb.ForwardBackwardRequest) -> list[Datum]:
    """Return the examples of a request."""
    refuse_large(request)
    return [datum(f"data[{place}]", one) for place, one in enumerate(request.data)]


def refuse_large(request: pb.ForwardBackwardRequest) -> None:
    """Raise RefusedError for a request too large for memory: a sparse tensor of few bytes can have many numbers."""
    shapes = [tuple(one.shape) for datum in request.data for one in datum.loss_fn_inputs.values()]
    if sum(float(np.prod(shape, dtype=float)) for shape in shapes if min(shape, default=0) >= 0) > MOST_NUMBERS:
        raise RefusedError(f"the tensors have more than {MOST_NUMBERS:,} numbers together: send less at once")


def datum(where: str, given: pb.Datum) -> Datum:
    """Return one example; raise RefusedError for anything but text."""
    tokens: list[int] = []
    for chunk in given.model_input:
        if chunk.WhichOneof("chunk") != "encoded_text":
            raise RefusedError(f"{where} has a chunk that is not text: this service reads tokens alone")
        tokens += numbers(f"{where}.model_input", chunk.encoded_text.tokens, np.int32).tolist()
    inputs = {name: tensor(f"{where}.{name}", one) for name, one in given.loss_fn_inputs.items()}
    return Datum(tuple(tokens), inputs, tuple(map(span, given.loss_fn_input_spans)) or None)


def span(given: pb.ProvenanceSpan) -> Span:
    """Return the origin of some targets."""
    is_sampled = given.WhichOneof("span") == "sampled_tokens"
    one = given.sampled_tokens if is_sampled else given.prompt_tokens
    return Span(one.sequence_id, one.offset, one.length, is_sampled)


def numbers(where: str, data: bytes, dtype: Any) -> Array:
    """Return bytes as an array of numbers."""
    if len(data) % np.dtype(dtype).itemsize:
        raise RefusedError(f"{where} is cut off in the middle of a number")
    return np.frombuffer(data, dtype=dtype)


def tensor(where: str, given: pb.Tensor) -> Array:
    """Return a tensor in dense form; raise RefusedError if its parts do not fit each other."""
    if given.dtype not in DTYPES:
        raise RefusedError(f"{where} has a type that is not served: give float32 or int64")
    dtype, shape = DTYPES[given.dtype], tuple(given.shape)
    if any(size < 0 for size in shape) or np.prod(shape, dtype=float) > MOST_NUMBERS:
        raise RefusedError(f"{where} has shape {shape}: give sizes from 0, at most {MOST_NUMBERS:,} numbers")
    if given.HasField("sparse_csr"):
        return dense(where, given.sparse_csr, dtype, shape)
    flat = numbers(where, given.dense, dtype)
    if shape and int(np.prod(shape)) != flat.size:
        raise RefusedError(f"{where} has {flat.size} numbers, which do not fill {shape}")
    return flat.reshape(shape) if shape else flat


def dense(where: str, given: pb.SparseCsr, dtype: Any, shape: tuple[int, ...]) -> Array:
    """Return a sparse tensor (CSR) in dense form."""
    values = numbers(where, given.values, dtype)
    rows, columns = (numbers(where, part, np.int64) for part in (given.crow_indices, given.col_indices))
    fits = len(shape) == 2 and rows.size == shape[0] + 1 and columns.size == values.size
    if not fits or (np.diff(rows) < 0).any() or rows[0] != 0 or rows[-1] != values.size:
        raise RefusedError(f"{where} is no sparse matrix of shape {shape}")
    if columns.size and not (columns.min() >= 0 and columns.max() < shape[1]):
        raise RefusedError(f"{where} names columns that {shape} does not have")
    found = np.zeros(shape, dtype=dtype)
    found[np.repeat(np.arange(shape[0]), np.diff(rows)), columns] = values
    return found


def config_of(request: pb.ForwardBackwardRequest) -> dict[str, float]:
    """Return the loss's parameters by name, from the newer or the older field; texts belong to losses not served."""
    for name, value in request.loss_fn_config_v2.items():
        if value.WhichOneof("value") == "text":
            raise RefusedError(f"loss_fn_config.{name} is a text: the losses here take numbers alone")
    newer = {name: value.number for name, value in request.loss_fn_config_v2.items()}
    return {**request.loss_fn_config, **newer}


def loss_output(found: LossOutput) -> bytes:
    """Encode the result of a forward."""
    written = pb.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord", metrics=found.metrics)
    record = written.loss_fn_outputs.add(type_tag="ArrayRecord", num_datums=len(found.outputs))
    for name in found.outputs[0] if found.outputs else ():
        parts = [np.ascontiguousarray(one[name], dtype=np.float32) for one in found.outputs]
        if len({part.shape[1:] for part in parts}) > 1:
            raise RefusedError(f"{name} differs in its shape between examples: give all as many targets a position")
        field = record.fields[name]
        field.dtype, field.data = pb.DTYPE_FLOAT32, b"".join(part.tobytes() for part in parts)
        field.offsets = np.cumsum([0, *(part.nbytes for part in parts)], dtype=np.int64).tobytes()
        field.trailing_shape.extend(parts[0].shape[1:])
    return bytes(written.SerializeToString())


def asked(request: Any) -> SamplingRequest:
    """Return a request for samples that the SDK's class has parsed."""
    try:
        prompt = tuple(int(token) for token in request.prompt.to_ints())
    except ValueError as error:
        raise RefusedError("the prompt has a chunk that is not text: this service reads tokens alone") from error
    refuse_odd(request)
    return SamplingRequest(
        prompt=prompt,
        num_samples=request.num_samples,
        params=sampling(request.sampling_params),
        prompt_logprobs=bool(request.prompt_logprobs),
        topk_prompt_logprobs=request.topk_prompt_logprobs,
        last=request.prompt_logprobs_last_n,
        topk_sample_logprobs=request.topk_sample_logprobs,
        targets=prompt_targets.read(request.target_prompt_logprobs, len(prompt)),
        alternatives=request.prompt_alt_tokens_k,
    )


def refuse_odd(request: Any) -> None:
    """Raise RefusedError for options that cannot be."""
    last = request.prompt_logprobs_last_n
    if last is not None and (last < 1 or not request.prompt_logprobs):
        raise RefusedError("prompt_logprobs_last_n is 1 or more, with prompt_logprobs")
    for name in ("topk_prompt_logprobs", "topk_sample_logprobs", "prompt_alt_tokens_k"):
        if getattr(request, name) < 0:
            raise RefusedError(f"{name} is 0 or more")
    if request.prompt_alt_tokens_k * request.prompt.length > MOST_NUMBERS:
        raise RefusedError(f"prompt_alt_tokens_k asks for more than {MOST_NUMBERS:,} tokens: ask for fewer")


def sampling(given: Any) -> Sampling:
    """Return the sampling parameters; a single stop text becomes a list."""
    stop = (given.stop,) if isinstance(given.stop, str) else None if given.stop is None else tuple(given.stop)
    return Sampling(given.max_tokens, given.seed, stop, given.temperature, given.top_k, given.top_p)


def answered(found: SamplingResult, length: int, targets: Targets | None = None) -> bytes:
    """Encode samples of a prompt of `length` tokens, of which `targets` were to be scored."""
    written = pb.SampleResponse(sequences=[sequence(one) for one in found.answers])
    if found.prompt_logprobs is not None:
        scores = [np.nan if one is None else one for one in found.prompt_logprobs]
        written.prompt_logprobs = np.array(scores, np.float32).tobytes()
    if found.topk_prompt_logprobs is not None:
        top(written.topk_prompt_logprobs, found.topk_prompt_logprobs, length)
    if found.target_logprobs is not None and targets is not None:
        prompt_targets.write(written.target_prompt_logprobs, targets, found.target_logprobs)
    if found.alternative_ids is not None and found.alternative_logprobs is not None:
        matrix(written.prompt_alt_tokens.tokens, found.alternative_ids, pb.DTYPE_INT32)
        matrix(written.prompt_alt_tokens.logprobs, found.alternative_logprobs, pb.DTYPE_FLOAT32)
    return bytes(written.SerializeToString())


def sequence(one: Answer) -> pb.SampledSequence:
    """Encode one answer."""
    tokens, scores = np.array(one.tokens, np.int32), np.array(one.logprobs, np.float32)
    found = pb.SampledSequence(stop_reason=STOP[one.stop_reason], tokens=tokens.tobytes(), logprobs=scores.tobytes())
    if one.top is not None:
        top(found.topk_sampled_logprobs, one.top, len(one.tokens))
    return found


def matrix(field: pb.Tensor, found: Array, dtype: Any) -> None:
    """Encode a matrix."""
    field.dtype, field.dense = dtype, found.tobytes()
    field.shape.extend(found.shape)


def top(field: pb.TopkLogprobs, found: TopTokens, length: int) -> None:
    """Encode the most likely tokens at each of `length` places; mark places without any."""
    field.length, field.k = length, found.ids.shape[1]
    ids, scores = np.zeros((length, field.k), np.int32), np.full((length, field.k), NONE_THERE, np.float32)
    ids[found.first :], scores[found.first :] = found.ids, found.logprobs
    field.token_ids, field.logprobs = ids.tobytes(), scores.tobytes()
