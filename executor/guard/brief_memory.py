"""What judges the steps whose brief is out, as it was at the brief: kept in the project, and beside it outside."""

from __future__ import annotations

import json
import os
import time

from executor.errors import MachineError
from executor.guard import snapshot
from executor.store import log_files, log_reader, log_witness
from executor.store.log_witness import PLACE
from executor.system import files, procfs, safe_open, state_home
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.guard.startup_files import Startup

VERSION = 1
BODY = "judges.json"
WRITING_S = 0.002
STATX_BTIME = 0x800
# Events whose lines may not be taken away while a brief is out: what they say is counted.
KEPT_EVENTS = frozenset(("BriefGiven", "StepFailed", "JudgesAccepted", "StepReopened"))
INSIDE = "inside"  # of a reference: no place outside could be written


class Remembered(Record):
    """What was remembered. `parts` are digests by name, `boxes` what each step's line showed, by number.

    `definitions` is the path of the plan, `log_bytes` how long the log was, rotated pieces included.
    """

    definitions: str
    parts: Mapping[str, str]
    boxes: Mapping[int, tuple[str, ...]]
    log_bytes: int = 0


class Kept(Record):
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
    outside = os.path.join(state_home.of_project(root), f"{ident}.json")
    trouble = _write_outside(outside, b"{}")
    folder = files.private_folder(os.path.join(root, state_home.BRIEFS, ident))
    if not trouble:
        files.replace(os.path.join(folder, PLACE), os.fsencode(outside))
    log_witness.begin(root, ident)
    time.sleep(WRITING_S)  # a supervisor that was about to write, before lines are noted, has written
    snapshot.write(root, folder, globs, startup)
    body = _body(root, what, files.digest(files.read(os.path.join(folder, snapshot.MANIFEST))))
    trouble = trouble or _write_outside(outside, body)
    files.replace(os.path.join(folder, BODY), body)
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
    said = safe_open.parsed(inside)
    if manifest != said["files"]:
        return Kept(reference, folder, why="what was remembered of the protected files is not as it was written")
    boxes = {int(number): tuple(map(str, shown)) for number, shown in said["boxes"].items()}
    return Kept(reference, folder, Remembered(said["definitions"], said["parts"], boxes, said["log_bytes"]))


def kept(root: str) -> list[str]:
    """Return the idents that are remembered for this project, here or outside."""
    return [*dict.fromkeys((*log_witness.idents(root), *_outside_of(root)))]


def went_out(root: str, ident: str) -> bool:
    """Return False for what was remembered when an executor died before the brief was given."""
    paths = (state_home.path_of(f"{ident}.json.{log_witness.LINES}"), log_witness.place_of(root, ident))
    there = [path for path in paths if os.path.exists(path)]
    return not there or any("BriefGiven" in log_witness.noted(path).values() for path in there)


def log_changes(root: str, ident: str) -> list[str]:
    """Return what of the log is not as it was at a brief, or was written since by somebody else, in words."""
    folder = os.path.join(root, state_home.BRIEFS, ident)
    said = _parsed(_outside(folder, ident) or _read(os.path.join(folder, BODY)))
    size, digest = said.get("log_bytes"), said.get("log_digest")
    if not isinstance(size, int) or not isinstance(digest, str):
        return ["what was remembered of it is gone"]
    if log_files.digest_before(root, size) != digest:
        return ["lines from before the brief changed"]
    noted = log_witness.noted(state_home.path_of(f"{ident}.json.{log_witness.LINES}"))
    return [*_told_lines(root, size, noted or log_witness.noted(log_witness.place_of(root, ident)))]


def _told_lines(root: str, size: int, noted: Mapping[str, str]) -> Iterator[str]:
    missing = {digest for digest, event in noted.items() if event in KEPT_EVENTS}
    for line in log_files.lines_behind(root, size):
        digest = log_witness.digest_of(line)
        missing.discard(digest)
        said = log_reader.parse(line) if digest not in noted else None
        if said is not None:  # what is no object says nothing to anybody
            yield f"a line that do-tasks did not write ({said.get('event')} of step {said.get('step')})"
    yield from (f"a line that do-tasks wrote is gone ({noted[digest]})" for digest in sorted(missing))


def is_kept(root: str) -> bool:
    """Return True when something may be remembered for this project, here or outside."""
    return os.path.lexists(os.path.join(root, state_home.BRIEFS)) or bool(_outside_of(root))


def forget(root: str, *idents: str) -> None:
    """Forget what is remembered for this project, and outside what these idents name."""
    from shutil import rmtree

    for ident in {*idents, *kept(root)}:
        for kind in ("json", "givers", f"json.{log_witness.LINES}"):
            _unlink(state_home.path_of(f"{ident}.{kind}"))
    rmtree(os.path.join(root, state_home.BRIEFS), ignore_errors=True)


def add_givers(reference: str, givers: Collection[str]) -> None:
    """Remember outside to which processes a brief was given; where that cannot be written, the log alone has them."""
    path = _givers_of(reference)
    known = _read(path)
    more = "".join(f"{one}\n" for one in givers if one.encode() not in known.split(b"\n"))
    if more and not reference.startswith(f"{INSIDE}:"):
        _write_outside(path, known + more.encode())


def givers_of(reference: str) -> tuple[str, ...]:
    """Return the processes that `add_givers` was told of."""
    path = _givers_of(reference)
    return tuple(filter(None, _read(path).decode("utf-8", "replace").split("\n")))


def ident_of(reference: str) -> str:
    """Return the part of a reference that names files."""
    return reference.removeprefix(f"{INSIDE}:").partition(":")[0]


def _outside_of(root: str) -> list[str]:
    """Return the idents outside that were written for this folder: this very one, not another made in its place."""
    every = [(ident, said) for ident, said in _all_outside(root) if said.get("root") == os.path.realpath(root)]
    here = (procfs.machine_id(), whereabouts_of(root)) if every else ("", "")
    return [ident for ident, said in every if (said.get("machine"), said.get("place")) == here]


def whereabouts_of(root: str) -> str:
    """Return what tells a folder from one made in its place later: its inode, and the time of its birth if known."""
    import ctypes

    told = ctypes.create_string_buffer(256)
    statx = getattr(ctypes.CDLL(None), "statx", None)
    born = b""
    if statx and statx(-100, os.fsencode(root), 0, STATX_BTIME, told) == 0:
        born = told.raw[80:96]  # struct statx: stx_btime
    return f"{os.stat(root).st_ino}:{born.hex()}"


def _body(root: str, what: Remembered, manifest: str) -> bytes:
    size = log_files.size_of(root)
    said = {
        "v": VERSION,
        "root": os.path.realpath(root),
        "machine": procfs.machine_id(),
        "place": whereabouts_of(root),
        "definitions": what.definitions,
        "parts": what.parts,
        "boxes": {str(number): shown for number, shown in what.boxes.items()},
        "log_bytes": size,
        "log_digest": log_files.digest_before(root, size),
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
    return _read(state_home.path_of(f"{ident}.json")) or (_read(place) if os.path.isabs(place) else b"")


def _all_outside(root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in state_home.names(root):
        ident, dot, kind = name.rpartition(".")
        if dot and kind == "json":
            yield ident, safe_open.record(os.path.join(state_home.of_project(root), name))


def _givers_of(reference: str) -> str:
    """Return the path of the list of processes that a brief was given to: beside the copy outside."""
    ident = ident_of(reference)
    return f"{state_home.path_of(f'{ident}.json').removesuffix('.json')}.givers"


def _parsed(data: bytes) -> Mapping[str, Any]:
    try:
        said = safe_open.parsed(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


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
