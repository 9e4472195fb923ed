"""Models of other makers: any Hugging Face folder, through transformers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from small_lm.errors import USAGE, Trouble
from small_lm.tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Context:
    """The most tokens that a model reads."""

    context: int


class ForeignModel:
    """A causal language model of transformers; `memories` is a list of its cache."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.shape = Context(int(getattr(inner.config, "max_position_embeddings", None) or sys.maxsize))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.inner.device
        return device

    def remember(self, _batch: int, _capacity: int) -> list[Any]:
        """Return an empty cache; transformers makes its own with the first tokens."""
        return [None]

    def reorder(self, memories: list[Any], rows: list[int]) -> list[Any]:
        """Return the cache of these rows of the batch, which may repeat."""
        memories[0].batch_select_indices(torch.tensor(rows, device=self.device))
        return memories

    def next_logits(self, tokens: Tensor, memories: list[Any], kept: Tensor) -> Tensor:
        """Return the logits (B, vocabulary) of the token after the last one."""
        places = (kept.long().cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        output = self.inner(
            input_ids=tokens,
            attention_mask=kept.long(),
            position_ids=places,
            past_key_values=memories[0],
            use_cache=True,
        )
        memories[0] = output.past_key_values
        logits: Tensor = output.logits[:, -1]
        return logits


class ForeignTokenizer(Tokenizer):
    """A tokenizer of transformers."""

    kind, file = "huggingface", "tokenizer.json"

    def __init__(self, inner: Any, ends: Sequence[int]) -> None:
        super().__init__(())
        self.inner, self.size, self.last = inner, len(inner), tuple(ends)
        self.pad = inner.pad_token_id or 0
        self.unknown = -1 if inner.unk_token_id is None else inner.unk_token_id

    def encode(self, text: str) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def start(self, prompt: str) -> list[int]:
        ids = list(self.inner.encode(prompt))
        first = self.inner.bos_token_id
        if ids or first is not None or self.last:
            return ids or [first if first is not None else self.last[0]]
        raise Trouble("this model has no token that begins a text: give it a prompt that is not empty", USAGE)

    @property
    def ends(self) -> tuple[int, ...]:
        return self.last


def load(folder: Path) -> tuple[ForeignModel, ForeignTokenizer]:
    """Read a folder with transformers; raise Trouble if it is not installed or cannot read it."""
    try:
        import transformers
    except ImportError as error:
        raise Trouble(f"{folder} is no model of small-lm: pip install transformers to read it", USAGE) from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    local = {"local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **local).eval()
    except Exception as error:  # each architecture raises errors of its own
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise Trouble(f"{folder} cannot be read by transformers: {why}", USAGE) from error
    return ForeignModel(model), ForeignTokenizer(tokenizer, ends_of(model, tokenizer))


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a text, by the model and by its tokenizer."""
    of_model = model.generation_config.eos_token_id
    found = of_model if isinstance(of_model, list) else [of_model, tokenizer.eos_token_id]
    return sorted({number for number in found if number is not None})
