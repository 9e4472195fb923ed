"""An agent's surroundings are held before its work, and looked over after it."""

from __future__ import annotations

import json
import os
import sys
import time

from executor.guard import home_view, judge_places, locked, start_files
from executor.guard.mounts import Sight
from executor.plan import env_files
from executor.plan.limits import sandbox_of
from executor.store import project
from executor.store import runs as jobs
from executor.store.events import WarningRaised
from executor.system import files, own_program, safe_open, setuid_bits, sockets
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.guard.locked import Locked
    from executor.guard.mounts import Containment
    from executor.guard.start_files import Survey
    from executor.plan.limits import Sandbox
    from executor.store.context import RunContext
    from executor.store.task import Task

RECORD = "surroundings.json"
ASIDE = "aside"
MOST_NAMED = 5
FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, by which files are dated


class Surroundings(Record):
    """What a contained command sees of the project and around it: `keep` of homes, `read_only` of the project.

    `since_ns` is when it was looked at, by the clock of files, where not all of the project was seen; else 0.
    """

    locks: Locked
    keep: tuple[str, ...]
    sight: Sight
    since_ns: int = 0

    @property
    def read_only(self) -> tuple[str, ...]:
        """All that is locked, placeholders too."""
        return (*self.locks.read_only, *self.locks.placeholders)


def surroundings(context: RunContext, task: Task, *, private: bool = True) -> Surroundings:
    """Look over the project as it is now."""
    wanted, seen = wanted_of(context, task), start_files.survey(context.root)
    environ = {**os.environ, **context.environ}
    keep = locked.shown(context.root, environ, context.python, environment=wanted.environment)
    locks = locked.locked(context.root, environ, context.python, wanted, seen)
    seen_so = sight(context.root, wanted, seen, private=private)
    secret = env_files.hidden(context.plan, context.root)
    since_ns = now_ns() if seen.is_cut else 0
    return Surroundings(
        locks, keep, seen_so.replace(hidden=(*seen_so.hidden, *secret, *_hidden_before(context, task))), since_ns
    )


def wanted_of(context: RunContext, task: Task) -> Sandbox:
    """Return what the plan says of the sandbox; the step may make the start files that it names as its work."""
    wanted = sandbox_of(task.step.main, context.plan.settings)
    made = (start_files.start_of(path) for path in judge_places.made_by(task.step))
    return wanted.replace(write=(*wanted.write, *filter(None, made)))


def sight(root: str, wanted: Sandbox, seen: Survey, *, private: bool) -> Sight:
    """Return what is seen beyond the allow list, and what is not seen of the project."""
    if not private:
        return Sight(private=False)
    read = locked.readable(root, wanted.read)
    inside = (os.path.join(root, path) for path in seen.sockets)
    found = tuple(dict.fromkeys((*inside, *sockets.in_places(), *sockets.listening())))
    return Sight(read=read, hidden=locked.hidden(root, seen, read), sockets=found)


def hold(context: RunContext, task: Task, run: str, containment: Containment) -> Surroundings:
    """Remember the start files, put placeholders where a mount can hold them, before an agent is let go."""
    held = surroundings(context, task)
    body: dict[str, object] = {
        "before": held.locks.before,
        "links": held.locks.links,
        "changed_since_ns": held.since_ns,
    }
    body |= {"hidden": held.sight.hidden, "began_ns": now_ns()}
    files.replace(_record(context, task, run), json.dumps(body).encode("utf-8", "surrogateescape"))
    if containment.kind == "bubblewrap":
        start_files.make_way(context.root, held.locks.placeholders)
    return held


