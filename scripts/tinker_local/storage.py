"""Files that outlive the service: sessions, runs, samplers, checkpoints."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinker_local import files
from tinker_local.api_types import AbsentError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KINDS = {"weights": "training", "sampler_weights": "sampler", "external_weights": "external"}
LOADED = ("weights", "sampler_weights")  # the kinds that this service loads
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,199}")
ABOUT = "checkpoint.json"
OLD = ".old"
TTL_S = (3600, 315_360_000)  # an hour to ten years
PREFIX = "tinker://"
FORGET_S = 7 * 86_400  # after its end a session is listed for so long


@dataclass(frozen=True)
class Place:
    """A checkpoint's address: run, kind (`weights`, `sampler_weights` or `external_weights`), name."""

    run: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.run}/{self.kind}/{self.name}"


def place(path: str) -> Place:
    """Parse tinker://RUN/weights/NAME; raise RefusedError for anything else."""
    parts = path.removeprefix(PREFIX).split("/")
    if not path.startswith(PREFIX) or len(parts) != 3 or parts[1] not in KINDS:
        raise RefusedError(f"{path!r} is no path of a checkpoint: write {PREFIX}RUN/weights/NAME")
    if not ID.fullmatch(parts[0]) or not NAME.fullmatch(parts[2]):
        raise RefusedError(f"{path!r} has a run or a name that no checkpoint can have")
    return Place(*parts)


def refuse_name(name: str) -> None:
    """Raise RefusedError for an invalid name of a checkpoint."""
    if not NAME.fullmatch(name):
        raise RefusedError(f"{name!r} cannot name a checkpoint: use up to 128 letters, digits, dots, dashes")


def refuse_ttl(seconds: int | None) -> None:
    """Raise RefusedError for a time to live that is too short or too long."""
    if seconds is not None and not TTL_S[0] <= seconds <= TTL_S[1]:
        raise RefusedError(f"ttl_seconds is {seconds}: give {TTL_S[0]} (an hour) to {TTL_S[1]} (ten years)")


