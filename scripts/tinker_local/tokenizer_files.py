"""Put tokenizers where the SDK looks for them: a folder's absolute path, or the model's name in the hub's cache."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinker_local import files
from tinker_local.api_types import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinker_local.api_types import ModelInfo

LOCAL = "local/"
SENT = ("*.json", "*.txt", "*.model", "*.jinja")
READ = ("tokenizer.json", "tokenizer.model")  # transformers reads a tokenizer of small_lm from these
DESCRIPTION = "tokenizer_kind.json"
MOST_BYTES = 64_000_000  # a tokenizer's file that is larger is none
COMMIT = 40  # letters of a name in the cache
VOCABULARY = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")
OFTEN_ABSENT = (  # transformers requests them from the hub each time, unless the cache marks them as missing
    *("added_tokens.json", "chat_template.jinja", "chat_template.json", "processor_config.json"),
    *("special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
)


def refuse_unreadable(name: str, folder: Path) -> None:
    """Raise RefusedError for a model of small_lm whose tokenizer transformers cannot read, which no client can use."""
    if (folder / DESCRIPTION).is_file() and not any((folder / one).is_file() for one in READ):
        kind = kind_of(files.read_json(folder / DESCRIPTION))
        raise RefusedError(
            f"{name} has a tokenizer of kind {kind}, which no client can read: train it with tokenizer.kind=bpe"
        )


def kind_of(about: Any) -> str:
    """Return the kind of a tokenizer by its description."""
    return str(about.get("kind")) if isinstance(about, dict) else "unknown"


def place_of(name: str, folder: Path) -> str:
    """Return the name by which a client loads the tokenizer from any working directory.

    The SDK splits at a colon; a folder with one in its path gets the model's name.
    """
    whole = str(folder.resolve())
    return name if ":" in whole and name.startswith(LOCAL) else whole


def offer(about: ModelInfo) -> None:
    """Copy the tokenizer of local/NAME into this user's cache of the hub, where SamplingClient looks for it by name."""
    if not about.name.startswith(LOCAL) or not about.folder:
        return
    try:
        keep(cache_of(about.name), contents(Path(about.folder)))
    except OSError as error:
        warn(f"warning: SamplingClient.get_tokenizer() will not find {about.name} ({error}): name its folder instead")


def cache_of(name: str) -> Path:
    """Return the folder of a name in the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, "models--" + name.replace("/", "--"))


def contents(folder: Path) -> dict[str, Path]:
    """Return the small files of a model's folder by their names."""
    found = {path.name: path for pattern in SENT for path in sorted(folder.glob(pattern)) if path.is_file()}
    return {name: path for name, path in found.items() if path.stat().st_size <= MOST_BYTES}


def keep(cache: Path, found: Mapping[str, Path]) -> None:
    """Write one version, whole or not at all, and make it the newest; an existing one stays."""
    commit = digest(found)
    target = cache / "snapshots" / commit
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=cache, prefix=".writing."))
        try:
            for name, path in found.items():
                shutil.copyfile(path, beside / name)
            beside.chmod(0o755)
            settle(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    for name in set(OFTEN_ABSENT) - set(found):
        mark = cache / ".no_exist" / commit / name
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    newest = cache / "refs" / "main"
    if not newest.is_file() or newest.read_text(encoding="utf-8") != commit:
        files.write_text(newest, commit)


def settle(beside: Path, target: Path) -> None:
    """Rename a version into its place, unless another thread or service was faster."""
    try:
        os.replace(beside, target)
    except OSError:
        if not target.is_dir():
            raise


def digest(found: Mapping[str, Path]) -> str:
    """Return the id of a version, as long as a commit's."""
    lines = [f"{name} {sum_of(path, *stamp(path))}" for name, path in sorted(found.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:COMMIT]


def vocabulary(folder: Path) -> str:
    """Return the digest of a base model's tokenizer; empty if it has no file."""
    there = {name: folder / name for name in VOCABULARY if (folder / name).is_file()}
    return digest(there) if there else ""


def refuse_other(path: str, was: str | None, about: ModelInfo) -> None:
    """Raise RefusedError for a checkpoint whose base model was loaded with another tokenizer."""
    if was and was != about.vocabulary:
        raise RefusedError(f"{path} was trained on {about.name} with another tokenizer: train it again on this one")


def stamp(path: Path) -> tuple[int, int]:
    """Return modification time and size of a file."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=1000)
def sum_of(path: Path, _written_ns: int, _size: int) -> str:
    """Return the SHA-256 of a file, cached by its modification time and size."""
    return files.sha256(path)


@functools.cache
def warn(line: str) -> None:
    """Print a warning once."""
    print(line, file=sys.stderr, flush=True)
