"""What judges the steps whose brief is out, as it was at the brief: kept in the project, and beside it outside."""

from __future__ import annotations

import json
import os

from executor import files, follow, pids, reading, snapshot, state_home
from executor.errors import MachineError
from executor.records import LOG_NAME
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.startup import Startup

VERSION = 1
BODY, PLACE = "judges.json", "outside"
INSIDE = "inside"  # of a reference: no place outside could be written


class Remembered(Value):
    """What was remembered. `parts` are digests by name, `boxes` what each step's line showed, by number.

    `definitions` is the path of the plan, `log_bytes` how long the log was, rotated pieces included.
    """

    definitions: str
    parts: Mapping[str, str]
    boxes: Mapping[int, tuple[str, ...]]
    log_bytes: int = 0


class Kept(Value):
    """Where something is remembered, and why it cannot be told; `what` is None then."""

    reference: str
    folder: str
    what: Remembered | None = None
    why: str = ""


def keep(root: str, what: Remembered, globs: tuple[str, ...], startup: Startup) -> tuple[str, str]:
    """Remember this, what the globs guard, and what judging programs start with.

    Returned are the reference for the log, and what the system refused to have written outside.
    """
    ident = os.urandom(6).hex()
    folder = files.private_folder(os.path.join(root, state_home.BRIEFS, ident))
    snapshot.write(root, folder, globs, startup)
    body = _body(root, what, files.digest(files.read(os.path.join(folder, snapshot.MANIFEST))))
    outside = os.path.join(state_home.folder(), f"{ident}.json")
    trouble = _write_outside(outside, body)
    files.replace(os.path.join(folder, BODY), body)
    files.replace(os.path.join(folder, PLACE), os.fsencode(outside))
    where = f"{INSIDE}:" if trouble else ""
    return f"{where}{ident}:{files.digest(body)[:32]}", trouble


def read(root: str, reference: str) -> Kept:
    """Return what a reference of the log names, compared with both copies of it."""
    ident, digest = ident_of(reference), reference.rpartition(":")[2]
    if not (ident.isalnum() and ":" in reference):
        return Kept(reference, "", why="its line in the log does not say what was remembered")
    folder = os.path.join(root, state_home.BRIEFS, ident)
    inside = _read(os.path.join(folder, BODY))
    outside = inside if reference.startswith(f"{INSIDE}:") else _outside(folder, ident)
    for name, body in (("in .do-tasks/briefs", inside), (f"in {state_home.folder()}", outside)):
        if not body:
            return Kept(reference, folder, why=f"what was remembered {name} is gone")
        if files.digest(body)[:32] != digest:
            return Kept(reference, folder, why=f"what was remembered {name} is not as it was written")
    manifest = files.digest(_read(os.path.join(folder, snapshot.MANIFEST)))
    said = reading.parsed(inside)
    if manifest != said["files"]:
        return Kept(reference, folder, why="what was remembered of the protected files is not as it was written")
    boxes = {int(number): tuple(map(str, shown)) for number, shown in said["boxes"].items()}
    return Kept(reference, folder, Remembered(said["definitions"], said["parts"], boxes, said["log_bytes"]))


def unnamed(root: str, named: Collection[str]) -> list[str]:
    """Return the idents that are remembered for this project, here or outside, and that nobody named."""
    return [ident for ident in dict.fromkeys((*_inside(root), *_outside_of(root))) if ident not in named]


def is_kept(root: str) -> bool:
    """Return True when something may be remembered for this project, here or outside."""
    return os.path.lexists(os.path.join(root, state_home.BRIEFS)) or bool(_outside_of(root))


def forget(root: str, *idents: str) -> None:
    """Forget what is remembered for this project, and outside what these idents name."""
    from shutil import rmtree

    for ident in {*idents, *_inside(root), *_outside_of(root)}:
        for kind in ("json", "givers"):
            _unlink(os.path.join(state_home.folder(), f"{ident}.{kind}"))
    rmtree(os.path.join(root, state_home.BRIEFS), ignore_errors=True)


def add_givers(reference: str, givers: Collection[str]) -> None:
    """Remember outside to which processes a brief was given; where that cannot be written, the log alone has them."""
    path = os.path.join(state_home.folder(), f"{ident_of(reference)}.givers")
    known = _read(path)
    more = "".join(f"{one}\n" for one in givers if one.encode() not in known.split(b"\n"))
    if more and not reference.startswith(f"{INSIDE}:"):
        _write_outside(path, known + more.encode())


def givers_of(reference: str) -> tuple[str, ...]:
    """Return the processes that `add_givers` was told of."""
    path = os.path.join(state_home.folder(), f"{ident_of(reference)}.givers")
    return tuple(filter(None, _read(path).decode("utf-8", "replace").split("\n")))


def ident_of(reference: str) -> str:
    """Return the part of a reference that names files."""
    return reference.removeprefix(f"{INSIDE}:").partition(":")[0]


def _inside(root: str) -> list[str]:
    try:
        return sorted(os.listdir(os.path.join(root, state_home.BRIEFS)))
    except OSError:
        return []


def _outside_of(root: str) -> list[str]:
    """Return the idents outside that were written for this folder and a log that began like this one."""
    every = [(ident, said) for ident, said in _all_outside() if said.get("root") == os.path.realpath(root)]
    begins = _beginning(root) if every else ""
    return [ident for ident, said in every if (said.get("machine"), said.get("log")) == (pids.machine_id(), begins)]


def _beginning(root: str) -> str:
    """Return the digest of the first line of the log, empty without one: that tells two projects in one place."""
    path = (*follow.rotated(root), os.path.join(root, LOG_NAME))[0]
    first = next((line for _, line in follow.lines(path)), b"")
    return files.digest(first)[:32] if first else ""


def _body(root: str, what: Remembered, manifest: str) -> bytes:
    said = {
        "v": VERSION,
        "root": os.path.realpath(root),
        "machine": pids.machine_id(),
        "log": _beginning(root),
        "definitions": what.definitions,
        "parts": what.parts,
        "boxes": {str(number): shown for number, shown in what.boxes.items()},
        "log_bytes": what.log_bytes,
        "files": manifest,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _write_outside(path: str, body: bytes) -> str:
    """Write the copy; return what the system refused, empty when nothing."""
    try:
        files.private_folder(os.path.dirname(path))
        files.replace(path, body)
    except (MachineError, OSError) as error:
        return str(error)
    return ""


def _outside(folder: str, ident: str) -> bytes:
    """Return the copy outside: where the environment says, else where it was written."""
    place = os.fsdecode(_read(os.path.join(folder, PLACE)))
    return _read(os.path.join(state_home.folder(), f"{ident}.json")) or (_read(place) if os.path.isabs(place) else b"")


def _all_outside() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in state_home.names():
        ident, dot, kind = name.rpartition(".")
        if dot and kind == "json":
            yield ident, reading.record(os.path.join(state_home.folder(), name))


def _read(path: str) -> bytes:
    try:
        return files.read(path)
    except OSError:
        return b""


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