class Store:
    """A folder with all files; `clock` returns seconds since 1970."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.clock = folder, clock
        for part in ("sessions", "samplers", "runs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for left in folder.glob("runs/*/*/.*"):
            mend(left)

    def write(self, part: str, name: str, about: Mapping[str, Any]) -> None:
        """Write the description of a session or a sampler."""
        files.write_json(self.folder / part / f"{name}.json", dict(about))

    def read(self, part: str, name: str) -> dict[str, Any] | None:
        """Return a description, None if there is none."""
        return read(self.folder / part / f"{name}.json") if ID.fullmatch(name) else None

    def names(self, part: str) -> list[str]:
        """Return all sessions or samplers, the oldest first."""
        found = sorted((self.folder / part).glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name))
        return [path.stem for path in found]

    def remove(self, part: str, name: str) -> None:
        """Delete a session or a sampler."""
        (self.folder / part / f"{name}.json").unlink(missing_ok=True)

    def forget_sessions(self) -> None:
        """Delete the descriptions of sessions that ended long ago, with those of their samplers; runs stay."""
        until = self.clock() - FORGET_S
        for path in (self.folder / "sessions").glob("*.json"):
            if path.stat().st_mtime >= until or not (read(path) or {}).get("finished"):
                continue
            for sampler in (self.folder / "samplers").glob(f"{path.stem}:*.json"):
                sampler.unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def run(self, run: str) -> dict[str, Any] | None:
        """Return the description of a training run, None if there is none."""
        return read(self.folder / "runs" / run / "run.json") if ID.fullmatch(run) else None

    def write_run(self, run: str, about: Mapping[str, Any]) -> None:
        """Write the description of a training run."""
        files.write_json(self.folder / "runs" / run / "run.json", dict(about))

    def runs(self) -> list[str]:
        """Return all training runs, the newest first."""
        found = (self.folder / "runs").glob("*/run.json")
        return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def at(self, where: Place) -> Path:
        """Return the folder of a checkpoint, which need not exist."""
        return self.folder / "runs" / where.run / where.kind / where.name

    def checkpoint(self, where: Place) -> dict[str, Any] | None:
        """Return the description of a checkpoint, None if there is none; remove an expired one."""
        about = read(self.at(where) / ABOUT)
        if about and about["expires"] is not None and about["expires"] <= self.clock():
            self.delete(where)
            return None
        return about

    def found(self, path: str, kinds: tuple[str, ...] = LOADED) -> tuple[Place, dict[str, Any]]:
        """Return a checkpoint by its path; raise an error if it does not exist."""
        where = place(path)
        about = self.checkpoint(where)
        if about is None:
            raise AbsentError(f"no checkpoint {path}: list what there is, it may have expired or been deleted")
        if where.kind not in kinds:
            raise RefusedError(f"{path} is of another kind: this goes on from {PREFIX}RUN/{' or '.join(kinds)}/NAME")
        return where, about

    def save(self, where: Place, about: Mapping[str, Any], write: Callable[[Path], None], *, overwrite: bool) -> str:
        """Write a checkpoint, whole or not at all; return its path."""
        target = self.at(where)
        if self.checkpoint(where) is not None and not overwrite:
            raise RefusedError(f"there is a checkpoint {where} already: choose another name, or overwrite=True")
        beside = target.parent / f".{where.name}.{uuid.uuid4().hex[:8]}"
        beside.mkdir(parents=True)
        try:
            write(beside)
            files.write_json(beside / ABOUT, {**about, "time": self.clock(), "size_bytes": size(beside)})
            self.settle(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return str(where)

    def settle(self, beside: Path, target: Path) -> None:
        """Rename a checkpoint into its place; then remove the previous one."""
        old = target.parent / f".{target.name}{OLD}"
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(target, old)
        os.rename(beside, target)
        files.sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)

    def change(self, where: Place, **changes: Any) -> None:
        """Return the description of a checkpoint for changes, and write it afterwards."""
        about = self.checkpoint(where)
        if about is not None:
            files.write_json(self.at(where) / ABOUT, {**about, **changes})

    def delete(self, where: Place) -> bool:
        """Remove a checkpoint; return False if there was none."""
        if not (self.at(where) / ABOUT).exists():
            return False
        gone = self.at(where).parent / f".{where.name}.{uuid.uuid4().hex[:8]}"
        os.rename(self.at(where), gone)
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def checkpoints(self, run: str) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield a run's checkpoints, the newest first."""
        folder = self.folder / "runs" / run
        found = [Place(run, path.parent.parent.name, path.parent.name) for path in folder.glob(f"*/[!.]*/{ABOUT}")]
        known = [(where, self.checkpoint(where)) for where in found]
        living = [(where, about) for where, about in known if about is not None]
        yield from sorted(living, key=lambda one: -float(one[1]["time"]))

    def sweep(self) -> None:
        """Remove all expired checkpoints, and sessions that ended long ago."""
        self.forget_sessions()
        for run in self.runs():
            for _ in self.checkpoints(run):
                continue


def mend(left: Path) -> None:
    """Clean up after a killed service: restore a checkpoint that was being replaced, remove other leftovers."""
    whole = left.with_name(left.name.removeprefix(".").removesuffix(OLD))
    if left.name.endswith(OLD) and not whole.exists() and (left / ABOUT).exists():
        os.rename(left, whole)
    else:
        shutil.rmtree(left, ignore_errors=True)


def read(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, None if the file is missing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def size(folder: Path) -> int:
    """Return the size of a folder's files in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir())


def moment(seconds: float) -> str:
    """Return a time in the SDK's format."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def listed(where: Place, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint as a listing shows it."""
    return {
        "checkpoint_id": f"{where.kind}/{where.name}",
        "checkpoint_type": KINDS[where.kind],
        "time": moment(about["time"]),
        "tinker_path": str(where),
        "size_bytes": about["size_bytes"],
        "public": False,
        "user_metadata": about.get("user_metadata"),
        "expires_at": None if about["expires"] is None else moment(about["expires"]),
    }
