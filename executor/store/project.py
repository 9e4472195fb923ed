"""Where a plan's files are, with the parsed plan cached by digest."""

from __future__ import annotations

import json
import os

from executor import __version__
from executor.errors import DefinitionError, MachineError, UsageError, remedy
from executor.plan.plan import Plan, from_cache, read_plan, to_cache
from executor.system import files, safe_open
from executor.system.records import Record

SPEC_NAME = "SPEC.md"
DEFINITIONS = ("step_definitions.yaml", os.path.join(".claude", "tasks", "step_definitions.yaml"))
STATE_FOLDER = files.STATE_FOLDER
VALIDATED_BY = f"{__version__}, rules 3"  # a file that older rules accepted is validated again


class Project(Record):
    """A folder with a plan: `root` is the folder of SPEC.md, `definitions` relative to it; `warning` may be empty."""

    root: str
    definitions: str
    warning: str = ""

    @property
    def spec(self) -> str:
        """Path of SPEC.md."""
        return os.path.join(self.root, SPEC_NAME)

    def path(self, *names: str) -> str:
        """Return a path below the root."""
        return os.path.join(self.root, *names)

    def state(self, *names: str) -> str:
        """Return a path below our own folder, which is made when it is missing."""
        folder = files.private_folder(os.path.join(self.root, STATE_FOLDER))
        if not os.path.exists(os.path.join(folder, ".gitignore")):
            files.hide_from_git(folder)
        return os.path.join(folder, *names)


def is_there(start: str) -> bool:
    """Return True when `start` or a folder above it has definitions, or a file that is nearly named like them."""
    folder = os.path.abspath(start)
    while True:
        if any(os.path.isfile(os.path.join(folder, name)) for name in DEFINITIONS) or _misnamed_in(folder):
            return True
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent


def find(start: str) -> Project:
    """Return the project at `start` or above it; UsageError when there is none."""
    folder = os.path.abspath(start)
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}")
    passed_by = ""
    while True:
        found = [name for name in DEFINITIONS if os.path.isfile(os.path.join(folder, name))]
        if found:
            return _project(folder, found, passed_by)
        passed_by = passed_by or _misnamed_in(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            raise UsageError(_nothing_found(os.path.abspath(start)))
        folder = parent


def _misnamed_in(folder: str) -> str:
    from executor.store import misnamed

    return misnamed.definitions_in(folder)


def _nothing_found(start: str) -> str:
    folder, above = start, os.path.dirname(start)
    while not (told := _misnamed_in(folder)) and folder != above:
        folder, above = above, os.path.dirname(above)
    where = f" in {folder}" if told and folder != start else ""
    return f"no step_definitions.yaml in {start} or above it; {told or 'make one with: do-tasks init'}{where}"


def _project(folder: str, found: list[str], passed_by: str) -> Project:
    warning = f"both {found[0]} and {found[1]} are there: the one at the root is used" if len(found) > 1 else ""
    if passed_by:
        warning = f"the plan in {folder} is used, for it has a step_definitions.yaml; below it: {passed_by}"
    return Project(folder, found[0], warning)


def load(project: Project, *, for_run: bool = False) -> tuple[Plan, bool]:
    """Return the plan and whether it was validated; a run validates a file that changed since the last one."""
    data = definitions(project)
    key = files.digest(data)
    cached = _cached(project, key)
    if cached is not None and (cached[1] or not for_run):
        return cached
    if for_run:
        _refuse_invalid(data, project.definitions)
    plan = cached[0] if cached else read_plan(data, file=project.definitions)
    _cache(project, key, plan, validated=for_run)
    return plan, for_run


def known_plan(project: Project) -> Plan | None:
    """Return the plan as it was parsed before, None when the definitions changed since: a read verb parses no YAML."""
    found = _cached(project, files.digest(definitions(project)))
    return found[0] if found else None


def definitions(project: Project) -> bytes:
    """Return the text of the definitions; UsageError when it cannot be read."""
    try:
        return safe_open.read_whole(project.path(project.definitions))
    except OSError as error:
        raise UsageError(f"cannot read {project.definitions}: {error.strerror}; {remedy(error)}") from error


def remember_valid(project: Project, data: bytes, plan: Plan) -> None:
    """Keep that this text of the definitions was validated, for the verbs that do not validate."""
    _cache(project, files.digest(data), plan, validated=True)


def _refuse_invalid(data: bytes, file: str) -> None:
    from executor.plan.plan import validate

    problems = validate(data, file=file, read_script=lambda _: "")
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DefinitionError(*errors)


def _cached(project: Project, key: str) -> tuple[Plan, bool] | None:
    body = safe_open.read_record(project.path(STATE_FOLDER, "cache", "plan.json"))
    try:
        if body.get("version") != VALIDATED_BY or body.get("digest") != key or body.get("file") != project.definitions:
            return None
        return from_cache(body["plan"]), bool(body["validated"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        return None


def _cache(project: Project, key: str, plan: Plan, *, validated: bool) -> None:
    """Write the cache where that can be done: a plan is read without one."""
    body = {
        "version": VALIDATED_BY,
        "digest": key,
        "file": project.definitions,
        "validated": validated,
        "plan": to_cache(plan),
    }
    if not os.access(project.root, os.W_OK):
        return
    try:
        files.private_folder(project.state("cache"))
        files.replace(project.state("cache", "plan.json"), json.dumps(body, separators=(",", ":")).encode())
    except (MachineError, ValueError):  # ValueError: half of a character, which UTF-8 does not have
        return


def interpreter(project: Project, setting: str, environ: dict[str, str]) -> str:
    """Return the project's Python: settings.python, else as `interpreter.find` says."""
    from executor.store.interpreter import find as find_interpreter

    return find_interpreter(project.root, setting, environ).path


def script_path(project: Project, script: str) -> str:
    """Return where a script is: at the root, then in scripts/; empty when it is in neither."""
    for folder in (project.root, project.path("scripts")):
        path = os.path.join(folder, script)
        if os.path.isfile(path):
            return path
    return ""
