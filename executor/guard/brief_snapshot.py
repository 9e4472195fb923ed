"""The judges of briefed steps at the time of the brief: a copy in the project, and one outside."""

from __future__ import annotations

import json
import os
import time

from executor.errors import MachineError
from executor.guard import snapshot
from executor.plan.step_ids import key_of, of_key
from executor.store import log_reader, log_witness
from executor.store.log_witness import PLACE
from executor.system import files, procfs, safe_open, user_state
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.guard.startup_files import Startup
    from executor.plan.step_ids import StepId

VERSION = 1
BODY = "judges.json"
WRITING_S = 0.002
STATX_BTIME = 0x800
# Events whose lines must stay in the log while a brief is out: they are counted.
KEPT_EVENTS = frozenset(("BriefGiven", "StepFailed", "JudgesAccepted", "StepReopened"))
INSIDE = "inside"  # marks a reference without a copy outside


class BriefState(Record):
    """The state at a brief: `parts` are digests by name, `boxes` the marks of each step's line, by number.

    `definitions` is the path of the plan, `log_bytes` how long the log was, rotated pieces included.
    """

    definitions: str
    parts: Mapping[str, str]
    boxes: Mapping[StepId, tuple[str, ...]]
    log_bytes: int = 0


class StoredBrief(Record):
    """A state that was read: `what` is None when it cannot be trusted, `why` the reason."""

    reference: str
    folder: str
    what: BriefState | None = None
    why: str = ""


def write(root: str, what: BriefState, globs: tuple[str, ...], startup: Startup) -> tuple[str, str]:
    """Write this state, with a snapshot of the files of the globs and of `startup`.

    Return the reference for the log, and the system's error when nothing could be written outside, else empty.
    """
    ident = os.urandom(6).hex()
    outside = os.path.join(user_state.project_folder(root), f"{ident}.json")
    trouble = _write_outside(outside, b"{}")
    folder = files.private_folder(os.path.join(root, user_state.BRIEFS, ident))
    if not trouble:
        files.replace(os.path.join(folder, PLACE), os.fsencode(outside))
    log_witness.begin(root, ident)
    time.sleep(WRITING_S)  # a supervisor that has not seen the witness yet ends its write
    snapshot.write(root, folder, globs, startup)
    body = _body(root, what, files.digest(files.read(os.path.join(folder, snapshot.MANIFEST))))
    trouble = trouble or _write_outside(outside, body)
    files.replace(os.path.join(folder, BODY), body)
    where = f"{INSIDE}:" if trouble else ""
    return f"{where}{ident}:{files.digest(body)[:32]}", trouble


def read(root: str, reference: str) -> StoredBrief:
    """Return the state that a reference of the log names, after a comparison of both copies."""
    ident, digest = ident_of(reference), reference.rpartition(":")[2]
    if not (ident.isalnum() and ":" in reference):
        return StoredBrief(reference, "", why="its line in the log does not say what was remembered")
    folder = os.path.join(root, user_state.BRIEFS, ident)
    inside = _read(os.path.join(folder, BODY))
    outside = inside if reference.startswith(f"{INSIDE}:") else _outside(folder, ident)
    for name, body in (("in .do-tasks/briefs", inside), (f"in {user_state.folder()}", outside)):
        if not body:
            return StoredBrief(reference, folder, why=f"what was remembered {name} is gone")
        if files.digest(body)[:32] != digest:
            return StoredBrief(reference, folder, why=f"what was remembered {name} is not as it was written")
    manifest = files.digest(_read(os.path.join(folder, snapshot.MANIFEST)))
    fields = safe_open.parse_json(inside)
    if manifest != fields["files"]:
        return StoredBrief(reference, folder, why="what was remembered of the protected files is not as it was written")
    boxes = {of_key(key): tuple(map(str, shown)) for key, shown in fields["boxes"].items()}
    return StoredBrief(
        reference, folder, BriefState(fields["definitions"], fields["parts"], boxes, fields["log_bytes"])
    )


def idents(root: str) -> list[str]:
    """Return the idents of the states of this project, in it or outside."""
    return [*dict.fromkeys((*log_witness.idents(root), *_outside_of(root)))]


def was_given(root: str, ident: str) -> bool:
    """Return False for a state of an executor that died before the brief was given."""
    paths = (user_state.path_of(f"{ident}.json.{log_witness.LINES}"), log_witness.place_of(root, ident))
    there = [path for path in paths if os.path.exists(path)]
    return not there or any("BriefGiven" in log_witness.noted(path).values() for path in there)


def log_changes(root: str, ident: str) -> list[str]:
    """Return the changes of the log since a brief that do-tasks did not write, in words."""
    folder = os.path.join(root, user_state.BRIEFS, ident)
    fields = _parsed(_outside(folder, ident) or _read(os.path.join(folder, BODY)))
    size, digest = fields.get("log_bytes"), fields.get("log_digest")
    if not isinstance(size, int) or not isinstance(digest, str):
        return ["what was remembered of it is gone"]
    if log_witness.digest_before(root, size) != digest:
        return ["lines from before the brief changed"]
    noted = log_witness.noted(user_state.path_of(f"{ident}.json.{log_witness.LINES}"))
    return [*_line_changes(root, size, noted or log_witness.noted(log_witness.place_of(root, ident)))]


