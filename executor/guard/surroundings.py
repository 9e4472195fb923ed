"""The surroundings of an agent: locked before its work, checked after it."""

from __future__ import annotations

import json
import os
import sys
import time

from executor.guard import autostart_files, home_view, locked_paths, startup_places
from executor.guard.file_state import is_within, list_in_words
from executor.guard.mounts import View
from executor.plan import env_files
from executor.plan.limits import sandbox_of
from executor.store import runs as jobs
from executor.store.events import WarningRaised
from executor.system import files, installation, safe_open, setuid_bits, sockets
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.guard.autostart_files import StartScan
    from executor.guard.locked_paths import LockedPaths
    from executor.guard.mounts import Containment
    from executor.plan.limits import Sandbox
    from executor.store.context import RunContext
    from executor.store.task import Task

RECORD = "surroundings.json"
ASIDE = "aside"
FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, the clock of file times


class Surroundings(Record):
    """The view of a contained command: `keep` of homes, `read_only` of the project.

    `since_ns` is the time of the scan, by the clock of files, if it was cut; else 0.
    """

    locks: LockedPaths
    keep: tuple[str, ...]
    sight: View
    since_ns: int = 0

    @property
    def read_only(self) -> tuple[str, ...]:
        """The locked paths with the placeholders."""
        return (*self.locks.read_only, *self.locks.placeholders)


def surroundings_of(context: RunContext, task: Task, *, private: bool = True) -> Surroundings:
    """Return the surroundings of the project as it is now."""
    wanted, seen = sandbox_settings(context, task), autostart_files.scan(context.root)
    environ = {**os.environ, **context.environ}
    keep = locked_paths.visible_paths(context.root, environ, context.python, environment=wanted.environment)
    locks = locked_paths.find_locked(context.root, environ, context.python, wanted, seen)
    seen_so = view_of(context.root, wanted, seen, private=private)
    secret = env_files.hidden(context.plan, context.root)
    since_ns = file_clock_ns() if seen.is_cut else 0
    return Surroundings(
        locks, keep, seen_so.replace(hidden=(*seen_so.hidden, *secret, *_hidden_before(context, task))), since_ns
    )


def sandbox_settings(context: RunContext, task: Task) -> Sandbox:
    """Return the sandbox of the plan; a step may make the autostart files among its outputs."""
    wanted = sandbox_of(task.step.main, context.plan.settings)
    made = (autostart_files.autostart_part(path) for path in startup_places.outputs_of(task.step))
    return wanted.replace(write=(*wanted.write, *filter(None, made)))


def view_of(root: str, wanted: Sandbox, seen: StartScan, *, private: bool) -> View:
    """Return the visible paths beside the allow list, and the hidden ones of the project."""
    if not private:
        return View(private=False)
    read = locked_paths.readable_paths(root, wanted.read)
    inside = (os.path.join(root, path) for path in seen.sockets)
    found = tuple(dict.fromkeys((*inside, *sockets.service_sockets(), *sockets.listening_sockets())))
    return View(read=read, hidden=locked_paths.hidden_env_files(root, seen, read), sockets=found)


def prepare(context: RunContext, task: Task, run: str, containment: Containment) -> Surroundings:
    """Record the autostart files and make placeholders for mounts, before an agent is started."""
    around = surroundings_of(context, task)
    body: dict[str, object] = {
        "before": around.locks.before,
        "links": around.locks.links,
        "changed_since_ns": around.since_ns,
    }
    body |= {"hidden": around.sight.hidden, "began_ns": file_clock_ns()}
    files.replace(_record(context, task, run), json.dumps(body).encode("utf-8", "surrogateescape"))
    if containment.kind == "bubblewrap":
        autostart_files.make_placeholders(context.root, around.locks.placeholders)
    return around


