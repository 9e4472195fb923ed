"""What a run works with: the project, the log, the clock, processes and secrets."""

from __future__ import annotations

import os
import time

from executor.plan import env_files
from executor.store import log_reader, masked_files, runs, spec_file
from executor.store.events import StraysStopped
from executor.store.known_secrets import notify_names
from executor.store.log_writer import LogWriter
from executor.store.project import STATE_FOLDER
from executor.store.project_view import ProjectView
from executor.store.state import fold
from executor.system import procfs, project_identity, safe_open
from executor.system.interrupts import Interrupts
from executor.system.masking import MASK
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.process_loop import ProcessLoop, stop_strays
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME
from executor.system.secret_values import NamedSecrets, secrets_of_env_file, without_secrets
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from executor.plan.model import Check
    from executor.plan.spec.spec_md import Mark
    from executor.store.events import Event
    from executor.store.log_processors import Processor
    from executor.store.log_writer import Follower
    from executor.store.task import Task
    from executor.system.masking import Masker

    Progress = Callable[[int, int], None]
    Waits = Callable[[str, str], None]
    Trace = Callable[..., None]
    Argv = tuple[str, ...]

    class RunScreen(Protocol):
        """Where a run shows its progress."""

        @property
        def bar(self) -> Progress:
            """Return the call that shows rows done of a total."""

        @property
        def waits(self) -> Waits:
            """Return the call that shows what is waited for, and until when."""

    class Enclosure(Protocol):
        """What holds the checks of a step that an agent did."""

        def command_of(self, check: Check, argv: Argv, env: Mapping[str, str]) -> tuple[Argv, dict[str, str]]:
            """Return the command line of a check inside the sandbox, and its environment."""

        def hint(self, check: Check, output: str) -> str:
            """Return a hint about the network or key that a failed check lacks in the sandbox; empty for none."""

        def runs_code(self, check: Check) -> bool:
            """Return True for a check that may run code of the agent."""

        def check_new_files(self, task: Task) -> str:
            """Put aside what came since the last look and steers checks; return what, empty for nothing."""


def _nobody_watches(done: int, total: int) -> None:
    """Show progress to nobody."""


def _nobody_waits(what: str, until: str) -> None:
    """Show what is waited for to nobody."""


def _no_trace(event: str, **fields: object) -> None:
    """Report an act of the executor nowhere."""


