"""The files by which transformers reads a tokenizer: tokenizer_config.json, and tokenizer.json for characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "<unk>"
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": "<pad>",
    "bos_token": "<bos>",
    "eos_token": "<end>",
    "unk_token": UNKNOWN,
    "clean_up_tokenization_spaces": False,
}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def config(chat_template: str) -> dict[str, Any]:
    """Return the content of tokenizer_config.json."""
    return CONFIG | ({"chat_template": chat_template} if chat_template else {})


def characters(specials: Mapping[str, int], numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return a tokenizer of characters as the package `tokenizers` reads it: words of one character each."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name} | FLAGS for name, number in specials.items()],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {**specials, **numbers}, "unk_token": UNKNOWN},
    }
