"""The checks of an agent's step, contained: without secrets and network, except those that a check names."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from executor.checks import kinds
from executor.checks.kinds import Place
from executor.guard import agent_baseline, autostart_files, ignore_files, locked_paths, protect, sandbox, startup_files
from executor.guard.file_state import list_in_words
from executor.guard.mounts import contained_argv
from executor.guard.surroundings import (
    allowed_autostart,
    autostart_before,
    clear_bits,
    file_clock_ns,
    put_aside,
    sandbox_settings,
    surroundings_of,
)
from executor.monitoring.model import path_of
from executor.store import runs
from executor.system import installation
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import without_secrets
from executor.system.shell.bash_command import guarded_argv
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.guard.mounts import Containment
    from executor.plan.model import Check
    from executor.store.context import RunContext
    from executor.store.task import Task

    Start = tuple[tuple[str, ...], dict[str, str]]

SCRATCH = "checks"
GIT = ".git"
OTHERS_START = "which other checks start with; what the plan wants stands in outputs"
FILE_KINDS = ("file", "matches", "metric", "result")  # built-ins that read files of the agent
# Variables that lead to keys.
REMOVED_VARIABLES = frozenset(("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "BASH_ENV", "ENV"))
# Caches in the project are not used: the agent could have written them.
NO_CACHE = {"MYPY_CACHE_DIR": os.devnull, "RUFF_NO_CACHE": "true"}
NO_NETWORK = (
    *("Network is unreachable", "name resolution", "Name or service not known", "Could not resolve host"),
    *("Connection refused", "ConnectError", "nodename nor servname", "EAI_AGAIN", "ENETUNREACH"),
)


class CheckContainment:
    """The containment of all checks of a task's POST."""

    def __init__(self, context: RunContext, task: Task, containment: Containment) -> None:
        self.containment = containment
        self._context = context
        self._mode = sandbox_settings(context, task).mode
        self._named = context.named_secrets(task)
        self._around = surroundings_of(context, task, private=task.runner == "agent")
        self._safe = self._safe_folders(task)
        if containment.kind != "none":
            autostart_files.make_placeholders(context.root, self._around.locks.placeholders)
        judges = (*agent_baseline.globs_of(context), GIT)
        self._startup = agent_baseline.startup_of(context, task)
        self._steering = self._steered_by()
        self._left: list[str] = []
        self._began_ns = file_clock_ns()
        self._read_only = (*protect.existing_paths(context.root, judges), *self._around.read_only, *self._steering)
        self._scratch = os.path.join(context.root, runs.JOBS, task.task_id, SCRATCH, "scratch")

    @property
    def refusal(self) -> str:
        """The reason why no check is started, empty for none: the sandbox that the plan requires is missing."""
        if self.containment.kind != "none" or self._mode != "required":
            return ""
        return f"sandbox: required: {self.containment.why}; install bubblewrap, or say sandbox: {{mode: auto}}"

    def _safe_folders(self, task: Task) -> tuple[str, ...]:
        """Return the folders of the project whose programs a check may start: no agent wrote to them."""
        context = self._context
        if sandbox_settings(context, task).environment == "writable":
            return locked_paths.environments(context.root, {**os.environ, **context.environ}, context.python)
        before = autostart_before(context, task)
        return tuple(one for one in self._around.locks.read_only if before is None or one in before)

    def command_of(self, check: Check, argv: tuple[str, ...], env: Mapping[str, str]) -> Start:
        """Return the command line of a check inside the sandbox, and its environment."""
        plain = {**env, "PATH": locked_paths.safe_path(self._context.root, env["PATH"], self._safe)}
        reads_private_files = check.kind in FILE_KINDS and self._is_private
        if kinds.CHECKS[check.kind].place is Place.CHILD_EXECUTOR and not reads_private_files:
            return argv, plain
        given = without_secrets(plain, check.env, self._named)
        given = {name: value for name, value in given.items() if name not in REMOVED_VARIABLES or name in check.env}
        return self._held(check, guarded_argv(argv)), {**given, **NO_CACHE}

    @staticmethod
    def runs_code(check: Check) -> bool:
        """Return True for a check that may run code of the agent: no other check runs beside it."""
        return kinds.CHECKS[check.kind].place is not Place.CHILD_EXECUTOR and not kinds.in_process(check)

    def check_new_files(self, task: Task) -> str:
        """Move new files aside that other checks would read at their start; return their names, empty for none."""
        steering = tuple(path for path in self._steered_by() if path not in self._steering)
        steering = tuple(path for path in steering if ignore_files.excludes_sources(self._context.root, path))
        put_aside(self._context, task, self._context.folder(task, SCRATCH), steering, when="its checks ran")
        self._left += [path for path in steering if path not in self._left]
        return escaped_line(list_in_words(steering))

    def check_after_all(self, task: Task) -> str:
        """Move new autostart files aside; return the reason why the checks do not count, empty for none."""
        self.check_new_files(task)
        around = self._around
        started = autostart_files.find_new(
            self._context.root,
            around.locks.before,
            allowed=allowed_autostart(sandbox_settings(self._context, task)),
            changed_since_ns=around.since_ns,
        )
        put_aside(self._context, task, self._context.folder(task, SCRATCH), started, when="its checks ran")
        clear_bits(self._context, task, self._began_ns, when="its checks ran")
        named = escaped_line(list_in_words(self._left))
        return f"a check left {named}, {OTHERS_START}" if named else ""

    def _steered_by(self) -> tuple[str, ...]:
        """Return the files that judging programs read as they start."""
        found = startup_files.find(self._context.root, self._startup)
        return (*found.files, *found.hiding)

    @property
    def _is_private(self) -> bool:
        return self._around.sight.private

    def _held(self, check: Check, argv: tuple[str, ...]) -> tuple[str, ...]:
        sight = self._around.sight
        asked = self._outside(check) if check.kind in FILE_KINDS else ()
        return contained_argv(
            self.containment.replace(network=check.network),
            argv,
            root=self._context.root,
            scratch=self._scratch,
            home=os.path.expanduser("~"),
            read_only=self._read_only,
            keep=(*self._around.keep, sys.prefix, sys.base_prefix, installation.IMPORT_FOLDER),
            sight=sight.replace(read=(*sight.read, *asked)),
        )

    def _outside(self, check: Check) -> tuple[str, ...]:
        """Return the folder outside the project that a check reads: the plan names it, so it is visible."""
        asks = check.asks
        glob = os.path.expanduser(str(asks.get("file") or path_of(asks)) if isinstance(asks, dict) else str(asks))
        if not os.path.isabs(glob):
            return ()
        names = glob.split(os.sep)
        fixed = next((at for at, name in enumerate(names) if set(name) & set("*?[")), len(names) - 1)
        folder = os.sep.join(names[:fixed])
        return (glob,) if os.path.exists(glob) else (folder,) if folder.count(os.sep) > 1 else ()

    def hint(self, check: Check, output: str) -> str:
        """Return a hint at a lack of the sandbox for a failed check, empty for none."""
        if self.containment.kind == "none":
            return ""
        if not check.network and any(error in output for error in NO_NETWORK):
            return "it ran without a network: add network: true to the check where it needs one"
        if "Read-only file system" in output:
            return "it ran contained: the environment, .git and what judges are read-only for it"
        return ""


@contextmanager
def contained_checks(context: RunContext, task: Task) -> Iterator[CheckContainment | None]:
    """Contain the checks of an agent's step meanwhile; with `sandbox: off` none."""
    wanted = sandbox_settings(context, task)
    if wanted.mode == "off":
        yield None
        return
    path = context.environ.get("PATH", os.defpath)
    held = CheckContainment(context, task, sandbox.find_containment(wanted.mode, network=False, path=path))
    try:
        with context.checks_inside(held):
            yield held
    finally:
        autostart_files.clear_placeholders(context.root)