TOLD = (
    *("TASK_ID", "STEP", "RUN", "PROJECT", "TEST", "RESULT", "RESUME"),
    *("CHUNK", "OFFSET", "SIZE", "TOTAL", "ROWS", "CHECKPOINT_EVERY"),
)
MASKED = f"({MASK} is a secret, masked)"
OURS = frozenset(f"DO_TASKS_{name}" for name in TOLD)
BASICS = frozenset(("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "VIRTUAL_ENV"))


def inherited(environ: Mapping[str, str], names: tuple[str, ...] | None) -> dict[str, str]:
    """Return what commands inherit: all but what another task of ours was told, or what settings.env names."""
    if names is None:
        return {name: value for name, value in environ.items() if name not in OURS}
    return {name: value for name, value in environ.items() if name in BASICS or name in names}


class Invocation(Record):
    """How do-tasks was called: the selection as arguments of the command line, and its --project."""

    selection: tuple[str, ...] = ()
    folder: str = "."


def open_context(
    view: ProjectView,
    *,
    masker: Masker,
    python: str,
    followers: tuple[Follower, ...] = (),
    processors: tuple[Processor, ...] = (),
    invocation: Invocation | None = None,
    screen: RunScreen | None = None,
) -> RunContext:
    """Return the context of a run, with the log open for writing; the caller closes `journal`."""
    procfs.adopt_orphans()
    path = view.project.path(LOG_NAME)
    return RunContext(
        view,
        journal=LogWriter(path, mask=masker.mask, followers=followers, processors=processors),
        masker=masker,
        python=python,
        invocation=invocation,
        screen=screen,
    )


class RunContext(ProjectView):
    """What phases touch the world through. `states` follows the journal; `environ` is what commands inherit."""

    def __init__(
        self,
        view: ProjectView,
        *,
        journal: LogWriter,
        masker: Masker,
        python: str,
        invocation: Invocation | None = None,
        screen: RunScreen | None = None,
    ) -> None:
        super().__init__(view.project, view.plan, view.recalled, strict=view.strict, asked_runner=view.asked_runner)
        self.journal = journal
        self._told = view.recalled
        self.moved = view.moved
        self.states = view.states
        self.masker = masker
        self.environ = inherited(os.environ, view.plan.settings.env)
        self.python = python
        self.interrupts = Interrupts()
        self.invocation = invocation or Invocation()
        self.progress: Progress = screen.bar if screen else _nobody_watches
        self.waits: Waits = screen.waits if screen else _nobody_waits
        self.trace: Trace = _no_trace  # `do-tasks -v` shows what it is given
        self.enclosure: Enclosure | None = None
        self.evidence: dict[str, bytes] = {}  # records of what was there before MAIN, by path, as they were written
        self.has_masked = False  # a file of a run or a check held a secret
        self.programs: dict[str, str] = {}  # paths of programs that checks start, by name

        journal.follow(self._fold)

    def _fold(self, line: dict[str, Any]) -> None:
        """Bring `states` up to a line that was just written."""
        self.states = fold(self.states, (line,))

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def local_time(self) -> str:
        """Return the time a person reads in SPEC.md."""
        return time.strftime("%Y-%m-%d %H:%M")

    def log(self, event: Event, task: Task) -> dict[str, Any]:
        """Write a fact of this task."""
        return self.journal.write(event, task_id=task.task_id, step=task.step.number)

    def hear(self, *task_ids: str) -> None:
        """Take in what others wrote to the log since; followers are shown the lines of these tasks, once."""
        before = self._told
        self._told = self.recalled = log_reader.catch_up(self.root, self.recalled)
        if self.recalled.offset != before.offset or self.recalled.inode != before.inode:
            start = before.offset if self.recalled.inode == before.inode else 0
            for task_id in task_ids:
                for line in log_reader.lines_of(self.root, task_id, start):
                    self.journal.tell(line)
        self.take_in(self.recalled)

    def watch(self, beat: Callable[[], None] | None = None) -> ProcessLoop:
        """Return a poll loop that heeds our interrupts."""
        return ProcessLoop(self.interrupts, beat=beat, mask=self.masker.mask_bytes_equal_length)

    def environment(self, task: Task, **extra: str) -> dict[str, str]:
        """Return what a child of this task is given: its folder, the project's interpreter first on its PATH."""
        given = {**self.environ, **self._of_env_files(task)}
        folders = (os.path.dirname(self.python), given.get("PATH", os.defpath))
        return {
            **given,
            "PATH": os.pathsep.join(filter(None, folders)),  # an empty folder would be the one we stand in
            "PWD": self.root,
            "DO_TASKS_TASK_ID": task.task_id,
            "DO_TASKS_STEP": str(task.step.number),
            project_identity.PROJECT_VARIABLE: project_identity.environment_mark(self.root),
            **extra,
        }

    def _of_env_files(self, task: Task) -> Mapping[str, str]:
        """Return the variables of the step's env files; their values are masked from now on."""
        main = task.step.main
        if main is None or not main.env_file:
            return {}
        values = env_files.load(self.root, main.env_file, self.environ).values
        self.masker.learn(secrets_of_env_file(values))
        return values

    def env_trouble(self, task: Task) -> str:
        """Return the error of the step's env files, empty for none."""
        main = task.step.main
        trouble = env_files.load(self.root, main.env_file, self.environ).trouble if main else ()
        return "; ".join(trouble)

    def named_secrets(self, task: Task) -> NamedSecrets:
        """Return the variables that are secrets because the plan says so."""
        return NamedSecrets(notify_names(self.plan.settings), tuple(self._of_env_files(task)))

    def without_secrets(self, task: Task, allow: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the environment of a child of this task, without secrets but those named in `allow`."""
        return without_secrets(self.environment_with(task, allow), allow, self.named_secrets(task))

    def environment_with(self, task: Task, names: Iterable[str]) -> dict[str, str]:
        """Return the environment with what these names stand for here, also when settings.env names others."""
        return {**{name: os.environ[name] for name in names if name in os.environ}, **self.environment(task)}

    def check_new_files(self, task: Task) -> str:
        """Put aside start-up files that the last check left, and return them; none without an agent."""
        return self.enclosure.check_new_files(task) if self.enclosure else ""

    def hint(self, check: Check, output: str) -> str:
        """Return what a failed check may have lacked where it was held in, empty when nothing tells."""
        return self.enclosure.hint(check, output) if self.enclosure else ""

    def folder(self, task: Task, run: str) -> str:
        """Return the path of a run's folder."""
        return runs.run_folder(self.root, task.task_id, run)

    def end_strays(self, task: Task, run: str) -> None:
        """End what a run left alive; an empty run means every run of the task."""
        ended = stop_strays(f"{task.task_id}/{run}", self.interrupts, root=self.root)
        if ended:
            self.log(StraysStopped(run=run, pids=ended), task)

    def mark(self, number: int, *, state: str, mark: Mark, task_id: str) -> spec_file.Change:
        """Change one line of SPEC.md."""
        lock = self.project.path(STATE_FOLDER, "spec.lock")
        self.trace("write SPEC.md", task_id=task_id, step=number, box=f"[{state}]")
        return spec_file.mark(self.project.spec, lock, number=number, state=state, mark=mark, task_id=task_id)

    def tail(self, path: str, size: int = OUTPUT_TAIL) -> str:
        """Return the end of a run's file, as text."""
        try:
            return safe_open.read_end(path, size).decode("utf-8", "replace")
        except OSError:  # gone, or what is there now is no file: the run did that to its own record
            return ""

    def mask_file(self, path: str) -> None:
        """Overwrite secrets in a run's file in place, equal length, a block at a time."""
        self.has_masked |= masked_files.mask_file(path, self.masker)

    def mask_results(self, task: Task) -> None:
        """Mask the result files of a task, which are judged by now."""
        names = masked_files.public_names(task.step)
        self.has_masked |= masked_files.mask_results(self.root, task.task_id, self.masker, names)

    def masked_reason(self, reason: str) -> str:
        """Return a reason without secrets; one that lost some says what the marks in it mean."""
        masked = self.masker.mask(escaped_line(reason))
        lost = masked != reason or self.has_masked
        return f"{masked} {MASKED}" if lost and MASK in masked and MASKED not in masked else masked

    def relative(self, path: str) -> str:
        """Return a path as a person in the project's folder would type it."""
        return os.path.relpath(path, self.root) if path else ""
