"""The files of a project: where they are, the parsed plan in its cache, names that are nearly right."""

from __future__ import annotations

import json
import os

from executor import __version__
from executor.errors import MachineError, UsageError, remedy
from executor.plan.plan import Plan, from_cache, read_plan, read_valid_plan, to_cache
from executor.system import files, safe_open
from executor.system.folders import names_in
from executor.system.records import Record
from executor.system.run_records import LOG_NAME

SPEC_NAME = "SPEC.md"
DEFINITIONS = ("step_definitions.yaml", os.path.join(".claude", "tasks", "step_definitions.yaml"))
TASKS = os.path.join(".claude", "tasks")
CACHES = ("state.json", os.path.join("cache", "plan.json"), os.path.join("cache", "sources.json"))
GUARDING = "guarding"  # in .do-tasks: exists while an agent works, and until its changes were examined
AGENT_SIGNS = tuple(f'"runner": "{name}"'.encode() for name in ("agent", "claude-code", "host"))
MOST_LOG = 1 << 20  # bytes of the log's end that are searched for agents
SPEC_STEMS = ("spec", "specs")
SPEC_ENDS = ("", ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdwn", ".mdx", ".txt")
DEFINITION_STEMS = ("stepdefinitions", "stepdefinition", "stepsdefinition", "stepsdefinitions", "stepdefs")
YAML_ENDS = (".yaml", ".yml", "", ".json")
STATE_FOLDER = files.STATE_FOLDER
VALIDATED_BY = f"{__version__}, rules 4"  # a file that older rules accepted is validated again


class Project(Record):
    """A folder with a plan: `root` is the folder of SPEC.md, `definitions` relative to it; `warning` may be empty.

    `named` is the file of the plan that the command line names, relative to the root; `agent_from_text` says that an
    agent does the tasks without a definition.
    """

    root: str
    definitions: str
    warning: str = ""
    named: str = ""
    agent_from_text: bool = False

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


def find(start: str) -> Project:
    """Return the project at `start` or above it; UsageError when there is none."""
    start = folder = os.path.abspath(start)
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}")
    advice = place = ""
    while True:
        found = [name for name in DEFINITIONS if os.path.isfile(os.path.join(folder, name))]
        if found:
            return Project(folder, found[0], _warning(folder, found, advice))
        if not advice:
            advice, place = misnamed_definitions(folder), folder
        parent = os.path.dirname(folder)
        if parent == folder:
            where = f" in {place}" if advice and place != start else ""
            next_step = advice or "make one with: do-tasks init"
            raise UsageError(f"no step_definitions.yaml in {start} or above it; {next_step}{where}")
        folder = parent


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
    """Return the text of the definitions; UsageError when it cannot be read."""
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


def misnamed_definitions(folder: str) -> str:
    """Return advice on a file here with nearly the name of the definitions; empty for none."""
    for below in ("", TASKS, ".claude", "tasks"):
        names = names_in(os.path.join(folder, below))
        home = below if below in ("", TASKS) else ""
        if DEFINITIONS[0] in names:
            right = "" if below == home else DEFINITIONS[0]
            return _advice(folder, os.path.join(below, DEFINITIONS[0]), right)
        found = next((name for name in names if _is_nearly_definitions(name, beside=names)), "")
        if found:
            return _advice(folder, os.path.join(below, found), os.path.join(home, DEFINITIONS[0]))
    return ""


def misnamed_spec(folder: str) -> str:
    """Return advice on a file here with nearly the name of SPEC.md; empty for none."""
    for below in ("", TASKS, ".claude"):
        names = [name for name in names_in(os.path.join(folder, below)) if below or name != SPEC_NAME]
        found = next(filter(_is_nearly_spec, names), "")
        if found:
            return _advice(folder, os.path.join(below, found), SPEC_NAME)
    return ""


def _is_nearly_spec(name: str) -> bool:
    lower = name.lower()
    stem, end = os.path.splitext(lower.removesuffix(".txt") if lower.endswith(".md.txt") else lower)
    return stem.strip(" _-") in SPEC_STEMS and end in SPEC_ENDS


def _is_nearly_definitions(name: str, beside: list[str]) -> bool:
    stem, end = os.path.splitext(name.lower().removesuffix(".txt"))
    bare = stem.translate({ord(char): None for char in " _-."})
    if bare == "steps":
        return end in (".yaml", ".yml") and any(map(_is_nearly_spec, beside))
    return bare in DEFINITION_STEMS and end in YAML_ENDS


def _advice(folder: str, found: str, wanted: str) -> str:
    path = os.path.join(folder, found)
    if os.path.isdir(path):
        return f"{found} is a folder, not a file"
    if not os.path.exists(path):
        return f"{found} is a link that leads nowhere"
    if not wanted:
        return ""
    from shlex import quote

    return f"found {found}: rename it (mv {quote(found)} {quote(wanted)})"
