"""Small random models in Hugging Face folders, and the data they are trained with."""

from __future__ import annotations

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models

from tinker_local.api_types import Datum

VOCABULARY = 128
END = 1
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": END,
    "pad_token_id": 2,
}


def word(place):
    """Name token `place`: letters, so that stop texts can span tokens."""
    return "<end>" if place == END else f"{'abcdefghijklmnop'[place % 16]}{place // 16} "


def make(folder, config=transformers.LlamaConfig, **shape):
    """Write a model with weights large enough that its answers differ."""
    torch.manual_seed(7)
    made = config(**(SHAPE | shape))
    model = transformers.AutoModelForCausalLM.from_config(made)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 2:
                weights.mul_(4)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word(place): place for place in range(VOCABULARY)}, unk_token=word(0)))
    tokenizer.decoder = decoders.Fuse()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=word(END)).save_pretrained(folder)
    return str(folder)


def read(folder):
    """Load the model as anybody would."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def datum(length, seed=0, **changed):
    """Return a datum of random tokens, a third of them without weight; `changed` replaces or removes inputs."""
    drawn = np.random.default_rng([length, seed])
    tokens = drawn.integers(3, VOCABULARY, length + 1)
    inputs = {"target_tokens": tokens[1:], "weights": (drawn.random(length) > 0.3).astype(np.float32)} | changed
    return Datum(tuple(tokens[:-1].tolist()), {name: value for name, value in inputs.items() if value is not None})


def sampled(length, seed=0, **changed):
    """Return a datum for the losses on samples."""
    drawn = np.random.default_rng([length, seed, 1])
    more = {"logprobs": -5 * drawn.random(length), "advantages": drawn.normal(size=length)}
    return datum(length, seed, weights=None, **({name: one.astype(np.float32) for name, one in more.items()} | changed))