def of_homes(context: RunContext, around: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a sandbox hides that takes paths: homes and `.env` files; then what it shows among these."""
    homes = home_view.homes(os.path.expanduser("~"))
    tools = (path for home in homes for path in home_view.allowed(home))
    shown = (context.root, *around.sight.read, *around.keep, sys.prefix, own_program.FOLDER, *tools)
    kept = [path for path in shown if not any(home == path or home.startswith(f"{path}/") for home in homes)]
    tokens = (path for folder in kept for path in home_view.hidden(folder) if folder != context.root)
    return (*homes, *around.sight.hidden, *tokens), tuple(dict.fromkeys(kept))


def look_over(context: RunContext, task: Task, run: str) -> None:
    """Put aside the start files and environments that appeared while an agent worked; say which."""
    body = safe_open.record(_record(context, task, run))
    wanted = wanted_of(context, task)
    if body and wanted.mode != "off":
        since = body.get("changed_since_ns")
        since_ns = since if isinstance(since, int) else 0
        before = _texts(body.get("before"))
        appeared = start_files.appeared(context.root, before, allowed=allowed(wanted), changed_since_ns=since_ns)
        changed = _links_changed(context.root, body.get("links"))
        put_aside(context, task, context.folder(task, run), (*appeared, *changed), when="the agent worked")
        _link_again(context.root, changed)
    began_ns = body.get("began_ns")
    clear_bits(context, task, began_ns if isinstance(began_ns, int) else 0, when="the agent worked")
    start_files.clear(context.root)
    if not os.path.exists(context.python):
        context.python = project.interpreter(context.project, context.plan.settings.python, dict(os.environ))


def now_ns() -> int:
    """Return the time by the clock of files."""
    return time.clock_gettime_ns(FILE_CLOCK)


def clear_bits(context: RunContext, task: Task, since_ns: int, *, when: str) -> None:
    """Take setuid and setgid off what changed since then, and say of what."""
    taken = setuid_bits.cleared(context.root, since_ns)
    if taken:
        more = f" and {len(taken) - MOST_NAMED} more" if len(taken) > MOST_NAMED else ""
        named = f"{', '.join(taken[:MOST_NAMED])}{more}"
        message = f"{named} got setuid or setgid while {when}: it was taken off, for who runs it would have your rights"
        context.log(WarningRaised(message=spelled(message)), task)


def allowed(wanted: Sandbox) -> tuple[str, ...]:
    """Return the start files and environments that the plan lets an agent make."""
    return (*wanted.write, *(start_files.ENVIRONMENTS if wanted.environment == "writable" else ()))


def known_before(context: RunContext, task: Task) -> frozenset[str] | None:
    """Return the start files and environments that were there before a task's first agent, None when it had none."""
    runs = (f"main.{number}" for number in range(1, jobs.main_number(jobs.newest_main(context.root, task.task_id)) + 1))
    bodies = (safe_open.record(_record(context, task, run)) for run in runs)
    return next((frozenset(_texts(body.get("before"))) for body in bodies if body), None)


def _hidden_before(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return what the first agent of a task was not shown: what it made since hides nothing of it."""
    first = safe_open.record(_record(context, task, "main.1"))
    return _texts(first.get("hidden"))


def _links_changed(root: str, before: object) -> dict[str, str]:
    """Return the links that lead elsewhere now, or are none any more, with where they led."""
    was = {str(path): str(to) for path, to in before.items()} if isinstance(before, dict) else {}
    now = start_files.links(root, was)
    return {path: to for path, to in was.items() if now.get(path) != to}


def _link_again(root: str, changed: Mapping[str, str]) -> None:
    for path, target in changed.items():
        place = os.path.join(root, path)
        if not os.path.lexists(place) and os.path.isdir(os.path.dirname(place)):
            os.symlink(target, place)


def put_aside(context: RunContext, task: Task, folder: str, paths: tuple[str, ...], *, when: str) -> None:
    """Move these paths of the project into a folder of a run, and say which."""
    aside = os.path.join(folder, ASIDE)
    moved = start_files.put_aside(context.root, paths, aside)
    if not moved:
        return
    more = f" and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
    named = f"{', '.join(moved[:MOST_NAMED])}{more}"
    said = f"other programs would run or obey it unasked; what the plan wants: sandbox: {{write: [{moved[0]}]}}"
    message = f"{named} appeared while {when} and was put aside in {context.relative(aside)}: {said}"
    context.log(WarningRaised(message=spelled(message)), task)


def _record(context: RunContext, task: Task, run: str) -> str:
    return os.path.join(context.folder(task, run), RECORD)


def _texts(said: object) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, list) else ()
