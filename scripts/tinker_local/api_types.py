"""What the wire and the engine say to each other."""

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
    """A request that cannot be done as it was asked; the words say what would be. The client stays usable."""


class AbsentError(RefusedError):
    """What was asked for is not there."""


class StatusError(Exception):
    """A request that ends with an HTTP status of its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Lora:
    """What is trained of a base model: low-rank updates of these parts."""

    rank: int = 32
    seed: int | None = None
    train_mlp: bool = True
    train_attn: bool = True
    train_unembed: bool = True


@dataclass(frozen=True)
class Datum:
    """One example: T input tokens, with arrays for the loss (`target_tokens`, `weights`, `advantages`, ...)."""

    tokens: tuple[int, ...]
    inputs: Mapping[str, Array]


@dataclass(frozen=True)
class LossOutput:
    """What a forward gave: arrays for each datum (`logprobs` of its targets, float32), metrics as `name:reduction`."""

    outputs: list[dict[str, Array]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Adam:
    """One step of AdamW; `grad_clip_norm` 0 clips nothing."""

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; `stop` None: the end token of the model, (): nothing, else texts or token ids."""

    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | tuple[int, ...] | None = None
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0


@dataclass(frozen=True)
class Asked:
    """One request for samples: `num_samples` answers to one prompt; `last`: score its last so many tokens alone."""

    prompt: tuple[int, ...]
    num_samples: int = 1
    params: Sampling = field(default_factory=Sampling)
    prompt_logprobs: bool = False
    topk_prompt_logprobs: int = 0
    last: int | None = None


@dataclass(frozen=True)
class Answer:
    """One answer: its tokens, the natural logarithm of each one's probability, `stop` or `length`."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop_reason: str


@dataclass(frozen=True)
class Likeliest:
    """The K likeliest tokens in each place of a prompt from `first` on, (T - first, K): int32 ids, float32 logprobs."""

    first: int
    ids: Array
    logprobs: Array


@dataclass(frozen=True)
class Answered:
    """Answers to one request; a prompt's first token has no logprob (None), nor any place that was not asked for."""

    answers: tuple[Answer, ...]
    prompt_logprobs: tuple[float | None, ...] | None = None
    topk_prompt_logprobs: Likeliest | None = None


@dataclass(frozen=True)
class About:
    """A base model that is served; `tokenizer` is what `AutoTokenizer` loads from any folder; `folder`: its files."""

    name: str
    max_context: int
    tokenizer: str
    architecture: str = ""
    folder: str = ""


class Engine(Protocol):
    """All arithmetic. Called by one thread. An `adapter` is a name that the caller chose; base models stay frozen.

    Every method raises RefusedError for what the client did wrong, and leaves everything as it was then.
    """

    def models(self) -> Sequence[About]:
        """Return the base models that are served; nothing is loaded for it."""

    def about(self, base_model: str) -> About:
        """Return one, also a folder or a hub name that `models` does not list."""

    def create(self, adapter: str, base_model: str, lora: Lora) -> None:
        """Make a fresh adapter: equal seeds give equal weights; it changes nothing before it is trained."""

    def forward_backward(
        self, adapter: str, data: Sequence[Datum], loss: str, config: Mapping[str, float], *, forward_only: bool
    ) -> LossOutput:
        """Add the gradient of a summed loss to those that wait for `optim_step`; `forward_only` adds none."""

    def optim_step(self, adapter: str, adam: Adam) -> dict[str, float]:
        """Apply the gradients that wait; none waiting is a step with zero gradient."""

    def save(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Write an adapter into an empty folder (fsynced): a peft folder, plus `optimizer.safetensors` when asked."""

    def load(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Make an adapter as `folder` has it; with its optimizer the next steps are bit-equal to the first run's."""

    def drop(self, adapter: str) -> None:
        """Forget an adapter with all that it holds; one that is not there is no error."""

    def sample(self, base_model: str, adapter: str, asked: Sequence[Asked]) -> list[Answered]:
        """Answer requests together; `adapter` "" is the base alone.

        With a seed answers are repeatable, whoever else is asked for at the same time.
        """

    def described(self, adapter: str) -> dict[str, Any]:
        """Return base_model, rank and what else a listing shows."""
