"""`doctor`: facts of the machine and the project, and which process receives which secret."""

from __future__ import annotations

import os
import sys

from executor.cli.options import JSON
from executor.cli.output.screen import print_json
from executor.cli.tasks import run_lock
from executor.errors import DoTasksError
from executor.monitoring.notices import notify, notify_checks
from executor.plan import env_files
from executor.store import interpreter, log_reader, project, runs
from executor.store.inherited import inherited
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

Row = tuple[str, bool | None, str]  # None: absent, which is no fault

VALIDATED, NOT_VALIDATED = "validated", "not validated since it changed"
OPTIONS = (JSON,)


def run(args: Namespace) -> Verdict:
    """Print one line for each fact; return FAILED when a run would not work."""
    rows = [*_machine(), *_project(args.plan, args.project)]
    if args.json:
        print_json({"checks": [{"name": name, "ok": ok, "found": found} for name, ok, found in rows]})
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
        ("orphans", procfs.children() is not None, "the kernel lists child processes, else sweeps read /proc"),
    ]


def _project(plan_file: str, start: str) -> list[Row]:
    try:
        here = project.find_for(plan_file, start)
        plan, validated = project.load(here)
    except DoTasksError as error:
        return [("project", False, str(error))]
    python = interpreter.find(here.root, plan.settings.python, os.environ)
    free_gb = _free_gb(here.root)
    return [
        ("project", True, f"{here.root} ({here.definitions}{'; ' + here.warning if here.warning else ''})"),
        ("plan", True, f"{len(plan.numbers)} steps defined, {VALIDATED if validated else NOT_VALIDATED}"),
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
    """Warn when `python` in a terminal is not the one that runs scripts."""
    first = interpreter.first_on_path(os.environ)
    folders = {os.path.realpath(os.path.dirname(path)) for path in (first, python)}
    if not first or len(folders) == 1:
        return []
    text = f"warning: in this terminal python is {first}: activate the project's environment, or set settings.python"
    return [("python here", None, text)]


def _agents(here: project.Project, plan: Plan, python: str) -> list[Row]:
    """Return the agents that can do MAIN on this machine; none is no fault."""
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
    """Return the contained processes, the readable part of home folders, the hidden and locked paths."""
    from executor.guard import autostart_files, home_view, locked_paths

    seen = autostart_files.scan(here.root)
    locks = locked_paths.find_locked(here.root, os.environ, python, wanted, seen)
    homes = home_view.homes(os.path.expanduser("~"))
    shown = locked_paths.visible_paths(here.root, os.environ, python, environment=wanted.environment)
    named = [path for home in homes for path in (*home_view.allowed_paths(home), *_inside(home, shown))]
    claude = "its own sandbox contains its shell" if has_socat else "its shell is not contained: socat is not installed"
    read = locked_paths.readable_paths(here.root, wanted.read)
    hidden = [os.path.relpath(path, here.root) for path in locked_paths.hidden_env_files(here.root, seen, read)]
    known = ", ".join(dict.fromkeys((*named, *read))) or "nothing"
    of_checks = "checks of agents' steps, with the secrets of their own env only"
    kept = f"what judges them{''.join(f', {path}' for path in locks.read_only)}"
    return [
        ("contained", True, f"the shell of agent; {of_checks}; claude-code: {claude}; host: its checks only"),
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
        holder = locks.holder_pid(run_lock(here.root))
    except DoTasksError as error:
        return str(error)
    return f"held by pid {holder}, an executor of this plan" if holder else "free"


def _log(root: str) -> str:
    known = log_reader.recall(root)
    older = log_reader.rotated(root)
    return f"{known.offset} bytes, {len(known.states)} steps known" + (f", {len(older)} rotated" if older else "")


def _notifiers(plan: Plan, root: str) -> list[Row]:
    """Return for each notifier whether it is ready, as far as can be known without sending."""
    faults = [(one, notify_checks.trouble(one, root=root, environ=os.environ)) for one in plan.settings.notify]
    ready = "ready, not tried yet; to try it: do-tasks notify --test"
    return [("notify", not fault, f"{notify.label(one)}: {fault or ready}") for one, fault in faults]


def _secrets(plan: Plan, root: str) -> Iterator[Row]:
    """Yield the secrets of commands, of env files, and of the processes that name them."""
    named = NamedSecrets(urls=notify_names(plan.settings))
    given = inherited(os.environ, plan.settings.env)
    names = [name for name, value in given.items() if secrets_of({name: value}, named)]
    commands = f"commands receive {', '.join(names)}; masked in all output" if names else "none in the environment"
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
            yield "secrets", True, f"notifier {notify.label(one)} receives {', '.join(one.env)}"


def _env_file_secrets(step: Step, root: str) -> Iterator[Row]:
    paths = step.main.env_file if step.main else ()
    if not paths:
        return
    found = env_files.load(root, paths, os.environ)
    if found.trouble:
        yield "secrets", False, f"step {step.number}: {'; '.join(found.trouble)}"
        return
    names = ", ".join(found.values) or "nothing"
    yield "secrets", True, f"step {step.number}: {', '.join(paths)} sets {names} for its checks, TEST and MAIN only"


def _named_secrets(step: Step) -> Iterator[Row]:
    named = [("its agent's shell", step.main.env)] if step.main else []
    named += [(f"monitor {one.name}", one.env) for one in step.background]
    found = [f"{process} receives {', '.join(names)}" for process, names in named if names]
    if found:
        yield "secrets", True, f"step {step.number}: {'; '.join(found)}; others of its kind none"
