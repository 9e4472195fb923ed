"""The context of a run: project, log, clock, processes and secrets."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from executor.plan import env_files
from executor.store import known_secrets, log_reader, runs, spec_file
from executor.store.events import StraysStopped
from executor.store.inherited import inherited
from executor.store.known_secrets import notify_names
from executor.store.project import STATE_FOLDER, interpreter
from executor.store.project_view import ProjectView
from executor.store.state import fold
from executor.store.step_values import variables_of
from executor.system import project_identity, safe_open
from executor.system.interrupts import Interrupts
from executor.system.masking import MASK
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.process_loop import ProcessLoop, stop_strays
from executor.system.records import TYPE_CHECKING, Record
from executor.system.secret_values import NamedSecrets, secrets_of_env_file, without_secrets
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from executor.plan.model import Check
    from executor.plan.params import Value
    from executor.plan.spec.spec_md import Mark
    from executor.plan.step_ids import StepId
    from executor.store.events import Event
    from executor.store.log_writer import LogWriter
    from executor.store.run_protocols import Enclosure, Progress, RunScreen, Trace, Waits
    from executor.store.spec_marks import SpecMarks
    from executor.store.task import Task
    from executor.system.masking import Masker
    from executor.system.process import RunningProcess


def _ignore(*_: object, **__: object) -> None:
    """Show nothing: the screen of a process without a terminal."""


MASKED = f"({MASK} is a secret, masked)"


class Invocation(Record):
    """The call of do-tasks: the selection as arguments of the command line, and its --project."""

    selection: tuple[str, ...] = ()
    folder: str = "."


class RunContext(ProjectView):
    """A project during a run, with its log, clock, processes and secrets.

    `journal` writes the log, and `states` follow each line of it. `environ` is the environment that commands inherit,
    `python` the project's interpreter. `trace` receives each act of the executor for `do-tasks -v`. `enclosure`
    contains the checks of a step that an agent did, and is None for other steps. `evidence` has, by path, the records
    of the files before MAIN. `has_masked` is True when a file of a run or a check contained a secret. `programs` caches
    the paths of programs that checks start. `beside` are the steps of this run that may run at the same time, `devices`
    the GPUs of the step that runs. `asked_git` is the git process that examines the revision for the next run of MAIN.
    """

    def __init__(
        self,
        view: ProjectView,
        *,
        journal: LogWriter,
        masker: Masker,
        python: str,
        invocation: Invocation | None = None,
        screen: RunScreen | None = None,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(view.project, view.plan, view.recalled, strict=view.strict, asked_runner=view.asked_runner)
        self.moved, self.states, self.given = view.moved, view.states, view.given
        self.journal = journal
        self._followed = view.recalled
        self.masker = masker
        self.environ = inherited(os.environ, view.plan.settings.env)
        self.python = python
        self.interrupts = Interrupts()
        self.invocation = invocation or Invocation()
        self.progress: Progress = screen.bar if screen else _ignore
        self.waits: Waits = screen.waits if screen else _ignore
        self.trace: Trace = trace or _ignore
        self.enclosure: Enclosure | None = None
        self.evidence: dict[str, bytes] = {}
        self.has_masked = False
        self.asked_git: RunningProcess | None = None
        self.programs: dict[str, str] = {}
        self.beside: frozenset[StepId] = frozenset()
        self.devices: tuple[str, ...] = ()
        self._marks: SpecMarks | None = None
        journal.follow(self._fold)

    def _fold(self, line: dict[str, Any]) -> None:
        """Fold a line that was just written into `states`."""
        self.states = fold(self.states, (line,), self.plan.settings.plan)

    def branch(self, interrupts: Interrupts) -> RunContext:
        """Return a context of the same run for another thread, whose `states` follow the lines of that thread.

        Lines of other threads are folded at the next `catch_up`, here and there.
        """
        from executor.store.spec_marks import SpecMarks

        self._marks = self._marks or SpecMarks(self.project.spec, self.project.path(STATE_FOLDER, "spec.lock"))
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.interrupts = interrupts
        made.progress = made.waits = _ignore
        made._filled = {}  # of the states of its thread
        self.journal.follow_here(made._fold)
        return made

    def begin_branches(self) -> None:
        """Fold only the lines of this thread from now on."""
        self.journal.follow_only_here(self._fold)

    def follow_run(self, lead: RunContext) -> None:
        """Take over the plan and the states that another context of this run has read."""
        self.project, self.plan, self._steps, self.moved = lead.project, lead.plan, lead._steps, lead.moved
        self._filled = lead._filled
        self.states, self.recalled, self.beside = lead.states, lead.recalled, lead.beside

    @contextmanager
    def cell(self, number: StepId, values: Mapping[str, Value]) -> Iterator[None]:
        """Give a step the values of one cell of its matrix, inside the `with` block."""
        before = self.given
        self.given = before.replace(cell=(number, values))
        try:
            yield
        finally:
            self.given = before

    @contextmanager
    def checks_inside(self, enclosure: Enclosure) -> Iterator[None]:
        """Contain the checks that start inside the `with` block."""
        self.enclosure = enclosure
        try:
            yield
        finally:
            self.enclosure = None

    def find_python(self) -> None:
        """Look for the project's interpreter again when it is gone: an agent may have removed its environment."""
        if not os.path.exists(self.python):
            self.python = interpreter(self.project, self.plan.settings.python, dict(os.environ))

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def local_time(self) -> str:
        """Return the time a person reads in SPEC.md."""
        return time.strftime("%Y-%m-%d %H:%M")

    def log(self, event: Event, task: Task) -> dict[str, Any]:
        """Write a fact of this task."""
        return self.journal.write(event, task_id=task.task_id, step=task.step.number)

    def catch_up(self, *task_ids: str, anew: bool = False) -> None:
        """Read the lines that other processes added to the log; show followers those of these tasks, once.

        `anew` reads the whole log: it may have been replaced.
        """
        before, known = self._followed, log_reader.recall(self.root) if anew else self.recalled
        self._followed = now = log_reader.catch_up(self.root, known)
        if (now.offset, now.inode) != (before.offset, before.inode):
            start = before.offset if now.inode == before.inode else 0
            for task_id in task_ids:
                for line in log_reader.lines_of(self.root, task_id, start, now.offset):
                    self.journal.show(line)
        self.use_log(now)

    def watch(self, beat: Callable[[], None] | None = None) -> ProcessLoop:
        """Return a poll loop that ends with the interrupts of this run."""
        return ProcessLoop(self.interrupts, beat=beat, mask=self.masker.mask_bytes_equal_length)

    def environment(self, task: Task, **extra: str) -> dict[str, str]:
        """Return the environment of a child of this task, with the project's interpreter first on its PATH."""
        given = {**self.environ, **self._of_env_files(task)}
        if task.step.main and "gpus" in task.step.main.resources:
            devices = self.devices or runs.read_devices(self.root, task.task_id)
            given["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        folders = (os.path.dirname(self.python), given.get("PATH", os.defpath))
        return {
            **given,
            "PATH": os.pathsep.join(filter(None, folders)),  # an empty entry would be the working directory
            "PWD": self.root,
            "DO_TASKS_TASK_ID": task.task_id,
            "DO_TASKS_STEP": str(task.step.number),
            **variables_of(self, task.step.number),
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
        """Return the environment with these variables of the executor, even when settings.env does not name them."""
        return {**{name: os.environ[name] for name in names if name in os.environ}, **self.environment(task)}

    def check_new_files(self, task: Task) -> str:
        """Move start-up files aside that the last check left, and return them; none without an agent."""
        return self.enclosure.check_new_files(task) if self.enclosure else ""

    def hint(self, check: Check, output: str) -> str:
        """Return a hint about what a failed check lacked in its containment, empty for none."""
        return self.enclosure.hint(check, output) if self.enclosure else ""

    def folder(self, task: Task, run: str) -> str:
        """Return the path of a run's folder."""
        return runs.run_folder(self.root, task.task_id, run)

    def end_strays(self, task: Task, run: str) -> None:
        """Stop the processes that a run left; an empty run means every run of the task."""
        ended = stop_strays(f"{task.task_id}/{run}", self.interrupts, root=self.root)
        if ended:
            self.log(StraysStopped(run=run, pids=ended), task)

    def mark(self, number: StepId, *, state: str, mark: Mark, task_id: str) -> spec_file.Change:
        """Change one line of SPEC.md."""
        lock = self.project.path(STATE_FOLDER, "spec.lock")
        self.trace(f"write {self.source.name}", task_id=task_id, step=number, box=f"[{state}]")
        if self._marks and not self.plan.settings.plan:
            return self._marks.write(spec_file.WantedMark(number=number, state=state, mark=mark, task_id=task_id))
        return self.source.mark(lock, number=number, state=state, mark=mark, task_id=task_id)

    def tail(self, path: str, size: int = OUTPUT_TAIL) -> str:
        """Return the end of a run's file, as text."""
        try:
            return safe_open.read_end(path, size).decode("utf-8", "replace")
        except OSError:  # gone, or no regular file: the run changed its own record
            return ""

    def mask_file(self, path: str) -> None:
        """Overwrite secrets in a run's file in place, equal length, a block at a time."""
        self.has_masked |= known_secrets.mask_file(path, self.masker)

    def mask_results(self, task: Task) -> None:
        """Mask the result files of a task, after they were judged."""
        names = known_secrets.public_names(task.step)
        self.has_masked |= known_secrets.mask_results(self.root, task.task_id, self.masker, names)

    def masked_reason(self, reason: str) -> str:
        """Return a reason without secrets; one with masked parts explains the mask."""
        masked = self.masker.mask(escaped_line(reason))
        lost = masked != reason or self.has_masked
        return f"{masked} {MASKED}" if lost and MASK in masked and MASKED not in masked else masked

    def relative(self, path: str) -> str:
        """Return a path relative to the project's folder."""
        return os.path.relpath(path, self.root) if path else ""
