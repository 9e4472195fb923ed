"""`doctor`: what this machine and project offer a run, and who is given which secret."""

from __future__ import annotations

import os
import sys

from executor.cli.options import JSON
from executor.errors import DoTasksError
from executor.monitoring.notices import notify, notify_checks
from executor.plan import env_files
from executor.store import interpreter, log_reader, project, runs
from executor.store.context import inherited
from executor.store.known_secrets import notify_names
from executor.system import locks, procfs
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NamedSecrets, secrets_of
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from executor.plan.limits import Sandbox
    from executor.plan.model import Step
    from executor.plan.plan import Plan

Row = tuple[str, bool | None, str]  # None: it is not there, and that is no fault


OPTIONS = (JSON,)


def run(args: Namespace) -> Verdict:
    """Print a line a fact; failed when a run could not work here."""
    rows = [*_machine(), *_project(args.project)]
    if args.json:
        import json

        print(json.dumps({"checks": [{"name": name, "ok": ok, "found": found} for name, ok, found in rows]}))
    else:
        for name, ok, found in rows:
            print(f"{'–' if ok is None else '✓' if ok else '✗'} {name:<12} {escaped_line(found)}")
    return Verdict.PASSED if all(ok is not False for _, ok, _ in rows) else Verdict.FAILED


def _machine() -> list[Row]:
    linux = procfs.PROC
    return [
        ("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} ({sys.executable})"),
        ("platform", True, "Linux" if linux else f"{sys.platform}: best effort, processes are polled"),
        ("bash", os.access("/bin/bash", os.X_OK), "/bin/bash, checks run under bash -o pipefail"),
        ("sh", os.access("/bin/sh", os.X_OK), "/bin/sh, the launcher of MAIN"),
        ("pidfd", hasattr(os, "pidfd_open") and linux, "processes are waited for by descriptor" if linux else "polled"),
        ("orphans", procfs.children() is not None, "the kernel names child processes (else every sweep reads /proc)"),
    ]


def _project(start: str) -> list[Row]:
    try:
        here = project.find(start)
        plan, validated = project.load(here)
    except DoTasksError as error:
        return [("project", False, str(error))]
    python = interpreter.find(here.root, plan.settings.python, os.environ)
    free_gb = _free_gb(here.root)
    return [
        ("project", True, f"{here.root} ({here.definitions}{'; ' + here.warning if here.warning else ''})"),
        (
            "plan",
            True,
            f"{len(plan.numbers)} steps defined, {'validated' if validated else 'not validated since it changed'}",
        ),
        ("interpreter", os.access(python.path, os.X_OK), f"{python.path} runs the project's scripts ({python.why})"),
        *_another(python.path),
        ("disk", free_gb > 1, f"{free_gb:.1f} GB free"),
        ("lock", True, _lock(here)),
        ("log", True, _log(here.root)),
        ("running", True, ", ".join(runs.living_tasks(here.root)) or "no task"),
        *_secrets(plan, here.root),
        *_notifiers(plan, here.root),
        *_agents(here, plan, python.path),
    ]


def _another(python: str) -> list[Row]:
    """Warn when a terminal's `python` is another one than the one that runs scripts."""
    first = interpreter.first_on_path(os.environ)
    folders = {os.path.realpath(os.path.dirname(path)) for path in (first, python)}
    if not first or len(folders) == 1:
        return []
    said = f"warning: in this terminal python is {first}: activate the project's environment, or set settings.python"
    return [("python here", None, said)]


def _agents(here: project.Project, plan: Plan, python: str) -> list[Row]:
    """Say which agents could do MAIN here; none is no fault."""
    from importlib.util import find_spec

    from executor.guard import sandbox
    from executor.plan.limits import sandbox_of
    from executor.plan.runner_choice import CREDENTIALS
    from executor.store import claude_files

    path = os.environ.get("PATH", os.defpath)
    absent = "no anthropic package: pip install 'do-tasks[agent]'"
    package = "the anthropic package" if find_spec("anthropic") else absent
    program = claude_files.program(path)
    named = [name for name in CREDENTIALS if os.environ.get(name)]
    wanted = sandbox_of(None, plan.settings)
    held = sandbox.find_containment(wanted.mode, network=wanted.network, path=path)
    return [
        (
            "agent",
            True if named and package != absent else None,
            f"{package}; {', '.join(named) or 'no credentials: ANTHROPIC_API_KEY is not set'}",
        ),
        ("claude-code", True if program else None, program or "claude is not on the PATH"),
        ("sandbox", None if held.kind == "none" and wanted.mode != "required" else held.kind != "none", held.words),
        *([] if held.kind == "none" else _contained(here, wanted, python, has_socat=claude_files.has_socat(path))),
    ]


