"""Models of other makers: any Hugging Face folder, through transformers."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from small_lm import chat
from small_lm.errors import USAGE, Trouble
from small_lm.tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE_FILE = "10000GB"  # the size above which transformers would divide the weights


@dataclass(frozen=True)
class Context:
    """The most tokens that a model reads, and the name of its architecture."""

    context: int
    architecture: str = ""


class ForeignModel(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """A causal language model of transformers: tokens (B, T) in, logits out; `memories` is a list of its cache."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        context = int(getattr(inner.config, "max_position_embeddings", None) or sys.maxsize)
        self.shape = Context(context, type(inner).__name__)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.inner(input_ids=tokens, use_cache=False).logits
        return logits

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.inner.device
        return device

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def matrices(self) -> list[Tensor]:
        """Return the weights that multiply: those of two dimensions, but for embeddings and the output layer."""
        tables = [part.weight for part in self.modules() if isinstance(part, nn.Embedding)]
        output = self.inner.get_output_embeddings()
        left_out = {id(weight) for weight in [*tables, *([output.weight] if output is not None else [])]}
        return [weight for weight in self.parameters() if weight.ndim == 2 and id(weight) not in left_out]

    def content(self) -> dict[str, bytes]:
        """Return the files of its folder, as transformers writes them: config and weights."""
        return written_by(lambda folder: self.inner.save_pretrained(folder, max_shard_size=ONE_FILE))

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
        self.inner, self.last = inner, tuple(ends)
        self.size = 1 + max(inner.get_vocab().values(), default=0)
        self.pad, self.chat_template = inner.pad_token_id or 0, str(inner.chat_template or "")
        self.opening = tuple(number for number in [inner.bos_token_id] if number is not None and number not in ends)
        self.unknown = -1 if inner.unk_token_id is None else inner.unk_token_id

    def encode(self, text: str) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def begin_chat(self) -> None:
        if not self.closing:
            raise Trouble("the model's tokenizer has no token that ends a text, so that no reply would end", USAGE)
        self.inner.chat_template = self.inner.chat_template or chat.TEMPLATE
        self.chat_template, self.is_chat = str(self.inner.chat_template), True

    def rendered(self, messages: chat.Messages, *, is_asked: bool = False) -> str:
        """Return the text of a conversation by the template; with `is_asked` a reply begins at its end."""
        try:
            return str(self.inner.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=is_asked))
        except Exception as error:  # each template raises errors of its own
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Trouble(f"the model's chat template refuses {chat.beginning(messages)}: {why}", USAGE) from error

    def conversation(self, messages: chat.Messages) -> chat.Marked:
        for token in self.inner.all_special_tokens:
            if any(token in one["content"] for one in messages):
                raise Trouble(f"a message holds the special token {token}, in {chat.beginning(messages)}", USAGE)
        whole = self.rendered(messages)
        spans = [self.span(messages, at, whole) for at, one in enumerate(messages) if one["role"] == "assistant"]
        found = self.inner(whole, add_special_tokens=False, return_offsets_mapping=True)
        marks = [any(first <= at < last for first, last in spans) for at, _ in found["offset_mapping"]]
        return list(found["input_ids"]), marks

    def span(self, messages: chat.Messages, at: int, whole: str) -> tuple[int, int]:
        """Return the place of a reply in the text of the whole conversation, with the token that ends it."""
        before, after = self.rendered(messages[:at], is_asked=True), self.rendered(messages[: at + 1])
        if not (after.startswith(before) and whole.startswith(after)):
            line = "the model's chat template changes a reply when more follows, which text.kind=chat cannot learn, in"
            raise Trouble(f"{line} {chat.beginning(messages)}", USAGE)
        return len(before), len(after)

    def start(self, prompt: str) -> list[int]:
        if self.is_chat:
            asked = self.rendered([{"role": "user", "content": prompt}], is_asked=True)
            return list(self.inner.encode(asked, add_special_tokens=False))
        ids = list(self.inner.encode(prompt))
        first = self.inner.bos_token_id
        if ids or first is not None or self.last:
            return ids or [first if first is not None else self.last[0]]
        raise Trouble("this model has no token that begins a text: give it a prompt that is not empty", USAGE)

    @property
    def ends(self) -> tuple[int, ...]:
        return self.last

    @property
    def closing(self) -> tuple[int, ...]:
        """The token after a document."""
        own = self.inner.eos_token_id
        return self.last[:1] if own is None else (own,)

    def files(self) -> dict[str, bytes]:
        """Return its files, as transformers writes them."""
        return written_by(self.inner.save_pretrained)

    def content(self) -> bytes:
        return json.dumps({name: text.decode() for name, text in sorted(self.files().items())}).encode()


def written_by(write: Any) -> dict[str, bytes]:
    """Return the files that a function writes into a folder."""
    with tempfile.TemporaryDirectory(prefix="small-lm-") as folder:
        write(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


def load(folder: Path, *, is_trained: bool = False) -> tuple[ForeignModel, ForeignTokenizer]:
    """Read a folder with transformers; raise Trouble if it is not installed or cannot read it.

    One that `is_trained` on is read from safetensors alone, and must be whole and causal.
    """
    transformers = needed(folder)
    local = {"local_files_only": True}
    of_model = local | {"dtype": torch.float32, "output_loading_info": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        found = transformers.AutoModelForCausalLM.from_pretrained(
            folder, **of_model, **({"use_safetensors": True} if is_trained else {})
        )
    except Exception as error:  # each architecture raises errors of its own
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Trouble(f"{folder} cannot be read by transformers: {why}", USAGE) from error
    model = ForeignModel(found[0].eval())
    read = ForeignTokenizer(tokenizer, ends_of(found[0], tokenizer))
    if is_trained:
        for why in unfit(model, read, found[1]):
            raise Trouble(f"model.from: {folder} {why}", USAGE)
    return model, read


def needed(folder: Path) -> Any:
    """Return transformers, silenced; raise Trouble if it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise Trouble(f"{folder} is no model of small-lm: pip install transformers to read it", USAGE) from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def unfit(model: ForeignModel, tokenizer: ForeignTokenizer, info: dict[str, Any]) -> list[str]:
    """Return the reasons why a model cannot be trained on; `info` is of transformers, about its weights."""
    absent, rows = sorted(info.get("missing_keys") or ()), model.inner.get_input_embeddings().weight.shape[0]
    reasons = [f"lacks weights, as {absent[0]}: copy the model anew"] if absent else []
    if tokenizer.size > rows:
        reasons.append(f"has {rows} tokens, the tokenizer beside it {tokenizer.size}: it is another model's")
    elif not is_causal(model):
        reasons.append("is no causal language model: a token changes what is said of those before it")
    return reasons


def is_causal(model: ForeignModel) -> bool:
    """Return True if a token changes nothing before it."""
    with torch.no_grad():
        one, other = model(torch.tensor([[0, 1, 0], [0, 1, 1]]))[:, :2]
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-4))


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a text, by the model and by its tokenizer."""
    of_model = model.generation_config.eos_token_id
    found = of_model if isinstance(of_model, list) else [of_model, tokenizer.eos_token_id]
    return sorted({number for number in found if number is not None})
