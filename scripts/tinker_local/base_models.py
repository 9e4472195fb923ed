"""A base model in memory: frozen, its linear layers ready to wear an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tinker_local import lora, model_registry
from tinker_local.api_types import About, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from tinker_local.lora import LoraLinear

KNOWN_LAYERS = {"full_attention", "sliding_attention"}
FEW = 4  # tokens that tell whether the head alone gives the logits


@dataclass(frozen=True)
class Base:
    """What training and sampling need to know of a model."""

    about: About
    model: Any
    tokenizer: Any
    parts: dict[str, LoraLinear]
    vocabulary: int
    ends: frozenset[int]
    is_plain: bool

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.model.device

    def hidden(self, ids: Tensor, **more: Any) -> Tensor:
        """Return what `logits` needs for each token of `ids` (B, T): (B, T, width)."""
        if self.is_plain:
            return self.model.base_model(input_ids=ids, **more).last_hidden_state
        return self.model(input_ids=ids, **more).logits

    def logits(self, hidden: Tensor) -> Tensor:
        """Return (..., vocabulary) in float32."""
        return (self.model.get_output_embeddings()(hidden) if self.is_plain else hidden).float()


def load(about: About, device: str, precision: str) -> Base:
    """Load a model of Hugging Face form; RefusedError when it is none that can be trained and sampled here."""
    folder = model_registry.folder(about.name)
    model, tokenizer = read(about, folder, precision)
    refuse_odd_layers(about.name, model.config.get_text_config())
    model.requires_grad_(requires_grad=False)
    model.eval().to(device)
    parts = lora.open_parts(model)
    if not parts or model.get_output_embeddings() is None:
        raise RefusedError(f"{about.name} has no linear layers that a LoRA fits: use a model like Llama")
    vocabulary = model.get_input_embeddings().num_embeddings
    return Base(about, model, tokenizer, parts, vocabulary, ends(model, tokenizer), is_plain(model))


def read(about: About, folder: Path, precision: str) -> tuple[Any, Any]:
    """Return model and tokenizer of a folder; nothing in the folder is run."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    safely = {"trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safely)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, **safely
        )
    except Exception as error:  # whatever a broken folder raises in there is the folder's fault
        said = " ".join(str(error).split())[:300]
        raise RefusedError(f"{about.name} cannot be loaded ({said}): it must be a causal language model") from error
    return model, tokenizer


def refuse_odd_layers(name: str, config: Any) -> None:
    """Refuse memories that are no list of keys with values."""
    odd = set(getattr(config, "layer_types", None) or ()) - KNOWN_LAYERS
    if odd:
        raise RefusedError(f"{name} has layers of {', '.join(sorted(odd))}: only attention is served here")


def ends(model: nn.Module, tokenizer: Any) -> frozenset[int]:
    """Return the ids of the model's end tokens; none when nobody names one."""
    for told in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if told is not None:
            return frozenset(told if isinstance(told, list) else [told])
    return frozenset()


@torch.no_grad()  # type: ignore[untyped-decorator]
def is_plain(model: Any) -> bool:
    """Tell whether the logits are the head's output, with nothing done to them after."""
    ids = torch.arange(FEW, device=model.device)[None] % model.get_input_embeddings().num_embeddings
    alone = model.get_output_embeddings()(model.base_model(input_ids=ids, use_cache=False).last_hidden_state)
    return bool(torch.equal(alone, model(input_ids=ids, use_cache=False).logits))
