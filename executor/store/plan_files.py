"""Plan files on disk: the named one, or the only one in a project, read with the files that belong to it."""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase

from executor.errors import DoTasksError, MachineError, SpecError, UsageError, remedy
from executor.plan.formats import registry
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.plan.formats.model import PlanDocument, PlanFormat

BACKLOG = "backlog/tasks/*.md"  # the plan is the folder: its files come and go
# Where tools keep their plans, below a project's folder.
PLACES = (
    "SPEC.md",
    "specs/*/tasks.md",
    ".specify/specs/*/tasks.md",
    "openspec/changes/*/tasks.md",
    ".kiro/specs/*/tasks.md",
    ".taskmaster/tasks/tasks.json",
    ".tasks/manifest.json",
    BACKLOG,
    "tasks.md",
    "tasks.json",
)
BACKLOG_NAME = "Backlog.md"
SPEC_FORMAT = "spec.md"  # its dependencies stand in another file
MOST_BYTES = 64 * 2**20
MOST_FILES = 20_000


class PlanFile(Record):
    """A plan that was read: `path` as it was found, `folder` and `name` of its file, its format, tasks and files."""

    path: str
    folder: str
    name: str
    format: PlanFormat
    document: PlanDocument
    files: dict[str, bytes]

    @property
    def text(self) -> str:
        """Return the text of the plan's own file."""
        return self.files[self.name].decode("utf-8", "replace")


def find(named: str, start: str) -> str:
    """Return the path of the plan.

    That is the named one, else that of the definitions at `start` or above it (`settings.plan`, else SPEC.md beside
    them, else the only plan there), else the only one at `start` or in a folder above it.

    UsageError when there is none, or when several are there and none is named.
    """
    if named:
        return named
    from executor.store import project

    if defined := project.plan_of_definitions(start):
        return os.path.relpath(defined, start) if start in (".", "") else defined
    return _nearest(start)


def _nearest(start: str) -> str:
    """Return the path of the only plan at `start` or in a folder above it."""
    folder = os.path.abspath(start)
    while True:
        found = list(dict.fromkeys(path for place in PLACES for path in _plans_at(folder, place)))
        if len(found) > 1:
            names = ", ".join(os.path.relpath(path, start) for path in found)
            raise UsageError(f"several plans are here: {names}; name one: --plan FILE")
        if found:
            return os.path.relpath(found[0], start) if start in (".", "") else found[0]
        above = os.path.dirname(folder)
        if above == folder:
            raise UsageError(f"no plan in {os.path.abspath(start)} or above it; name one: --plan FILE")
        folder = above


def only_at(folder: str) -> str:
    """Return the path of the plan in a folder, empty when there is none; UsageError for several."""
    found = list(dict.fromkeys(path for place in PLACES for path in _plans_at(folder, place)))
    if len(found) > 1:
        names = ", ".join(os.path.relpath(path, folder) for path in found)
        raise UsageError(f"several plans are here: {names}; name one: --plan FILE, or settings: {{plan: FILE}}")
    return found[0] if found else ""


def only_one(start: str) -> str:
    """Return the path of the plan at `start` or above it, empty when there is none; UsageError for several."""
    try:
        return _nearest(start)
    except UsageError as error:
        if str(error).startswith("several"):
            raise
        return ""


def home_of(path: str) -> str:
    """Return the folder of the project of a plan without definitions.

    For a plan in a place that its tool prescribes, such as `specs/001/tasks.md`, that is the folder with this place,
    else the plan's own.
    """
    path = os.path.abspath(path)
    names = [*path.split(os.sep), *(["x.md"] if os.path.isdir(path) else [])]
    for place in PLACES:
        parts = place.split("/")
        if len(parts) < len(names) and all(map(fnmatchcase, names[-len(parts) :], parts)):
            return os.sep.join(names[: -len(parts)]) or os.sep
    return os.path.dirname(path)


def others(root: str, own: str) -> list[tuple[str, ...]]:
    """Return the other plans of a project: each as its file and the globs of the files that belong to it.

    Plans are in the places of their tools, or have a side file; those with definitions of their own are other projects.
    """
    places = [path for place in PLACES for path in _plans_at(root, place)]
    found = dict.fromkeys(os.path.relpath(path, root) for path in (*places, *_marked(root)))
    return [named for name in found if os.path.normpath(own) != name and (named := _with_globs(root, name))]


def _marked(root: str) -> list[str]:
    """Return the paths of the plans that have a side file."""
    from executor.plan.formats import side_file

    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(root), side_file.FOLDER, "*.json"))):
        body = safe_open.read_record(path)
        name = str(body.get("plan") or "")
        if name and not os.path.isabs(name) and os.pardir not in name.split("/"):
            found.append(os.path.normpath(os.path.join(root, name)))
    return found


