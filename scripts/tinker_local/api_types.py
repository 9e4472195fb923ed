"""Types between the routes and the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]


class RefusedError(Exception):
    """A request that the client must change; the message names a valid one. The client stays usable."""


class AbsentError(RefusedError):
    """A request for something that does not exist."""


class StatusError(Exception):
    """A request that ends with an HTTP status of its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Lora:
    """The trained parts of a base model and the rank of their low-rank updates."""

    rank: int = 32
    seed: int | None = None
    train_mlp: bool = True
    train_attn: bool = True
    train_unembed: bool = True


@dataclass(frozen=True)
class Span:
    """The origin of `length` targets: a sampled sequence's tokens from `offset` on, or a part of its prompt."""

    sequence: str
    offset: int
    length: int
    is_sampled: bool


@dataclass(frozen=True)
class Datum:
    """One example: T input tokens, with arrays for the loss (`target_tokens`, `weights`, `advantages`, ...).

    `spans` are the origins of its targets, if the client names them.
    """

    tokens: tuple[int, ...]
    inputs: Mapping[str, Array]
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class LossOutput:
    """The result of a forward: arrays for each datum (`logprobs` of targets, float32), metrics as `name:reduction`."""

    outputs: list[dict[str, Array]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Adam:
    """The parameters of one step of AdamW; `grad_clip_norm` 0 disables clipping."""

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters; `stop` is None (the end token of the model), () (nothing), texts or token ids."""

    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | tuple[int, ...] | None = None
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0


@dataclass(frozen=True)
class Targets:
    """Token ids to score: cell i asks for `ids[i]` at the place after `rows[i]` of a prompt; -1 asks for nothing.

    Cells are in the order of a tensor of this `shape`; with `row_starts` and `columns` it is sparse (CSR).
    """

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    row_starts: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class SamplingRequest:
    """A request for `num_samples` answers to one prompt; `last` is the number of its last tokens to score.

    `alternatives` tokens are drawn at each place of the prompt but the first. With a name in `record_as` the answers
    are recorded under it for later training.
    """

    prompt: tuple[int, ...]
    num_samples: int = 1
    params: Sampling = field(default_factory=Sampling)
    prompt_logprobs: bool = False
    topk_prompt_logprobs: int = 0
    last: int | None = None
    topk_sample_logprobs: int = 0
    targets: Targets | None = None
    alternatives: int = 0
    record_as: str = ""


@dataclass(frozen=True)
class TopTokens:
    """The K most likely tokens at each place from `first` on: (T - first, K) ids and logprobs."""

    first: int
    ids: Array
    logprobs: Array


@dataclass(frozen=True)
class Answer:
    """An answer: its tokens, the natural logarithm of each one's probability, `stop` or `length`."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop_reason: str
    top: TopTokens | None = None


@dataclass(frozen=True)
class SamplingResult:
    """Answers to one request; the logprob of a prompt's first token is None, as is that of each unrequested place.

    `target_logprobs` has one number for each cell of the request's targets; alternatives are (T - 1, K).
    """

    answers: tuple[Answer, ...]
    prompt_logprobs: tuple[float | None, ...] | None = None
    topk_prompt_logprobs: TopTokens | None = None
    target_logprobs: Array | None = None
    alternative_ids: Array | None = None
    alternative_logprobs: Array | None = None


@dataclass(frozen=True)
class ModelInfo:
    """A served base model; `tokenizer` is a name that `AutoTokenizer` loads from any folder; `folder` has its files.

    `vocabulary` is the digest of its tokenizer's files, empty without any.
    """

    name: str
    max_context: int
    tokenizer: str
    architecture: str = ""
    folder: str = ""
    vocabulary: str = ""


class Engine(Protocol):
    """The interface of the engine, called by one thread. An `adapter` is a name that the caller chose.

    Base models stay frozen. Every method raises RefusedError for a client's mistake, and then changes nothing.
    """

    def models(self) -> Sequence[ModelInfo]:
        """Return the served base models without loading them."""

    def about(self, base_model: str) -> ModelInfo:
        """Return one base model; it may be a folder or a hub name that `models` does not list."""

    def unchanged(self, base_model: str) -> ModelInfo:
        """Return one base model for a new client; raise RefusedError if its files changed while it was served."""

    def create(self, adapter: str, base_model: str, lora: Lora) -> None:
        """Create an adapter: equal seeds give equal weights; before training it does not change the model."""

    def forward_backward(
        self, adapter: str, data: Sequence[Datum], loss: str, config: Mapping[str, float], *, forward_only: bool
    ) -> LossOutput:
        """Compute a summed loss and add its gradient to the pending ones, but not with `forward_only`."""

    def optim_step(self, adapter: str, adam: Adam) -> dict[str, float]:
        """Apply the pending gradients; without any, do a step with zero gradient."""

    def save(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Write and sync an adapter into an empty folder for peft; with `optimizer` also `optimizer.safetensors`."""

    def load(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Load an adapter from `folder`; with its optimizer the next steps are bit-equal to those of the saved run."""

    def drop(self, adapter: str) -> None:
        """Delete an adapter from memory; an unknown one is no error."""

    def sample(self, base_model: str, adapter: str, asked: Sequence[SamplingRequest]) -> list[SamplingResult]:
        """Answer requests in one batch; `adapter` "" is the base model alone.

        With a seed answers are repeatable, independent of the other requests.
        """

    def described(self, adapter: str) -> dict[str, Any]:
        """Return base_model, rank and the other values of a listing."""
