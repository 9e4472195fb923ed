"""The files of a project: where they are, the parsed plan in its cache."""

from __future__ import annotations

import json
import os

from executor import __version__
from executor.errors import MachineError, UsageError, remedy
from executor.plan.plan import Plan, from_cache, read_plan, read_valid_plan, to_cache
from executor.system import files, safe_open
from executor.system.records import Record
from executor.system.run_records import LOG_NAME

SPEC_NAME = "SPEC.md"
DEFINITIONS = ("step_definitions.yaml", os.path.join(".claude", "tasks", "step_definitions.yaml"))
TASKS = os.path.join(".claude", "tasks")
CACHES = ("state.json", os.path.join("cache", "plan.json"), os.path.join("cache", "sources.json"))
GUARDING = "guarding"  # in .do-tasks: exists while an agent works, and until its changes were examined
AGENT_SIGNS = tuple(f'"runner": "{name}"'.encode() for name in ("agent", "claude-code", "host"))
MOST_LOG = 1 << 20  # bytes of the log's end that are searched for agents
STATE_FOLDER = files.STATE_FOLDER
VALIDATED_BY = f"{__version__}, rules 4"  # a file that older rules accepted is validated again


class Project(Record):
    """A folder with a plan: `root` is the folder of SPEC.md, `definitions` relative to it; `warning` may be empty.

    `named` is the file of the plan that the command line names, relative to the root; `agent_from_text` says that an
    agent does the tasks without a definition. `is_defined` is False where there are no definitions: all have defaults.
    """

    root: str
    definitions: str
    warning: str = ""
    named: str = ""
    agent_from_text: bool = False
    is_defined: bool = True

    @property
    def spec(self) -> str:
        """Path of SPEC.md."""
        return os.path.join(self.root, SPEC_NAME)

    def path(self, *names: str) -> str:
        """Return a path below the root."""
        return os.path.join(self.root, *names)

    def state(self, *names: str) -> str:
        """Return a path below the state folder, which is made when it is missing."""
        folder = files.private_folder(os.path.join(self.root, STATE_FOLDER))
        if not os.path.exists(os.path.join(folder, ".gitignore")):
            files.hide_from_git(folder)
        return os.path.join(folder, *names)


def is_there(start: str) -> bool:
    """Return True when `start` or a folder above it has definitions, or a file with nearly their name."""
    from executor.store.near_names import misnamed_definitions

    folder = os.path.abspath(start)
    while True:
        if any(os.path.isfile(os.path.join(folder, name)) for name in DEFINITIONS) or misnamed_definitions(folder):
            return True
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent


def find_for(plan: str, start: str) -> Project:
    """Return the project of the plan file on the command line; without such a file, that at `start` or above it."""
    if not plan:
        return find(start)
    found = find(os.path.dirname(os.path.abspath(plan)))
    return found.replace(named=os.path.relpath(os.path.abspath(plan), found.root))


def find_to_run(plan: str, start: str, *, agent_from_text: bool) -> Project:
    """Return the project as `find_for` does; with `agent_from_text` a plan of another tool needs no definitions."""
    if not agent_from_text or is_there(os.path.dirname(os.path.abspath(plan)) if plan else start):
        return find_for(plan, start).replace(agent_from_text=agent_from_text)
    from executor.store import plan_files

    path = os.path.abspath(plan_files.find(plan, start))
    root = plan_files.home_of(path)
    named = os.path.relpath(path, root)
    return Project(root, DEFINITIONS[0], named=named, agent_from_text=True, is_defined=False)


def find(start: str) -> Project:
    """Return the project at `start` or above it.

    A folder with a log and without definitions is one whose tasks an agent did by their text.

    UsageError when there is none.
    """
    from executor.store.near_names import misnamed_definitions

    start = folder = os.path.abspath(start)
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}")
    advice = place = logged = ""
    while True:
        found = [name for name in DEFINITIONS if os.path.isfile(os.path.join(folder, name))]
        if found:
            return Project(folder, found[0], _warning(folder, found, advice))
        if not advice:
            advice, place = misnamed_definitions(folder), folder
        if not logged and os.path.isfile(os.path.join(folder, LOG_NAME)):
            logged = folder
        parent = os.path.dirname(folder)
        if parent == folder:
            if logged and not advice and not os.path.lexists(os.path.join(logged, SPEC_NAME)):
                return Project(logged, DEFINITIONS[0], is_defined=False)
            where = f" in {place}" if advice and place != start else ""
            next_step = advice or _first_move(start)
            raise UsageError(f"no step_definitions.yaml in {start} or above it; {next_step}{where}")
        folder = parent


def refuse_undefined(project: Project) -> None:
    """Raise UsageError for a project without definitions, unless an agent does its tasks by their text."""
    if not (project.is_defined or project.agent_from_text):
        raise UsageError(f"no {DEFINITIONS[0]} in {project.root}; {_first_move(project.root)}")


