"""A frozen base model in memory whose linear layers can use an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tinker_local import lora, model_registry
from tinker_local.api_types import ModelInfo, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from tinker_local.lora import LoraLinear

KNOWN_LAYERS = {"full_attention", "sliding_attention"}
FEW = 4  # tokens to test that the logits are the head's output


@dataclass(frozen=True)
class Base:
    """A loaded base model, as training and sampling need it."""

    about: ModelInfo
    model: Any
    tokenizer: Any
    parts: dict[str, LoraLinear]
    vocabulary: int
    ends: frozenset[int]
    is_plain: bool

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return self.model.device

    def hidden(self, ids: Tensor, **more: Any) -> Tensor:
        """Return the last hidden states (B, T, width) of `ids` (B, T)."""
        if self.is_plain:
            return self.model.base_model(input_ids=ids, **more).last_hidden_state
        return self.model(input_ids=ids, **more).logits

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., vocabulary) of hidden states, in float32."""
        return (self.model.get_output_embeddings()(hidden) if self.is_plain else hidden).float()


def load(about: ModelInfo, source: str, device: str, precision: str) -> Base:
    """Load a Hugging Face model by its folder or name `source`; raise RefusedError if it cannot be used here."""
    folder = model_registry.folder(source)
    model, tokenizer = read(about, folder, precision)
    refuse_odd_layers(about.name, model.config.get_text_config())
    model.requires_grad_(requires_grad=False)
    model.eval().to(device)
    parts = lora.open_parts(model)
    if not parts or model.get_output_embeddings() is None:
        raise RefusedError(f"{about.name} has no linear layers that a LoRA fits: use a model like Llama")
    vocabulary = model.get_input_embeddings().num_embeddings
    return Base(about, model, tokenizer, parts, vocabulary, ends(model, tokenizer), is_plain(model))


def read(about: ModelInfo, folder: Path, precision: str) -> tuple[Any, Any]:
    """Return model and tokenizer of a folder; code in the folder is not run."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    safely = {"trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safely)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, **safely
        )
    except Exception as error:  # any exception here comes from a broken folder
        reason = " ".join(str(error).split())[:300]
        raise RefusedError(f"{about.name} cannot be loaded ({reason}): it must be a causal language model") from error
    return model, tokenizer


def refuse_odd_layers(name: str, config: Any) -> None:
    """Raise RefusedError for a model with layers other than attention."""
    odd = set(getattr(config, "layer_types", None) or ()) - KNOWN_LAYERS
    if odd:
        raise RefusedError(f"{name} has layers of {', '.join(sorted(odd))}: only attention is served here")


def ends(model: nn.Module, tokenizer: Any) -> frozenset[int]:
    """Return the ids of the model's end tokens; empty if neither model nor tokenizer has one."""
    for ids in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if ids is not None:
            return frozenset(ids if isinstance(ids, list) else [ids])
    return frozenset()


@torch.no_grad()  # type: ignore[untyped-decorator]
def is_plain(model: Any) -> bool:
    """Return True if the logits are the head's unchanged output."""
    ids = torch.arange(FEW, device=model.device)[None] % model.get_input_embeddings().num_embeddings
    alone = model.get_output_embeddings()(model.base_model(input_ids=ids, use_cache=False).last_hidden_state)
    return bool(torch.equal(alone, model(input_ids=ids, use_cache=False).logits))
