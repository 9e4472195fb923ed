"""`doctor`: what this machine and project offer a run, and who is given which secret."""

from __future__ import annotations

import os
import sys

from executor.cli.secret_access import who_gets_what
from executor.errors import DoTasksError
from executor.monitoring.notices import notify, notify_checks
from executor.store import interpreter, log_reader, project, runs
from executor.system import locks, procfs
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import spelled

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from executor.plan.limits import Sandbox
    from executor.plan.plan import Plan

Row = tuple[str, bool | None, str]  # None: it is not there, and that is no fault


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of doctor."""
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(args: Namespace) -> Verdict:
    """Print a line a fact; failed when a run could not work here."""
    rows = [*_machine(), *_project(args.project)]
    if args.json:
        import json

        print(json.dumps({"checks": [{"name": name, "ok": ok, "found": found} for name, ok, found in rows]}))
    else:
        for name, ok, found in rows:
            print(f"{'–' if ok is None else '✓' if ok else '✗'} {name:<12} {spelled(found)}")
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
        *who_gets_what(plan, here.root),
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
    held = sandbox.containment(wanted.mode, network=wanted.network, path=path)
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
    locks = locked_paths.find(here.root, os.environ, python, wanted, seen)
    homes = home_view.homes(os.path.expanduser("~"))
    shown = locked_paths.shown(here.root, os.environ, python, environment=wanted.environment)
    named = [path for home in homes for path in (*home_view.allowed(home), *_inside(home, shown))]
    claude = "its own sandbox holds its shell" if has_socat else "its shell is not contained: socat is not installed"
    read = locked_paths.readable(here.root, wanted.read)
    hidden = [os.path.relpath(path, here.root) for path in locked_paths.hidden(here.root, seen, read)]
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

    known = home_view.allowed(home)
    inside = [path for path in paths if path.startswith(f"{home}/")]
    return [path for path in inside if not any(path.startswith(f"{one}/") for one in known)]


def _free_gb(path: str) -> float:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize / 1e9


def _lock(here: project.Project) -> str:
    try:
        holder = locks.holder(here.path(project.STATE_FOLDER, "run.lock"))
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
