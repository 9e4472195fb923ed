"""One checkpoint as a folder: written whole, read only if its digests match."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from small_lm import files, serialization

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

WEIGHTS, STATE, MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
FORMAT = "language model checkpoint, 1"
NAME = re.compile(r"(?:step|best)_(\d{8,18})")
HIDDEN = re.compile(r"\.((?:step|best)_\d{8,18})\.(writing|old|removed)")
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError)


class Broken(Exception):  # noqa: N818 - it is what a checkpoint is, not a bug
    """Raised for a folder that is no valid checkpoint; the message completes `it is skipped: `."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory; `full` is None if only weights were saved or requested."""

    step: int
    weights: dict[str, Tensor]
    full: dict[str, Any] | None
    metrics: dict[str, float]
    path: Path


@dataclass(frozen=True)
class Saved:
    """A checkpoint on disk, by its manifest; `offered` is the size in bytes of all saves of its run up to this one."""

    path: Path
    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    run: str = ""
    offered: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """True if a training can resume from it."""
        return STATE in self.files

    @property
    def light(self) -> Saved:
        """This checkpoint with its weights alone."""
        return dataclasses.replace(self, files={WEIGHTS: self.files[WEIGHTS]})

    @property
    def bytes(self) -> int:
        """The size of its files in bytes."""
        return sum(one["bytes"] for one in self.files.values())


def name(step: int, *, is_full: bool) -> str:
    """Return a checkpoint's name: `step_...` for one that a training can resume from, `best_...` for weights alone."""
    return f"{'step' if is_full else 'best'}_{step:08d}"


def hidden(path: Path, state: str) -> Path:
    """Return the temporary path of a checkpoint: `writing`, `old` (about to be replaced) or `removed`."""
    return path.with_name(f".{path.name}.{state}")


def step_of(name: str) -> int:
    """Return the step in a checkpoint's name."""
    named = NAME.fullmatch(name)
    return int(named[1]) if named else -1


def inside(folder: Path) -> list[Path]:
    """Return the folders with a checkpoint's name, the newest first, and `old` ones without a replacement."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    aside = {named[1] for name in names if (named := HIDDEN.fullmatch(name)) and named[2] == "old"} - names
    paths = [folder / name for name in names if NAME.fullmatch(name)] + [hidden(folder / name, "old") for name in aside]
    return sorted(paths, key=lambda path: int(re.findall(r"\d+", path.name)[0]), reverse=True)


# Writing


def write(one: Saved, weights: Mapping[str, Tensor], full: Mapping[str, Any] | None) -> Saved:
    """Write a checkpoint beside its place, then rename it; remove all of it on any error."""
    beside = hidden(one.path, "writing")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        written = {WEIGHTS: serialization.put(beside / WEIGHTS, lambda sink: sink.write(serialization.pack(weights)))}
        if full is not None:
            written[STATE] = serialization.put(beside / STATE, lambda sink: serialization.pack_state(full, sink))
        one = dataclasses.replace(one, files=written)
        write_manifest(beside, one)
        take_place(beside, one.path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return one


def take_place(beside: Path, path: Path) -> None:
    """Rename a finished folder into its place; rename an existing one first, since folders cannot be replaced."""
    old = hidden(path, "old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    beside.rename(path)
    files.sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_manifest(folder: Path, one: Saved) -> None:
    """Write the manifest, which marks a folder as a checkpoint, with a digest of itself."""
    about = {
        "format": FORMAT,
        "step": one.step,
        "run": one.run,
        "metrics": {key: repr(float(value)) for key, value in one.metrics.items()},  # JSON has no NaN
        "offered": one.offered,
        "files": one.files,
    }
    files.write_json(folder / MANIFEST, about | {"seal": seal(about)})


def seal(about: dict[str, Any]) -> str:
    """Return the digest of a manifest's content."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


# Reading


def look(path: Path) -> Saved:
    """Return the checkpoint of a manifest; raise Broken if file sizes differ. Cheap: `load` checks the digests."""
    try:
        one = parse((path / MANIFEST).read_bytes(), path)
    except OSError as error:
        raise Broken(f"its {MANIFEST} cannot be read ({error.strerror})") from error
    for key, wanted in one.files.items():
        refuse_short(path / key, wanted["bytes"])
    return one


def parse(content: bytes, path: Path) -> Saved:
    """Return the checkpoint that a manifest describes; raise Broken if it is damaged or of another name."""
    try:
        about = json.loads(content)
        is_valid = about.pop("seal") == seal(about) and about["format"] == FORMAT
        metrics = {key: float(value) for key, value in about["metrics"].items()}
        held = {key: {"bytes": int(its["bytes"]), "sha256": str(its["sha256"])} for key, its in about["files"].items()}
        one = Saved(path, about["step"], metrics, about["run"], int(about["offered"]), held)
        fits = f"{one.step:08d}" in path.name and WEIGHTS in one.files and {*one.files} <= {WEIGHTS, STATE}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Broken(f"its {MANIFEST} is foreign or damaged") from error
    if not (is_valid and fits):
        raise Broken(f"its {MANIFEST} is foreign or damaged")
    return one


def refuse_short(path: Path, wanted: int) -> None:
    """Raise Broken for a file that is absent or of another size."""
    size = path.stat().st_size if path.is_file() else 0
    if size != wanted:
        raise Broken(f"{path.name} has {size:,} of {wanted:,} bytes")


def check(one: Saved) -> None:
    """Raise Broken for a file whose bytes have changed."""
    for key, wanted in one.files.items():
        try:
            digest = files.sha256(one.path / key)
        except OSError as error:
            raise Broken(f"{key} cannot be read ({error.strerror})") from error
        if digest != wanted["sha256"]:
            raise Broken(f"{key} has changed since it was written")


def load(one: Saved) -> Loaded:
    """Read a checkpoint to the CPU after a check of its digests; raise Broken if it is damaged."""
    check(one)
    try:
        weights = serialization.unpack(one.path / WEIGHTS)
        full = serialization.load_state(one.path / STATE) if one.is_full else None
    except UNREADABLE as error:
        raise Broken(f"it cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from error
    return Loaded(one.step, weights, full, one.metrics, one.path)


# Changing checkpoints


def lighten(one: Saved) -> None:
    """Remove all but the weights; an interruption at any point leaves a valid checkpoint."""
    path = one.path.with_name(name(one.step, is_full=False))
    if path != one.path:
        one.path.rename(path)
        files.sync_folder(path.parent)
    write_manifest(path, one.light)
    (path / STATE).unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Rename a checkpoint out of the way, then delete it."""
    gone = hidden(path, "removed")
    shutil.rmtree(gone, ignore_errors=True)
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Clean up after a killed writer: remove half-written folders, restore an `old` one without a replacement."""
    for path in sorted(folder.iterdir()):
        named = HIDDEN.fullmatch(path.name)
        if named and named[2] == "old" and not (folder / named[1]).exists():
            path.rename(folder / named[1])
        elif named:
            shutil.rmtree(path, ignore_errors=True)
        elif NAME.fullmatch(path.name):
            drop_unlisted(path)


def drop_unlisted(folder: Path) -> None:
    """Remove the files that a valid manifest does not list."""
    try:
        listed = {MANIFEST, *look(folder).files}
    except Broken:
        return
    for path in folder.iterdir():
        if path.is_file() and path.name not in listed:
            path.unlink()