def _first_move(start: str) -> str:
    """Return the next command of a person without definitions: for the plan that is here, else to make one."""
    from shlex import quote

    from executor.store import plan_files

    try:
        path = plan_files.only_one(start)
    except UsageError as several:
        return str(several)
    if not path:
        return "make one with: do-tasks init"
    move = f"make one for {os.path.relpath(path)}: do-tasks import {quote(os.path.relpath(path))} --scaffold"
    by_text = ", or let an agent do its tasks by their text: --agent-from-text"
    return move + ("" if os.path.basename(path) == SPEC_NAME else by_text)


def _warning(folder: str, found: list[str], advice: str) -> str:
    """Return the warning about other definitions than those used, empty for none."""
    if advice:
        return f"the plan in {folder} is used, for it has a step_definitions.yaml; below it: {advice}"
    return f"both {found[0]} and {found[1]} are there: the one at the root is used" if len(found) > 1 else ""


def load(project: Project, *, for_run: bool = False) -> tuple[Plan, bool]:
    """Return the plan and whether it was validated; a run validates a file that changed since the last one.

    The steps of a plan of another tool stand in the order of its document.
    """
    from executor.store.plan_source import with_tasks

    plan, is_validated = load_definitions(project, for_run=for_run)
    if project.agent_from_text:
        plan = plan.replace(settings=plan.settings.replace(agent_from_text=True))
    plan = with_tasks(project.root, plan, project.named)
    if plan.settings.agent_from_text and plan.tasks is None:
        raise UsageError(f"agent_from_text is for plans of other tools; a step of {SPEC_NAME} needs a definition")
    return plan, is_validated


def plan_of_definitions(start: str) -> str:
    """Return the path of the plan that the definitions at `start` or above it are for, empty without definitions.

    UsageError when they name none and several are there.
    """
    from executor.store import plan_files

    try:
        here = find(start)
    except UsageError:
        return ""
    settings = load_definitions(here)[0].settings
    if settings.plan:
        return here.path(settings.plan)
    return here.spec if os.path.lexists(here.spec) else plan_files.only_at(here.root)


def load_definitions(project: Project, *, for_run: bool = False) -> tuple[Plan, bool]:
    """Return the plan of the definitions alone, without the tasks of a document, and whether it was validated."""
    data = definitions(project)
    key = files.digest(data)
    cached = _cached(project, key)
    if cached is not None and (cached[1] or not for_run):
        return cached
    plan = (read_valid_plan if for_run else read_plan)(data, file=project.definitions)
    _cache(project, key, plan, validated=for_run)
    return plan, for_run


def known_plan(project: Project) -> Plan | None:
    """Return the cached plan, None when the definitions changed since: a read verb parses no YAML."""
    found = _cached(project, files.digest(definitions(project)))
    return found[0] if found else None


def definitions(project: Project) -> bytes:
    """Return the text of the definitions, none where there are none; UsageError when it cannot be read."""
    if not project.is_defined:
        return b""
    try:
        return safe_open.read_whole(project.path(project.definitions))
    except OSError as error:
        raise UsageError(f"cannot read {project.definitions}: {error.strerror}; {remedy(error)}") from error


def remember_valid(project: Project, data: bytes, plan: Plan) -> None:
    """Record that this text of the definitions is valid, for the commands that do not validate."""
    _cache(project, files.digest(data), plan, validated=True)


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
    except (MachineError, ValueError):  # ValueError: a lone surrogate
        return


def interpreter(project: Project, setting: str, environ: dict[str, str]) -> str:
    """Return the project's Python: settings.python, else that of `interpreter.find`."""
    from executor.store.interpreter import find as find_interpreter

    return find_interpreter(project.root, setting, environ).path


def script_path(project: Project, script: str) -> str:
    """Return the path of a script: at the root, then in scripts/; empty when it is in neither."""
    for folder in (project.root, project.path("scripts")):
        path = os.path.join(folder, script)
        if os.path.isfile(path):
            return path
    return ""


def drop_caches(root: str) -> None:
    """Delete the caches; they can be rebuilt from the files that they were made of."""
    for name in CACHES:
        try:
            os.unlink(os.path.join(root, STATE_FOLDER, name))
        except OSError:  # not there, or no regular file: then no reader accepts it
            continue


def distrust_caches(root: str) -> None:
    """Delete the caches of a project where an agent has worked: a forged cache could skip a step or replace checks."""
    try:
        end = safe_open.read_end(os.path.join(root, LOG_NAME), MOST_LOG)
    except OSError:
        end = b""
    if os.path.lexists(os.path.join(root, STATE_FOLDER, GUARDING)) or any(sign in end for sign in AGENT_SIGNS):
        drop_caches(root)