def _contained(here: project.Project, wanted: Sandbox, python: str, *, has_socat: bool) -> list[Row]:
    """Say who is contained, what of homes is shown, what of the project is locked."""
    from executor.guard import autostart_files, home_view, locked_paths

    seen = autostart_files.scan(here.root)
    locks = locked_paths.find_locked(here.root, os.environ, python, wanted, seen)
    homes = home_view.homes(os.path.expanduser("~"))
    shown = locked_paths.visible_paths(here.root, os.environ, python, environment=wanted.environment)
    named = [path for home in homes for path in (*home_view.allowed_paths(home), *_inside(home, shown))]
    claude = "its own sandbox holds its shell" if has_socat else "its shell is not contained: socat is not installed"
    read = locked_paths.readable_paths(here.root, wanted.read)
    hidden = [os.path.relpath(path, here.root) for path in locked_paths.hidden_env_files(here.root, seen, read)]
    known = ", ".join(dict.fromkeys((*named, *read))) or "nothing"
    of_checks = "checks of agents' steps, with the keys of their own env alone"
    kept = f"what judges them{''.join(f', {path}' for path in locks.read_only)}"
    return [
        ("contained", True, f"the shell of agent; {of_checks}; claude-code: {claude}; host: its checks alone"),
        ("home", True, f"agents read {known} of {', '.join(homes) or 'none'}"),
        ("hidden", True, f"agents do not read {', '.join(hidden)}") if hidden else ("hidden", None, "no .env file"),
        ("locked", True, f"agents do not change {kept}"),
    ]


def _inside(home: str, paths: Iterable[str]) -> list[str]:
    from executor.guard import home_view

    known = home_view.allowed_paths(home)
    inside = [path for path in paths if path.startswith(f"{home}/")]
    return [path for path in inside if not any(path.startswith(f"{one}/") for one in known)]


def _free_gb(path: str) -> float:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize / 1e9


def _lock(here: project.Project) -> str:
    try:
        holder = locks.holder_pid(here.path(project.STATE_FOLDER, "run.lock"))
    except DoTasksError as error:
        return str(error)
    return f"held by pid {holder}, which runs this plan" if holder else "free"


def _log(root: str) -> str:
    known = log_reader.recall(root)
    older = log_reader.rotated(root)
    return f"{known.offset} bytes, {len(known.states)} steps known" + (f", {len(older)} rotated" if older else "")


def _notifiers(plan: Plan, root: str) -> list[Row]:
    """Say of each notifier whether it could tell anyone, as far as that is known without sending."""
    told = [(one, notify_checks.trouble(one, root=root, environ=os.environ)) for one in plan.settings.notify]
    ready = "ready, as far as is known without sending; try it: do-tasks notify --test"
    return [("notify", not why, f"{notify.label(one)}: {why or ready}") for one, why in told]


def _secrets(plan: Plan, root: str) -> Iterator[Row]:
    """Yield what commands are given, what env files add for a step, and what else is named by whom."""
    named = NamedSecrets(urls=notify_names(plan.settings))
    given = inherited(os.environ, plan.settings.env)
    names = [name for name, value in given.items() if secrets_of({name: value}, named)]
    commands = f"commands are given {', '.join(names)}; masked in all we write" if names else "none in the environment"
    yield "secrets", True, commands
    for number in plan.numbers:
        try:
            step = plan.step(number)
        except DoTasksError:
            continue
        yield from _env_file_secrets(step, root)
        yield from _named_secrets(step)
    for one in plan.settings.notify:
        if one.env:
            yield "secrets", True, f"notifier {notify.label(one)} is given {', '.join(one.env)}"


def _env_file_secrets(step: Step, root: str) -> Iterator[Row]:
    paths = step.main.env_file if step.main else ()
    if not paths:
        return
    found = env_files.load(root, paths, os.environ)
    if found.trouble:
        yield "secrets", False, f"step {step.number}: {'; '.join(found.trouble)}"
        return
    names = ", ".join(found.values) or "nothing"
    yield "secrets", True, f"step {step.number}: {', '.join(paths)} sets {names}: for its checks, TEST and MAIN alone"


def _named_secrets(step: Step) -> Iterator[Row]:
    named = [("its agent's shell", step.main.env)] if step.main else []
    named += [(f"monitor {one.name}", one.env) for one in step.background]
    told = [f"{who} is given {', '.join(names)}" for who, names in named if names]
    if told:
        yield "secrets", True, f"step {step.number}: {'; '.join(told)}; others of its kind none"