def _line_changes(root: str, size: int, noted: Mapping[str, str]) -> Iterator[str]:
    missing = {digest for digest, event in noted.items() if event in KEPT_EVENTS}
    for line in log_witness.lines_behind(root, size):
        digest = log_witness.digest_of(line)
        missing.discard(digest)
        event = log_reader.parse(line) if digest not in noted else None
        if event is not None:  # a line that is no object is no event
            yield f"a line that do-tasks did not write ({event.get('event')} of step {event.get('step')})"
    yield from (f"a line that do-tasks wrote is gone ({noted[digest]})" for digest in sorted(missing))


def is_kept(root: str) -> bool:
    """Return True when this project may have a state, in it or outside."""
    return os.path.lexists(os.path.join(root, user_state.BRIEFS)) or bool(_outside_of(root))


def forget(root: str, *names: str) -> None:
    """Delete the states of this project, and those outside with these names."""
    from shutil import rmtree

    for ident in {*names, *idents(root)}:
        for kind in ("json", "givers", f"json.{log_witness.LINES}"):
            files.remove(user_state.path_of(f"{ident}.{kind}"))
    rmtree(os.path.join(root, user_state.BRIEFS), ignore_errors=True)


def add_recipients(reference: str, givers: Collection[str]) -> None:
    """Write outside the project which processes received a brief; when that fails, only the log has them."""
    path = _recipients_path(reference)
    known = _read(path)
    more = "".join(f"{one}\n" for one in givers if one.encode() not in known.split(b"\n"))
    if more and not reference.startswith(f"{INSIDE}:"):
        _write_outside(path, known + more.encode())


def recipients_of(reference: str) -> tuple[str, ...]:
    """Return the processes that `add_recipients` wrote."""
    path = _recipients_path(reference)
    return tuple(filter(None, _read(path).decode("utf-8", "replace").split("\n")))


def ident_of(reference: str) -> str:
    """Return the part of a reference that names files."""
    return reference.removeprefix(f"{INSIDE}:").partition(":")[0]


def _outside_of(root: str) -> list[str]:
    """Return the idents outside that belong to this folder, and not to another one made in its place."""
    every = [(ident, one) for ident, one in _all_outside(root) if one.get("root") == os.path.realpath(root)]
    here = (procfs.machine_id(), folder_identity(root)) if every else ("", "")
    return [ident for ident, one in every if (one.get("machine"), one.get("place")) == here]


def folder_identity(root: str) -> str:
    """Return the inode of a folder and, if known, its time of birth: another one in its place differs."""
    import ctypes

    result = ctypes.create_string_buffer(256)
    statx = getattr(ctypes.CDLL(None), "statx", None)
    born = b""
    if statx and statx(-100, os.fsencode(root), 0, STATX_BTIME, result) == 0:
        born = result.raw[80:96]  # struct statx: stx_btime
    return f"{os.stat(root).st_ino}:{born.hex()}"


def _body(root: str, what: BriefState, manifest: str) -> bytes:
    size = log_witness.size_of(root)
    fields = {
        "v": VERSION,
        "root": os.path.realpath(root),
        "machine": procfs.machine_id(),
        "place": folder_identity(root),
        "definitions": what.definitions,
        "parts": what.parts,
        "boxes": {key_of(number): shown for number, shown in what.boxes.items()},
        "log_bytes": size,
        "log_digest": log_witness.digest_before(root, size),
        "files": manifest,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def _write_outside(path: str, body: bytes) -> str:
    """Write the copy; return the error of the system, empty for none."""
    try:
        files.private_folder(os.path.dirname(path))
        files.replace(path, body)
    except (MachineError, OSError) as error:
        return str(error)
    return ""


def _outside(folder: str, ident: str) -> bytes:
    """Return the copy outside, from the place of the environment, else from where it was written."""
    place = os.fsdecode(_read(os.path.join(folder, PLACE)))
    return _read(user_state.path_of(f"{ident}.json")) or (_read(place) if os.path.isabs(place) else b"")


def _all_outside(root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in user_state.project_files(root):
        ident, dot, kind = name.rpartition(".")
        if dot and kind == "json":
            yield ident, safe_open.read_record(os.path.join(user_state.project_folder(root), name))


def _recipients_path(reference: str) -> str:
    """Return the path of the list of processes that received a brief: beside the copy outside."""
    ident = ident_of(reference)
    return f"{user_state.path_of(f'{ident}.json').removesuffix('.json')}.givers"


def _parsed(data: bytes) -> Mapping[str, Any]:
    try:
        body = safe_open.parse_json(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _read(path: str) -> bytes:
    try:
        return files.read(path)
    except OSError:
        return b""
