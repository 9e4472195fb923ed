"""What judges an agent is remembered before its work, so that it can be put back after it."""

from __future__ import annotations

import json
import os

from executor.guard import path_patterns, scan, snapshot, startup_files
from executor.guard.compare import Compared, is_same
from executor.guard.restore import CHANGED, LOST, MODE, OWNER_ALL, REMOVED, REPLACED, TAKEN, Change, Restorer
from executor.guard.scan import FILE, FOLDER, RECORDS, ancestors
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from executor.guard.snapshot import Memory
    from executor.guard.startup_files import Startup

FOUND = "found.json"
PENDING = "guarding"  # in .do-tasks: the folder of what was remembered and not looked at since
PASSES = 4  # a folder that was closed is opened by the first, what is in it is seen by the next
MOST_SHOWN = 1000
NOTHING: Mapping[int, str] = {}
# Files that we read while an agent works or after it: in .do-tasks, and in the folder of its run.
SHARED = ("state.json", "spec.lock", PENDING)
OF_A_RUN = ("stdout.log", "stderr.log", "result.json", "exit.json", "started.json", "agent.json", "trajectory.json")


def remember(root: str, folder: str, globs: tuple[str, ...], wanted: Startup = snapshot.NO_STARTUP) -> Memory:
    """Keep all that judges in a folder of the run: what globs guard, and what judging programs start with.

    The answer knows the small of it while we live.
    """
    memory = snapshot.write(root, folder, globs, wanted)
    pend(root, folder)
    return memory


def pend(root: str, folder: str) -> None:
    """Leave word that the agent of this folder works: `undo` takes it back."""
    files.replace(_pending(root), os.path.relpath(folder, root).encode("utf-8", "surrogateescape"))


def remembered(folder: str) -> bool:
    """Tell whether something was kept there."""
    return os.path.lexists(os.path.join(folder, snapshot.MANIFEST))


def unfinished(root: str) -> str:
    """Return the folder of what was remembered when an executor died before it looked; empty when there is none."""
    folder = files.read(_pending(root)).decode("utf-8", "surrogateescape")
    path = os.path.join(root, folder)
    is_ours = folder.startswith(f"{RECORDS}/jobs/") and ".." not in folder.split("/")
    return path if is_ours and remembered(path) else ""


