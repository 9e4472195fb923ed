"""Tokenizers where the SDK looks for them: by a folder's whole path, and by a model's name in the hub's cache."""

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

    from tinker_local.api_types import About

LOCAL = "local/"
SENT = ("*.json", "*.txt", "*.model", "*.jinja")
READ = ("tokenizer.json", "tokenizer.model")  # one of ours is read by transformers from these
OURS = "tokenizer_kind.json"
MOST_BYTES = 64_000_000  # a tokenizer's file that is larger is none
COMMIT = 40  # letters of a name in the cache
VOCABULARY = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")
OFTEN_ABSENT = (  # what transformers asks the hub for, again and again, unless the cache says that there is none
    *("added_tokens.json", "chat_template.jinja", "chat_template.json", "processor_config.json"),
    *("special_tokens_map.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
)


def refuse_unreadable(name: str, folder: Path) -> None:
    """Refuse a model of ours whose tokenizer transformers cannot read: no client could write to it."""
    if (folder / OURS).is_file() and not any((folder / one).is_file() for one in READ):
        kind = kind_of(files.read_json(folder / OURS))
        raise RefusedError(
            f"{name} has a tokenizer of kind {kind}, which no client can read: train it with tokenizer.kind=bpe"
        )


def kind_of(about: Any) -> str:
    """Return the kind that a tokenizer's description names."""
    return str(about.get("kind")) if isinstance(about, dict) else "unknown"


def place_of(name: str, folder: Path) -> str:
    """Return what a client loads the tokenizer by, whatever folder it works in.

    The SDK cuts at a colon; a folder with one in its path is asked for by the model's name.
    """
    whole = str(folder.resolve())
    return name if ":" in whole and name.startswith(LOCAL) else whole


def offer(about: About) -> None:
    """Put the tokenizer of local/NAME into the hub's cache of this user: SamplingClient asks there, by name alone."""
    if not about.name.startswith(LOCAL) or not about.folder:
        return
    try:
        keep(cache_of(about.name), contents(Path(about.folder)))
    except OSError as error:
        warn(f"warning: SamplingClient.get_tokenizer() will not find {about.name} ({error}): name its folder instead")


def cache_of(name: str) -> Path:
    """Return the folder that the hub's cache has for a name."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, "models--" + name.replace("/", "--"))


def contents(folder: Path) -> dict[str, Path]:
    """Return the small files of a model's folder by their names."""
    found = {path.name: path for pattern in SENT for path in sorted(folder.glob(pattern)) if path.is_file()}
    return {name: path for name, path in found.items() if path.stat().st_size <= MOST_BYTES}


def keep(cache: Path, found: Mapping[str, Path]) -> None:
    """Write one version and name it the newest; each is whole or absent, and one that is there stays."""
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
    """Put a version in its place; another thread or service may have done so a moment ago."""
    try:
        os.replace(beside, target)
    except OSError:
        if not target.is_dir():
            raise


def digest(found: Mapping[str, Path]) -> str:
    """Return the name of a version, as long as a commit's."""
    told = [f"{name} {sum_of(path, *stamp(path))}" for name, path in sorted(found.items())]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:COMMIT]


def vocabulary(about: About) -> str:
    """Return what tells a base model's tokenizer from another's; nothing where no file is to be read."""
    paths = {name: Path(about.folder, name) for name in VOCABULARY} if about.folder else {}
    there = {name: path for name, path in paths.items() if path.is_file()}
    return digest(there) if there else ""


def refuse_other(path: str, was: str | None, about: About) -> None:
    """Refuse a checkpoint whose base model has another tokenizer by now: its adapter knows other tokens."""
    if was and was != vocabulary(about):
        raise RefusedError(f"{path} was trained on {about.name} with another tokenizer: train it again on this one")


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written anew."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=1000)
def sum_of(path: Path, _written_ns: int, _size: int) -> str:
    """Return the SHA-256 of a file, read once for each time that it was written."""
    return files.sha256(path)


@functools.cache
def warn(line: str) -> None:
    """Say something once."""
    print(line, file=sys.stderr, flush=True)