def hidden_homes(context: RunContext, around: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the homes and `.env` files that a sandbox by paths hides, then the paths in them that it shows."""
    homes = home_view.homes(os.path.expanduser("~"))
    tools = (path for home in homes for path in home_view.allowed_paths(home))
    shown = (context.root, *around.sight.read, *around.keep, sys.prefix, installation.IMPORT_FOLDER, *tools)
    kept = [path for path in shown if not any(is_within(home, path) for home in homes)]
    tokens = (path for folder in kept for path in home_view.token_files(folder) if folder != context.root)
    return (*homes, *around.sight.hidden, *tokens), tuple(dict.fromkeys(kept))


def check_after(context: RunContext, task: Task, run: str) -> None:
    """Move autostart files and environments aside that appeared while an agent worked, and log them."""
    body = safe_open.read_record(_record(context, task, run))
    wanted = sandbox_settings(context, task)
    if body and wanted.mode != "off":
        since = body.get("changed_since_ns")
        since_ns = since if isinstance(since, int) else 0
        before = _texts(body.get("before"))
        appeared = autostart_files.find_new(
            context.root, before, allowed=allowed_autostart(wanted), changed_since_ns=since_ns
        )
        changed = _links_changed(context.root, body.get("links"))
        put_aside(context, task, context.folder(task, run), (*appeared, *changed), when="the agent worked")
        _link_again(context.root, changed)
    began_ns = body.get("began_ns")
    clear_bits(context, task, began_ns if isinstance(began_ns, int) else 0, when="the agent worked")
    autostart_files.clear_placeholders(context.root)
    context.find_python()


def file_clock_ns() -> int:
    """Return the time of the clock of files."""
    return time.clock_gettime_ns(FILE_CLOCK)


def clear_bits(context: RunContext, task: Task, since_ns: int, *, when: str) -> None:
    """Remove setuid and setgid from files that changed since then, and log them."""
    taken = setuid_bits.clear_bits(context.root, since_ns)
    if taken:
        got = f"{list_in_words(taken)} got setuid or setgid while {when}"
        message = f"{got}: the bits were cleared, since they give your permissions to every user"
        context.log(WarningRaised(message=escaped_line(message)), task)


def allowed_autostart(wanted: Sandbox) -> tuple[str, ...]:
    """Return the autostart files and environments that an agent may make by the plan."""
    return (*wanted.write, *(autostart_files.ENVIRONMENTS if wanted.environment == "writable" else ()))


def autostart_before(context: RunContext, task: Task) -> frozenset[str] | None:
    """Return the autostart files and environments before the first agent of a task, None when it had none."""
    runs = (f"main.{number}" for number in range(1, jobs.main_number(jobs.newest_main(context.root, task.task_id)) + 1))
    bodies = (safe_open.read_record(_record(context, task, run)) for run in runs)
    return next((frozenset(_texts(body.get("before"))) for body in bodies if body), None)


def _hidden_before(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return the paths that were hidden from the first agent of a task; they stay hidden."""
    first = safe_open.read_record(_record(context, task, "main.1"))
    return _texts(first.get("hidden"))


def _links_changed(root: str, before: object) -> dict[str, str]:
    """Return the links that changed, with their targets before."""
    was = {str(path): str(to) for path, to in before.items()} if isinstance(before, dict) else {}
    now = autostart_files.link_targets(root, was)
    return {path: to for path, to in was.items() if now.get(path) != to}


def _link_again(root: str, changed: Mapping[str, str]) -> None:
    for path, target in changed.items():
        place = os.path.join(root, path)
        if not os.path.lexists(place) and os.path.isdir(os.path.dirname(place)):
            os.symlink(target, place)


def put_aside(context: RunContext, task: Task, folder: str, paths: tuple[str, ...], *, when: str) -> None:
    """Move these paths of the project into a folder of a run, and log them."""
    aside = os.path.join(folder, ASIDE)
    moved = autostart_files.put_aside(context.root, paths, aside)
    if not moved:
        return
    reason = f"other programs would run or obey it unasked; what the plan wants: sandbox: {{write: [{moved[0]}]}}"
    message = f"{list_in_words(moved)} appeared while {when} and was put aside in {context.relative(aside)}: {reason}"
    context.log(WarningRaised(message=escaped_line(message)), task)


def _record(context: RunContext, task: Task, run: str) -> str:
    return os.path.join(context.folder(task, run), RECORD)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
