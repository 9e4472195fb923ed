"""Folders that are served under names of the hub, for programs that know such names alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tinker_local import model_registry, tokenizer_files
from tinker_local.api_types import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinker_local.api_types import ModelInfo

MARK = "tinker_local"  # a file in the hub's cache: the entry is a local service's own
USERS = "tinker_local.users"  # a folder beside it: a file for each service that offers the entry, by its pid
DOWNLOADED = "blobs"  # what a download leaves there


def read(given: Sequence[str]) -> dict[str, str]:
    """Return the folder of each name, of texts HUB/NAME=FOLDER; raise RefusedError for others."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, folder = one.partition("=")
        if not equals or "/" not in name or not model_registry.HUB_NAME.fullmatch(name):
            raise RefusedError(f"--name {one}: write HUB/NAME=FOLDER, as in Qwen/Qwen3-8B=path/to/a/model")
        if name.startswith(model_registry.LOCAL) or name in found:
            raise RefusedError(f"--name {one}: {name} is the name of another model: choose another")
        if not (Path(folder) / model_registry.CONFIG).is_file():
            raise RefusedError(f"--name {one}: {folder or 'an empty name'} is no folder with a {model_registry.CONFIG}")
        found[name] = str(Path(folder).resolve())
    return found


def offer(served: Iterable[ModelInfo]) -> None:
    """Put each one's tokenizer into the hub's cache under its name, unless the hub's own model is there."""
    for one in served:
        cache = tokenizer_files.cache_of(one.name)
        if is_of_the_hub(cache):
            line = f"warning: {cache} holds the hub's {one.name}, whose tokenizer clients will read: set HF_HOME"
            tokenizer_files.warn(f"{line} to another folder for service and clients")
            continue
        try:
            cache.mkdir(parents=True, exist_ok=True)
            (cache / MARK).touch()
            (cache / USERS).mkdir(exist_ok=True)
            (cache / USERS / str(os.getpid())).touch()
            tokenizer_files.keep(cache, tokenizer_files.contents(Path(one.folder)))
        except OSError as error:
            tokenizer_files.warn(f"warning: clients will not find the tokenizer of {one.name} ({error}): set HF_HOME")


def withdraw(names: Iterable[str]) -> None:
    """Remove the entries that `offer` made in the hub's cache, unless another service offers them too."""
    for name in names:
        cache = tokenizer_files.cache_of(name)
        (cache / USERS / str(os.getpid())).unlink(missing_ok=True)
        if (cache / MARK).is_file() and not is_of_the_hub(cache) and not is_used(cache):
            shutil.rmtree(cache, ignore_errors=True)


def is_used(cache: Path) -> bool:
    """Return True if a living service offers an entry."""
    return any(is_alive(int(one.name)) for one in (cache / USERS).glob("*") if one.name.isdecimal())


def is_alive(pid: int) -> bool:
    """Return True for a process that exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def is_of_the_hub(cache: Path) -> bool:
    """Return True if a download is there, or an entry that another program made."""
    return (cache / DOWNLOADED).exists() or (cache.exists() and not (cache / MARK).is_file())
