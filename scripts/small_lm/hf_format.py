"""A model as a Hugging Face folder: config.json, model.safetensors, the tokenizer's files."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from small_lm import architectures, files, tokenizers, verified_folder
from small_lm.errors import USAGE, Trouble
from small_lm.foreign_model import ForeignModel
from small_lm.shapes import Shape

if TYPE_CHECKING:
    from pathlib import Path

    from small_lm.model import Llama
    from small_lm.recurrent import Recurrent
    from small_lm.tokenizers import Tokenizer

WEIGHTS, RECURRENT = "model.safetensors", "small_lm_rnn"


def save(folder: Path, model: Llama | Recurrent | ForeignModel, tokenizer: Tokenizer) -> None:
    """Write the folder, whole or not at all."""
    content = model.content() if isinstance(model, ForeignModel) else content_of(model, tokenizer)
    verified_folder.keep(folder, content | tokenizer.files())


def content_of(model: Llama | Recurrent, tokenizer: Tokenizer) -> dict[str, bytes]:
    """Return the files of a model of small-lm: config and weights."""
    from safetensors import torch as safetensors

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return {
        "config.json": as_json(config(model.shape, tokenizer)),
        "generation_config.json": as_json(specials(tokenizer)),
        WEIGHTS: safetensors.save(weights, metadata={"format": "pt"}),
    }


def load(folder: Path) -> tuple[Llama, Tokenizer]:
    """Read a folder that `save` wrote; return model and tokenizer."""
    from safetensors import torch as safetensors

    if not (folder / WEIGHTS).is_file():
        raise Trouble(f"{folder} holds no {WEIGHTS}: name the folder of a trained model", USAGE)
    content, tokenizer = shape(files.read_json(folder / "config.json")), tokenizers.load(folder)
    if content.vocab_size != tokenizer.size:
        of = f"has {content.vocab_size} tokens, the tokenizer beside it {tokenizer.size}"
        raise Trouble(f"the model in {folder} {of}: it is another's; make the model again")
    model, weights = architectures.fresh(content), safetensors.load_file(folder / WEIGHTS)
    model.load_state_dict({name: tensor for name, tensor in weights.items() if name != "lm_head.weight"})
    return model, tokenizer


def read(folder: Path) -> tuple[Llama, Tokenizer]:
    """Read a folder that `save` wrote; raise Trouble in one line for damaged files."""
    from safetensors import SafetensorError

    try:
        return load(folder)
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise Trouble(f"{folder} is damaged ({reason}): train it again, or copy it anew", USAGE) from error


def as_json(value: Any) -> bytes:
    """Return one JSON document as the bytes of a file."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def specials(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of the special tokens by their Hugging Face names."""
    return {"bos_token_id": tokenizer.bos, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.pad}


def config(shape: Shape, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the shape as a `LlamaConfig`; rope_theta is in both its old and its new place."""
    if shape.kind == "rnn":
        return specials(tokenizer) | {"model_type": RECURRENT} | dataclasses.asdict(shape)
    return specials(tokenizer) | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "hidden_act": "silu",
        "attention_bias": True,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def shape(config: dict[str, Any]) -> Shape:
    """Return the shape of a config.json that `save` wrote."""
    if config.get("model_type") == RECURRENT:
        return Shape(**{field.name: config[field.name] for field in dataclasses.fields(Shape)})
    for name, wanted in (
        ("hidden_size", config["num_attention_heads"] * config["head_dim"]),
        ("num_key_value_heads", config["num_attention_heads"]),
    ):
        if config.get(name, wanted) != wanted:
            raise ValueError(f"config.json: {name} is {config[name]}, its heads make {wanted}")
    return Shape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        head_dim=config["head_dim"],
        inner=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        context=config["max_position_embeddings"],
        rope_theta=config["rope_theta"],
        eps=config["rms_norm_eps"],
    )
