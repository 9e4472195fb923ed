"""The model that a training goes on from: one of small-lm, or any Hugging Face folder of a causal language model.

What can be judged without torch is judged here.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_lm import files
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from small_lm.settings import Model, Settings

CONFIG, OWN = "config.json", "tokenizer_kind.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
CONTEXTS = ("context", "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
SHAPES = ("kind", "preset", "context", "init", "layers", "width", "heads", "inner")  # those of a folder are its own


def folder_of(folder: Path) -> Path:
    """Return the folder of the model: this one, or the one in it that a training wrote."""
    for one in (folder, folder / "model"):
        if (one / CONFIG).is_file():
            return one
    raise Trouble(f"{folder} holds no {CONFIG}: name the folder of a model, as outputs/lm/model", USAGE)


def is_own(folder: Path) -> bool:
    """Return True for a model that small-lm wrote with its own tokenizer."""
    return (folder / OWN).is_file()


def context_of(wanted: Model) -> int:
    """Return the most tokens that the model of these settings reads."""
    if not wanted.from_:
        return wanted.context
    config = config_of(folder_of(Path(wanted.from_)))
    stated = (config.get(name) for name in CONTEXTS)
    return next((value for value in stated if isinstance(value, int) and value > 0), wanted.context)


def config_of(folder: Path) -> dict[str, Any]:
    """Return the config.json of a model's folder."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Trouble(f"model.from: {folder / CONFIG} is not JSON ({error}): copy the model anew", USAGE) from error
    if not isinstance(content, dict):
        raise Trouble(f"model.from: {folder / CONFIG} is no JSON object: copy the model anew", USAGE)
    return content


def identity(wanted: Model) -> str:
    """Return the path and the digest of the config.json of the folder, for checkpoints; empty without a folder."""
    if not wanted.from_:
        return ""
    folder = folder_of(Path(wanted.from_)).resolve()
    return f"{folder} ({CONFIG} {files.sha256(folder / CONFIG)[:12]})"


def problems(settings: Settings) -> Iterator[str]:
    """Yield a line for each reason why these settings cannot go on from their folder."""
    folder = folder_of(Path(settings.model.from_))
    context_of(settings.model)
    yield from given_beside(settings)
    yield from incomplete(folder)
    if not is_own(folder):
        yield from not_for_others(settings, folder)
    outputs = Path(settings.outputs).resolve()
    if outputs in (folder.resolve(), *folder.resolve().parents):
        yield f"model.from={settings.model.from_} lies in outputs={settings.outputs}: set outputs=ANOTHER"


def given_beside(settings: Settings) -> Iterator[str]:
    """Yield a line for a shape or a tokenizer that is not that of the folder."""
    fresh = type(settings)()
    for group, names in (("model", SHAPES), ("tokenizer", ("kind", "vocab_size"))):
        for name in names:
            value = getattr(getattr(settings, group), name)
            if value != getattr(getattr(fresh, group), name):
                what = "shape" if group == "model" else "tokenizer"
                yield f"model.from takes its {what} from the folder: leave out {group}.{name}={value}"


def incomplete(folder: Path) -> Iterator[str]:
    """Yield a line for files that are missing: weights in safetensors, a tokenizer."""
    absent = [name for name in weight_files(folder) if not (folder / name).is_file()]
    pickled = sorted({path.name for pattern in PICKLES for path in folder.glob(pattern)})
    if absent and pickled:
        yield f"model.from: {folder} holds pickled weights ({pickled[0]}), which are not read: save them as safetensors"
    elif absent:
        yield f"model.from: {folder} holds no {absent[0]}: copy the model anew"
    if not any((folder / name).is_file() for name in (OWN, *TOKENIZERS)):
        yield f"model.from: {folder} holds no tokenizer: save the one that the model was trained with beside it"


def weight_files(folder: Path) -> list[str]:
    """Return the names of the files that hold the weights."""
    if not (folder / INDEX).is_file():
        return [WEIGHTS]
    try:
        return sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise Trouble(f"model.from: {folder / INDEX} is damaged: copy the model anew", USAGE) from error


def not_for_others(settings: Settings, folder: Path) -> Iterator[str]:
    """Yield a line for what only models of small-lm can do."""
    if not importlib.util.find_spec("transformers"):
        yield f"model.from: {folder} is no model of small-lm: pip install transformers to read it"
    if settings.model.dropout:
        yield "model.dropout is for models of small-lm: leave it out, config.json names the dropout of this one"