def _with_globs(root: str, name: str) -> tuple[str, ...]:
    """Return a plan's file and the globs of its other files, relative to the root; nothing for no plan of this root."""
    from executor.store import project

    path = os.path.join(root, name)
    folder = name if os.path.isdir(path) else os.path.dirname(name)
    if any(os.path.isfile(os.path.join(root, above, one)) for above in _below(folder) for one in project.DEFINITIONS):
        return ()
    try:
        own = os.path.join(*own_file(path))
        data = _read(own)
        companions = registry.format_of(own, data).companions(os.path.basename(own), data)
    except DoTasksError:
        return ()
    globs = (os.path.normpath(os.path.join(folder, one)) for one in companions)
    return (name, *(one for one in globs if one.split(os.sep)[0] != os.pardir))


def _below(folder: str) -> list[str]:
    """Return a folder relative to a root and the folders above it, without the root."""
    names = folder.split(os.sep) if folder else []
    return [os.sep.join(names[:end]) for end in range(1, len(names) + 1)]


def _plans_at(folder: str, place: str) -> list[str]:
    found = sorted(glob.glob(os.path.join(glob.escape(folder), place)))
    return [os.path.dirname(found[0])] if found and place == BACKLOG else found


def load(path: str, known: PlanFile | None = None) -> PlanFile:
    """Return a plan, the `known` one when its files have the same bytes.

    SpecError when its content fits no format, MachineError when it cannot be read.
    """
    folder, name = own_file(path)
    data = _read(os.path.join(folder, name) if os.path.isdir(path) else path)
    if known and known.name == name and known.files.get(name) == data:
        plan_format = known.format
    else:
        known, plan_format = None, registry.format_of(os.path.join(folder, name), data)
    files = {name: data, **_companions(folder, plan_format.companions(name, data))}
    if known and known.files == files and known.path == path and plan_format.name != SPEC_FORMAT:
        return known
    document = plan_format.read(name, files)
    return PlanFile(path, folder, name, plan_format, _with_definitions(folder, document), files)


def own_file(path: str) -> tuple[str, str]:
    """Return the folder of a plan and its own file there: for the folder of Backlog.md any of its tasks.

    UsageError for another folder.
    """
    if not os.path.isdir(path):
        folder, name = os.path.split(os.path.abspath(path))
        return folder, name
    folder = os.path.abspath(path)
    for place in ("*.md", "../completed/*.md"):
        for found in sorted(glob.glob(os.path.join(glob.escape(folder), place))):
            if registry.is_of(BACKLOG_NAME, found, _read(found)):
                return folder, os.path.relpath(found, folder)
    raise UsageError(f"{path} is a folder, and has no task of Backlog.md; name the file of the plan: --plan FILE")


def _with_definitions(folder: str, document: PlanDocument) -> PlanDocument:
    """Return a SPEC.md with the dependencies of its definitions, where there are any."""
    from executor.plan.formats import spec
    from executor.store import project

    if document.format != spec.NAME or not any(
        os.path.isfile(os.path.join(folder, one)) for one in project.DEFINITIONS
    ):
        return document
    plan, _ = project.load(project.find(folder))
    edges = {
        str(number): tuple(str(edge.step) for edge in plan.step(number).depends_on)
        for number in plan.numbers
        if plan.places(number)
    }
    tasks = [
        task.replace(depends_on=edges[task.id], free=True) if task.id in edges else task for task in document.tasks
    ]
    return document.replace(tasks=tuple(tasks))


def _read(path: str) -> bytes:
    try:
        if os.stat(path).st_size > MOST_BYTES:
            limit = f"{MOST_BYTES // 2**20} MiB"
            raise SpecError(f"{path} is larger than {limit}, the limit of a plan file; divide it into several")
        return safe_open.read_whole(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}; {_moved(path)}name the plan: --plan FILE") from error
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}; {remedy(error)}") from error


def _moved(path: str) -> str:
    """Return a hint for a task file of Backlog.md that was moved, empty for any other file."""
    folder, name = os.path.split(path)
    moved = os.path.join(os.path.dirname(folder), "completed", name)
    return (
        f"it was moved to {moved}: the plan is the folder, settings: {{plan: {os.path.relpath(folder)}}}; or "
        if (os.path.isfile(moved))
        else ""
    )


def _companions(folder: str, patterns: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files that belong to a plan by their path relative to its folder; unreadable ones are left out."""
    found: dict[str, bytes] = {}
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True)):
            if len(found) >= MOST_FILES:
                raise SpecError(f"{folder}: more than {MOST_FILES} files belong to the plan")
            if os.path.isfile(path) and os.stat(path).st_size <= MOST_BYTES:
                found[os.path.relpath(path, folder).replace(os.sep, "/")] = safe_open.read_whole(path)
    return found