def present(root: str, globs: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of the project that a sandbox can make read-only: whole folders where a glob guards one.

    At most 1,000 of those that a wild glob finds.
    """
    plain: list[str] = []
    wild: list[str] = []
    for glob in globs:
        start = "/".join(path_patterns.base(glob))
        whole = start and path_patterns.accepts(glob, path_patterns.reached(glob, start.split("/")))
        (plain if whole else wild).append(start if whole else glob)
    there = [path for path in plain if os.path.lexists(os.path.join(root, path))]
    found = [path for path, one in scan.survey(root, wild).looks.items() if one.kind in (FILE, FOLDER)]
    return tuple(dict.fromkeys((*there, *sorted(found)[:MOST_SHOWN])))


def undo(
    root: str, folder: str, *, explained: Mapping[int, str] = NOTHING, memory: Memory | None = None
) -> tuple[Change, ...]:
    """Put back all that is not as it was remembered, and return it; call it when nothing of the agent lives.

    `explained` are states that boxes of SPEC.md may have come to, by step, as `guarded.allowed_spec` takes them. With
    the `memory` that `remember` gave, what was kept is whole again first. A second call finds nothing; what any call
    found stays in `offences`.
    """
    done = {one.path: one for one in heal(root, folder, memory)} if memory else {}
    note(folder, done.values())
    known = {(one.path, one.kind) for one in offences(folder) if one.why}
    for _ in range(PASSES):
        found = [one for one in changes(root, folder, explained=explained) if (one.path, one.kind) not in known]
        if not found:
            break
        note(folder, found)
        after = put_back(root, folder, found, explained=explained)
        known |= {(one.path, one.kind) for one in after if one.why}
        done |= {one.path: one for one in after if one.why or one.path not in done}
        note(folder, done.values())
    note(folder, [one.replace(restored=True) for one in offences(folder) if not one.why])
    done |= {one.path: one for one in sweep(root, folder)}
    forget(_pending(root))
    return tuple(done[path] for path in sorted(done))


def changes(root: str, folder: str, *, explained: Mapping[int, str] = NOTHING) -> tuple[Change, ...]:
    """Return what is not as it was remembered: nothing when nothing was."""
    try:
        kept = snapshot.read(folder)
    except snapshot.BrokenError as error:
        path = os.path.relpath(os.path.join(folder, snapshot.MANIFEST), root)
        return (Change(path, LOST, why=f"what was remembered cannot be read ({error}): look at all by hand"),)
    if kept is None:
        return ()
    compared = Compared(root, folder, kept, explained)
    return (*compared.entries(), *compared.added())


def put_back(
    root: str, folder: str, found: Collection[Change], *, explained: Mapping[int, str] = NOTHING
) -> tuple[Change, ...]:
    """Put these changes back, what was added aside; return each with whether it is as it was."""
    kept = snapshot.read(folder) if any(one.kind != LOST for one in found) else None
    return Restorer(root, folder, kept, explained).mend(found) if kept else tuple(found)


def sweep(root: str, folder: str) -> tuple[Change, ...]:
    """Delete the caches that were made or changed since, as running the tests does; return those that stayed."""
    try:
        kept = snapshot.read(folder)
    except snapshot.BrokenError:
        return ()
    if kept is None:
        return ()
    own = {path: one.look for path, one in kept.entries.items()}
    now = {**scan.survey(root, kept.globs, kept.survey).caches, **startup_files.compiled(root, own)}
    before = kept.survey.caches
    stale = [path for path, one in now.items() if not is_same(one, before.get(path))]
    return Restorer(root, folder, kept, NOTHING).sweep([path for path in stale if path not in kept.entries])


def heal(root: str, folder: str, memory: Memory) -> tuple[Change, ...]:
    """Make what was kept whole again from what we know ourselves; return what was not."""
    if os.path.islink(folder):
        os.unlink(folder)
    for name in ("", snapshot.MANIFEST, snapshot.CONTENTS, FOUND, TAKEN):
        _clear(os.path.join(folder, name), wanted=FOLDER if name in ("", TAKEN) else FILE)
    return tuple(Change(os.path.relpath(path, root), CHANGED, restored=True) for path in snapshot.heal(folder, memory))


def stand_up(root: str, folder: str) -> tuple[Change, ...]:
    """Make our folders down to this one of a run real ones, with nothing but files where we read; return what was not.

    What stands in the way is kept beside its place, under another name.
    """
    run = os.path.dirname(folder)
    names = [*ancestors(os.path.relpath(folder, root)), os.path.relpath(folder, root)]
    found = [one for one in (_stand_up(root, name) for name in names) if one][:1]  # what was below went with it
    shared = [os.path.join(root, RECORDS, name) for name in SHARED]
    for path in (*shared, *(os.path.join(run, name) for name in OF_A_RUN)):
        if (now := scan.look(path)) and now.kind != FILE:
            _clear(path, wanted=FILE)
            found.append(Change(os.path.relpath(path, root), REPLACED, restored=True))
    return tuple(found)


def _stand_up(root: str, name: str) -> Change | None:
    path = os.path.join(root, name)
    now = scan.look(path)
    if now and now.kind == FOLDER and now.mode & OWNER_ALL == OWNER_ALL:
        return None
    if now and now.kind == FOLDER:
        os.chmod(path, now.mode | OWNER_ALL)
        return Change(name, MODE, restored=True) if name else None  # the project's own is seen to with what is in it
    _clear(path, wanted=FOLDER)
    os.mkdir(path, OWNER_ALL)
    return Change(name, REPLACED if now else REMOVED, restored=True)


def offences(folder: str) -> tuple[Change, ...]:
    """Return all that was ever found changed, also by an executor that died before it could say so."""
    try:
        body = safe_open.parsed(files.read(os.path.join(folder, FOUND)) or b"[]")
        return tuple(Change(*one) for one in body)
    except (OSError, ValueError, TypeError):
        return (Change(FOUND, LOST, why="what was found changed cannot be read"),)


def note(folder: str, found: Iterable[Change]) -> None:
    """Leave word of what was found, for `offences`."""
    before = {one.path: one for one in offences(folder)}
    after = {**before, **{one.path: one for one in found}}
    if after != before:
        body = [list(one.asdict().values()) for one in after.values()]
        files.replace(os.path.join(files.private_folder(folder), FOUND), json.dumps(body).encode())


def forget(path: str) -> None:
    """Delete a file of ours that may be gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _clear(path: str, *, wanted: str) -> None:
    """Take away what stands where a file or folder of ours does."""
    now = scan.look(path)
    if now and now.kind != wanted:
        os.rename(path, f"{path}.{os.urandom(4).hex()}")


def _pending(root: str) -> str:
    return os.path.join(files.private_folder(os.path.join(root, RECORDS)), PENDING)
