"""The files that judge an agent: a snapshot before its work, a comparison and repair after it."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from executor.guard import path_patterns, snapshot, startup_files, tree_scan
from executor.guard.compare import Comparison
from executor.guard.file_state import (
    CHANGED,
    FILE,
    FOLDER,
    LOST,
    MODE,
    REMOVED,
    REPLACED,
    Change,
    ancestors,
    is_unchanged,
    state_of,
)
from executor.guard.restore import OWNER_ALL, TAKEN, Restorer
from executor.system import files, locks, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from executor.guard.snapshot import Memory
    from executor.guard.startup_files import Startup
    from executor.plan.step_ids import StepId

FOUND = "found.json"
PENDING = "guarding"  # in .do-tasks: the folder of a snapshot that was not compared yet
PASSES = 4  # the first opens a closed folder, the next sees its files
MOST_SHOWN = 1000
NOTHING: Mapping[StepId, str] = {}
# Files that do-tasks reads while an agent works or after it: in .do-tasks, and in the folder of its run.
SHARED = ("state.json", "spec.lock", PENDING)
OF_A_RUN = ("stdout.log", "stderr.log", "result.json", "exit.json", "started.json", "agent.json", "trajectory.json")


def take_snapshot(
    root: str, folder: str, globs: tuple[str, ...], wanted: Startup = snapshot.NO_STARTUP, plan: str = snapshot.SPEC
) -> Memory:
    """Write a snapshot of the files of the globs and of `wanted` to a folder of the run; `plan` has the boxes.

    Return the small part of it that this process keeps.
    """
    memory = snapshot.write(root, folder, globs, wanted, plan)
    mark_pending(root, folder)
    return memory


def mark_pending(root: str, folder: str) -> None:
    """Record that the agent of this folder is at work, until `undo`."""
    files.replace(_pending(root), os.path.relpath(folder, root).encode("utf-8", "surrogateescape"))


def has_snapshot(folder: str) -> bool:
    """Return True when the folder has a snapshot."""
    return os.path.lexists(os.path.join(folder, snapshot.MANIFEST))


def unfinished_folder(root: str) -> str:
    """Return the folder of a snapshot that an executor did not compare before it died; empty for none."""
    folder = files.read(_pending(root)).decode("utf-8", "surrogateescape")
    path = os.path.join(root, folder)
    is_run_folder = folder.startswith(f"{files.STATE_FOLDER}/jobs/") and ".." not in folder.split("/")
    return path if is_run_folder and has_snapshot(path) else ""


def existing_paths(root: str, globs: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that a sandbox can make read-only: a folder where a glob covers all of it.

    At most 1,000 of those that wild globs find.
    """
    plain: list[str] = []
    wild: list[str] = []
    for glob in globs:
        start = "/".join(path_patterns.fixed_start(glob))
        whole = start and path_patterns.accepts(glob, path_patterns.advance(glob, start.split("/")))
        (plain if whole else wild).append(start if whole else glob)
    there = [path for path in plain if os.path.lexists(os.path.join(root, path))]
    found = [path for path, one in tree_scan.scan(root, wild).files.items() if one.kind in (FILE, FOLDER)]
    return tuple(dict.fromkeys((*there, *sorted(found)[:MOST_SHOWN])))


def undo(
    root: str, folder: str, *, explained: Mapping[StepId, str] = NOTHING, memory: Memory | None = None
) -> tuple[Change, ...]:
    """Undo all changes since the snapshot and return them; call it when no process of the agent lives.

    `explained` are the states that boxes of SPEC.md may have, by step, as `path_patterns.allowed_spec` takes them. With
    the `memory` that `remember` returned, the snapshot is repaired first. A second call finds nothing; all changes
    that were ever found stay in `offences`.
    """
    done = {one.path: one for one in repair_snapshot(root, folder, memory)} if memory else {}
    record_changes(folder, done.values())
    known = {(one.path, one.kind) for one in found_changes(folder) if one.why}
    for _ in range(PASSES):
        found = [one for one in changes(root, folder, explained=explained) if (one.path, one.kind) not in known]
        if not found:
            break
        record_changes(folder, found)
        after = restore_changes(root, folder, found, explained=explained)
        known |= {(one.path, one.kind) for one in after if one.why}
        done |= {one.path: one for one in after if one.why or one.path not in done}
        record_changes(folder, done.values())
    record_changes(folder, [one.replace(restored=True) for one in found_changes(folder) if not one.why])
    done |= {one.path: one for one in delete_caches(root, folder)}
    with suppress(FileNotFoundError):
        os.unlink(_pending(root))
    return tuple(done[path] for path in sorted(done))


