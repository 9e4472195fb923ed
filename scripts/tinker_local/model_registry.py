"""The available base models: local folders, by name or path, and models of the hub."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinker_local import tokenizer_files
from tinker_local.api_types import ModelInfo, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOME = "DO_TASKS_MODELS"  # environment variable: the folder of local/NAME
LOCAL = "local/"
CONFIG = "config.json"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
LEAST_CONTEXT = 1024  # tokens, if a config has no length
TEXTS = ["*.json", "*.txt", "*.model", "*.jinja"]
WEIGHTS = ["*.safetensors"]
State = tuple[tuple[str, int, int], ...]  # name, time and size of each file


def home() -> Path:
    """Return the home folder, whose folders are served as local/NAME."""
    return Path(os.environ.get(HOME) or Path("outputs") / "models")


def listed(extra: Sequence[str] = ()) -> list[ModelInfo]:
    """Return the served models: all readable ones of the home, and those named at the start. None is loaded."""
    found = {}
    for name in names_at_home():
        with contextlib.suppress(RefusedError):
            found[name] = about(name)
    return list((found | {name: about(name) for name in extra}).values())


def names_at_home() -> Iterator[str]:
    """Yield local/NAME for each model folder, by name."""
    if home().is_dir():
        for folder in sorted(home().iterdir()):
            if (folder / CONFIG).is_file():
                yield LOCAL + folder.name


def about(name: str) -> ModelInfo:
    """Describe a model by its config.json alone; raise RefusedError if there is none of this name."""
    where = folder(name, TEXTS)
    tokenizer_files.refuse_unreadable(name, where)
    config = read_config(where / CONFIG)
    text = config.get("text_config") or config
    found = [text[key] for key in CONTEXT_KEYS if isinstance(text.get(key), int)]
    kinds = config.get("architectures") or [""]
    return ModelInfo(
        name,
        found[0] if found else LEAST_CONTEXT,
        tokenizer_files.place_of(name, where),
        str(kinds[0]),
        str(where),
        tokenizer_files.vocabulary(where),
    )


def state(folder: Path) -> State:
    """Return the state of the files that make a model: config, tokenizer, weights."""
    names = {CONFIG, *tokenizer_files.VOCABULARY, *(path.name for path in folder.glob(*WEIGHTS))}
    paths = [folder / name for name in sorted(names)]
    return tuple((path.name, *tokenizer_files.stamp(path)) for path in paths if path.is_file())


def read_config(path: Path) -> dict[str, Any]:
    """Return a config.json; raise RefusedError if it is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedError(f"{path} cannot be read ({error}): make the model again, or name another") from error
    if not isinstance(config, dict):
        raise RefusedError(f"{path} is no model's config: make the model again, or name another")
    return config


def folder(name: str, wanted: Sequence[str] = (*TEXTS, *WEIGHTS)) -> Path:
    """Return a model's folder; `wanted` are the files to download from the hub."""
    if name.startswith(LOCAL):
        return at_home(name)
    if name and "\0" not in name and (Path(name) / CONFIG).is_file():
        return Path(name)
    if not HUB_NAME.fullmatch(name) or ".." in name:
        raise RefusedError(f"no model {name!r}: {choice()}")
    return from_hub(name, wanted)


def at_home(name: str) -> Path:
    """Return the folder of local/NAME; raise RefusedError if there is none inside of the home folder."""
    rest = name.removeprefix(LOCAL)
    if not HUB_NAME.fullmatch(rest) or "/" in rest or not (home() / rest / CONFIG).is_file():
        raise RefusedError(f"no model {name!r}: {choice()}")
    return home() / rest


def from_hub(name: str, wanted: Sequence[str]) -> Path:
    """Return the folder of a hub's model, from the cache or else by download."""
    import huggingface_hub

    for offline in (True, False):
        try:
            found = Path(huggingface_hub.snapshot_download(name, allow_patterns=list(wanted), local_files_only=offline))
        except Exception as error:  # noqa: BLE001 - whatever its HTTP library raises is the same trouble: no model
            trouble = error
        else:
            if (found / CONFIG).is_file() and (set(wanted).isdisjoint(WEIGHTS) or any(found.glob("*.safetensors"))):
                return found
            trouble = FileNotFoundError(f"no {CONFIG} with *.safetensors in it")
    raise RefusedError(
        f"no model {name!r} here, and the hub gave none ({type(trouble).__name__}): {choice()}; "
        "a hub's name needs a network once"
    ) from trouble


def choice() -> str:
    """Return the known models as the end of an error message."""
    there = list(names_at_home())
    offer = f"use one of {', '.join(there)}" if there else f"there is none in {home()}"
    return f"{offer}, or a folder with a {CONFIG}"
