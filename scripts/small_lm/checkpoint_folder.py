"""One checkpoint as a folder: written whole, read only where its digests hold."""

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
    """Why a folder is no sound checkpoint, as an end of `it is skipped: `."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory; `full` is None where only weights were kept, or asked for."""

    step: int
    weights: dict[str, Tensor]
    full: dict[str, Any] | None
    metrics: dict[str, float]
    path: Path


@dataclass(frozen=True)
class Saved:
    """A checkpoint on disk as its manifest tells it; `offered` are the bytes of all saves of its run until then."""

    path: Path
    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    run: str = ""
    offered: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether a training can go on from it."""
        return STATE in self.files

    @property
    def light(self) -> Saved:
        """The same with its weights alone."""
        return dataclasses.replace(self, files={WEIGHTS: self.files[WEIGHTS]})

    @property
    def bytes(self) -> int:
        """What its files take."""
        return sum(one["bytes"] for one in self.files.values())


def name(step: int, *, is_full: bool) -> str:
    """Return a checkpoint's name: `step_...` for what a training can go on from, `best_...` for weights alone."""
    return f"{'step' if is_full else 'best'}_{step:08d}"


def hidden(path: Path, state: str) -> Path:
    """Return where a checkpoint lies while it is no checkpoint: `writing`, `old` (a new one follows) or `removed`."""
    return path.with_name(f".{path.name}.{state}")


def step_of(name: str) -> int:
    """Return the step in a checkpoint's name."""
    named = NAME.fullmatch(name)
    return int(named[1]) if named else -1


def inside(folder: Path) -> list[Path]:
    """Return what has a checkpoint's name, the newest first; one put aside counts until its follower is there."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    aside = {named[1] for name in names if (named := HIDDEN.fullmatch(name)) and named[2] == "old"} - names
    paths = [folder / name for name in names if NAME.fullmatch(name)] + [hidden(folder / name, "old") for name in aside]
    return sorted(paths, key=lambda path: int(re.findall(r"\d+", path.name)[0]), reverse=True)


# Writing


def write(one: Saved, weights: Mapping[str, Tensor], full: Mapping[str, Any] | None) -> Saved:
    """Write a checkpoint beside its place and put it there; on any trouble no trace of it stays."""
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
    """Rename a finished folder; what was there is put aside first, for a folder cannot be replaced at once."""
    old = hidden(path, "old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    beside.rename(path)
    files.sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_manifest(folder: Path, one: Saved) -> None:
    """Write what tells a checkpoint from other folders, sealed by a digest of itself."""
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
    """Return what a manifest says when the sizes agree; Broken otherwise. Cheap: digests are for `load`."""
    try:
        one = parse((path / MANIFEST).read_bytes(), path)
    except OSError as error:
        raise Broken(f"its {MANIFEST} cannot be read ({error.strerror})") from error
    for key, wanted in one.files.items():
        refuse_short(path / key, wanted["bytes"])
    return one


def parse(content: bytes, path: Path) -> Saved:
    """Return what the bytes of a manifest say; Broken when they are not those that were written for this name."""
    try:
        about = json.loads(content)
        is_ours = about.pop("seal") == seal(about) and about["format"] == FORMAT
        metrics = {key: float(value) for key, value in about["metrics"].items()}
        held = {key: {"bytes": int(its["bytes"]), "sha256": str(its["sha256"])} for key, its in about["files"].items()}
        one = Saved(path, about["step"], metrics, about["run"], int(about["offered"]), held)
        fits = f"{one.step:08d}" in path.name and WEIGHTS in one.files and {*one.files} <= {WEIGHTS, STATE}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Broken(f"its {MANIFEST} is foreign or damaged") from error
    if not (is_ours and fits):
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
    """Read a checkpoint to the CPU, after a look at its digests; Broken when it cannot be had."""
    check(one)
    try:
        weights = serialization.unpack(one.path / WEIGHTS)
        full = serialization.load_state(one.path / STATE) if one.is_full else None
    except UNREADABLE as error:
        raise Broken(f"it cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from error
    return Loaded(one.step, weights, full, one.metrics, one.path)


# Changing what is there


def lighten(one: Saved) -> None:
    """Leave the weights alone; whenever this is cut off, what is there is sound."""
    path = one.path.with_name(name(one.step, is_full=False))
    if path != one.path:
        one.path.rename(path)
        files.sync_folder(path.parent)
    write_manifest(path, one.light)
    (path / STATE).unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Take a checkpoint out of sight at once, then off the disk."""
    gone = hidden(path, "removed")
    shutil.rmtree(gone, ignore_errors=True)
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Finish what a killed writer left: half-written folders go, one that was put aside without a follower returns."""
    for path in sorted(folder.iterdir()):
        named = HIDDEN.fullmatch(path.name)
        if named and named[2] == "old" and not (folder / named[1]).exists():
            path.rename(folder / named[1])
        elif named:
            shutil.rmtree(path, ignore_errors=True)
        elif NAME.fullmatch(path.name):
            drop_unlisted(path)


def drop_unlisted(folder: Path) -> None:
    """Unlink what no manifest speaks of, where there is a sound one."""
    try:
        listed = {MANIFEST, *look(folder).files}
    except Broken:
        return
    for path in folder.iterdir():
        if path.is_file() and path.name not in listed:
            path.unlink()