def changes(root: str, folder: str, *, explained: Mapping[StepId, str] = NOTHING) -> tuple[Change, ...]:
    """Return the changes since the snapshot, none without one; drop a change of plan files that was only prepared."""
    _drop_plan_change(root)
    try:
        kept = snapshot.read(folder)
    except snapshot.BrokenSnapshotError as error:
        path = os.path.relpath(os.path.join(folder, snapshot.MANIFEST), root)
        return (Change(path, LOST, why=f"what was remembered cannot be read ({error}): look at all by hand"),)
    if kept is None:
        return ()
    return Comparison(root, folder, kept, explained).changes()


def restore_changes(
    root: str, folder: str, found: Collection[Change], *, explained: Mapping[StepId, str] = NOTHING
) -> tuple[Change, ...]:
    """Undo these changes; return each with `restored` or `why` not."""
    kept = snapshot.read(folder) if any(one.kind != LOST for one in found) else None
    return Restorer(root, folder, kept, explained).restore(found) if kept else tuple(found)


def delete_caches(root: str, folder: str) -> tuple[Change, ...]:
    """Delete the caches that were written since, as test runs do; return those that could not be deleted."""
    try:
        kept = snapshot.read(folder)
    except snapshot.BrokenSnapshotError:
        return ()
    if kept is None:
        return ()
    now = {**tree_scan.scan(root, kept.globs, kept).caches, **startup_files.compiled_forms(root, kept.files)}
    stale = [path for path, one in now.items() if not is_unchanged(one, kept.caches.get(path))]
    return Restorer(root, folder, kept, NOTHING).delete([path for path in stale if path not in kept.files])


def repair_snapshot(root: str, folder: str, memory: Memory) -> tuple[Change, ...]:
    """Repair the snapshot from memory; return the files of it that were broken."""
    if os.path.islink(folder):
        os.unlink(folder)
    for name in ("", snapshot.MANIFEST, snapshot.CONTENTS, FOUND, TAKEN):
        _move_away(os.path.join(folder, name), wanted=FOLDER if name in ("", TAKEN) else FILE)
    return tuple(
        Change(os.path.relpath(path, root), CHANGED, restored=True) for path in snapshot.repair(folder, memory)
    )


def repair_folders(root: str, folder: str) -> tuple[Change, ...]:
    """Make the folders down to this one of a run real folders, and the records in them files; return the changes.

    Anything in the way is kept beside its place under another name.
    """
    run = os.path.dirname(folder)
    names = [*ancestors(os.path.relpath(folder, root)), os.path.relpath(folder, root)]
    found = [one for one in (_repair_folder(root, name) for name in names) if one][:1]  # those below went with it
    shared = [os.path.join(root, files.STATE_FOLDER, name) for name in SHARED]
    for path in (*shared, *(os.path.join(run, name) for name in OF_A_RUN)):
        if (now := state_of(path)) and now.kind != FILE:
            _move_away(path, wanted=FILE)
            found.append(Change(os.path.relpath(path, root), REPLACED, restored=True))
    return tuple(found)


def _drop_plan_change(root: str) -> None:
    """Remove the record of a change of plan files that no process is writing: an agent's own would be carried out."""
    from executor.store import plan_change

    lock = os.path.join(root, files.STATE_FOLDER, "spec.lock")
    record = plan_change.record_path(lock)
    if os.path.lexists(record):
        with locks.ShortLock(lock):
            _move_away(record, wanted=FILE)
            plan_change.forget(record)


def _repair_folder(root: str, name: str) -> Change | None:
    path = os.path.join(root, name)
    now = state_of(path)
    if now and now.kind == FOLDER and now.mode & OWNER_ALL == OWNER_ALL:
        return None
    if now and now.kind == FOLDER:
        os.chmod(path, now.mode | OWNER_ALL)
        return Change(name, MODE, restored=True) if name else None  # the root is restored with its files
    _move_away(path, wanted=FOLDER)
    os.mkdir(path, OWNER_ALL)
    return Change(name, REPLACED if now else REMOVED, restored=True)


def found_changes(folder: str) -> tuple[Change, ...]:
    """Return all changes that were ever found, also by an executor that died since."""
    try:
        body = safe_open.parse_json(files.read(os.path.join(folder, FOUND)) or b"[]")
        return tuple(Change(*one) for one in body)
    except (OSError, ValueError, TypeError):
        return (Change(FOUND, LOST, why="what was found changed cannot be read"),)


def record_changes(folder: str, found: Iterable[Change]) -> None:
    """Record changes for `offences`."""
    before = {one.path: one for one in found_changes(folder)}
    after = {**before, **{one.path: one for one in found}}
    if after != before:
        body = [list(one.asdict().values()) for one in after.values()]
        files.replace(os.path.join(files.private_folder(folder), FOUND), json.dumps(body).encode())


def _move_away(path: str, *, wanted: str) -> None:
    """Rename a path that is not of the wanted kind."""
    now = state_of(path)
    if now and now.kind != wanted:
        os.rename(path, f"{path}.{os.urandom(4).hex()}")


def _pending(root: str) -> str:
    return os.path.join(files.private_folder(os.path.join(root, files.STATE_FOLDER)), PENDING)
