"""One run of a task's process: on record first, let go, watched, its end kept."""

from __future__ import annotations

import os
import time

from executor.checks.criteria import wants_fresh
from executor.errors import MachineError
from executor.runners import evidence_before
from executor.runners.exit_text import agree, told
from executor.runners.outputs import outputs
from executor.runners.run_watch import RunWatch
from executor.store import known_secrets, runs, twins
from executor.store.events import StraysStopped
from executor.system import files, launcher, procfs, project_identity
from executor.system.outcome import Verdict
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.process import CannotStartError, Command, ProcessResult, RunningProcess
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.run_records import Identity

FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE: files are dated by it, some milliseconds a tick
NOT_FOUND = 127  # what a shell gives for a program that it cannot start


class Run(Record):
    """A finished run: `verdict` and `reason` are set when we ended it ourselves.

    `long_stdout` and `long_stderr` are what the cause of a failure is looked for in; they are empty after exit 0.
    `left` are the command lines of what a job left running that ended as soon as it began; `trailing` of what one left
    that ended well later: that is ended too, and told.
    """

    end: Exit
    verdict: Verdict | None
    reason: str
    duration_s: float
    stdout: str
    stderr: str
    output_file: str
    long_stdout: str = ""
    long_stderr: str = ""
    left: tuple[str, ...] = ()
    trailing: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """What the log shows: the end of stdout, then of stderr, half a tail each when both speak."""
        if not self.stderr:
            return self.stdout
        half = OUTPUT_TAIL // 2
        return f"{self.stdout[-half:]}[stderr]\n{self.stderr[-half:]}" if self.stdout else self.stderr


class LaunchRequest(Record):
    """What a run is to do: `note` logs its pid before it is let go.

    `resume` is the checkpoint that the script is told of; `environ` is given instead of what commands are.
    """

    run: str
    argv: tuple[str, ...]
    note: Callable[[int], None]
    resume: str = ""
    environ: Mapping[str, str] | None = None


def launch(
    context: RunContext,
    task: Task,
    errand: LaunchRequest,
    *,
    limit_s: float,
    hear: Callable[[], str] | None = None,
    after: Callable[[], None] | None = None,
) -> Run:
    """Start a run under the launcher and see it through.

    `hear` is called while it lives, and says why it must end; `after` when it has ended, before its record is read.
    """
    pid = begin(context, task, errand)
    ended = _watch(context, task, running(context, task, errand.run, pid, limit_s), hear)
    if after:
        after()
    return finished(context, task, ended)


def begin(context: RunContext, task: Task, errand: LaunchRequest) -> int:
    """Start a run under the launcher and return its pid; MachineError while the run before it lives."""
    run, argv = errand.run, errand.argv
    twins.refuse_a_twin(context.root, task.task_id, before=run)
    procfs.refuse_foreign_proc()
    evidence_before.remember(context, task)
    folder = runs.new_run(context.root, task.task_id, run)
    extra = {"DO_TASKS_RESUME": errand.resume} if errand.resume else {}
    environ = errand.environ or environment(context, task, run, **extra)
    held = launcher.start_paused(argv, environ, folder=folder, root=context.root)
    context.trace("start process", run=run, pid=held.pid, argv=" ".join(argv), folder=context.relative(folder))
    identity = procfs.identify(held.pid)
    if identity is None:
        raise MachineError(f"the launcher of {task.task_id}/{run} died before it was let go; see {folder}/stderr.log")
    if task.step.main and any(map(wants_fresh, task.step.main.criteria)):
        outlast_the_tick()
    identity = identity.replace(locked=held.locked, home=project_identity.folder_id(context.root))
    runs.write_started(folder, identity, command=context.masker.mask(" ".join(argv)), digest=task.digest)
    errand.note(held.pid)
    # Whoever asks for a stop from here on finds the launcher; who asked before may have found nobody.
    (launcher.abandon if runs.stop_asked(context.root, task.task_id) else launcher.release)(held)
    return held.pid


def outlast_the_tick() -> None:
    """Wait until the clock of files has moved, so that what TEST wrote last is older than MAIN's record."""
    before = time.clock_gettime_ns(FILE_CLOCK)
    while time.clock_gettime_ns(FILE_CLOCK) == before:
        time.sleep(0.0005)


def try_out(context: RunContext, task: Task, *, argv: tuple[str, ...], limit_s: float) -> Run:
    """Run TEST: without a launcher, for nobody adopts it; what is left of one is ended and it runs again."""
    folder = runs.new_run(context.root, task.task_id, "test")
    evidence_before.note_test(folder)
    try:
        pid = launcher.start_detached(argv, environment(context, task, "test", DO_TASKS_TEST="1"), folder=folder)
    except CannotStartError as error:
        files.replace(os.path.join(folder, "stderr.log"), str(error).encode("utf-8", "surrogateescape"))
        return _finished(context, task, Exit(NOT_FOUND), ProcessResult(name="test", verdict=Verdict.FAILED))
    ended = _watch(context, task, running(context, task, "test", pid, limit_s))
    return _finished(context, task, Exit(ended.exit_code, signal=ended.signal, by_us=bool(ended.reason)), ended)


def environment(context: RunContext, task: Task, run: str, **extra: str) -> dict[str, str]:
    """Return what a run's process is given; MachineError when an env file cannot be read.

    Python of a job prints at once, for its monitors read that.
    """
    trouble = context.env_trouble(task)
    if trouble:
        raise MachineError(f"{trouble}; then go on")
    result = os.path.join(context.folder(task, run), "result.json")
    given = context.environment(task, DO_TASKS_RUN=f"{task.task_id}/{run}", DO_TASKS_RESULT=result, **extra)
    return {"PYTHONUNBUFFERED": "1", **given} if task.step.is_job else given


def running(
    context: RunContext,
    task: Task,
    run: str,
    pid: int,
    limit_s: float,
    *,
    adopted: Identity | None = None,
    age_s: float = 0.0,
) -> RunningProcess:
    """Return a run's process as something to watch; an adopted one is no child of ours."""
    env = {project_identity.PROJECT_VARIABLE: project_identity.environment_mark(context.root)}
    command = Command(name=run, argv=(), env=env, token=f"{task.task_id}/{run}", limit_s=limit_s)
    return RunningProcess(command, pid, adopted=adopted, age_s=age_s)


def finished(context: RunContext, task: Task, ended: ProcessResult) -> Run:
    """Return a run that has just ended, with the exit code that its launcher wrote.

    Of a child of this process the kernel tells the code too: a record that says another one is not the launcher's.
    """
    folder = context.folder(task, ended.name)
    written = runs.exit_of(folder)
    if written is not None and agree(written, ended):
        return _finished(context, task, written, ended)
    end = _unwritten(folder, ended)
    done = _finished(context, task, end, ended)
    if written is None or done.verdict not in (None, Verdict.LOST):
        return done
    why = f"exit.json says {told(written)}, but the kernel says {told(end)}: its launcher did not write that"
    return done.replace(verdict=Verdict.FAILED, reason=why)


def adopt(context: RunContext, task: Task, *, run: str, limit_s: float, hear: Callable[[], str] | None = None) -> Run:
    """Watch a run to its end that an executor before us started; one that has ended is read at once."""
    context.folder(task, run)
    seen = runs.look_at(context.root, task.task_id, run)
    identity = runs.launcher_of(context.root, task.task_id, run)
    if seen.status == "alive" and identity:
        age_s = procfs.age_s(identity)
        context.masker.learn(known_secrets.of_process(context.plan, context.root, identity.pid))  # ours may be another
        ended = _watch(
            context, task, running(context, task, run, seen.pid, limit_s, adopted=identity, age_s=age_s), hear
        )
        return finished(context, task, ended)
    return adopt_ended(context, task, run=run)


def adopt_ended(context: RunContext, task: Task, *, run: str) -> Run:
    """Return a run that ended while nobody watched; what it left alive is ended."""
    folder = context.folder(task, run)
    end = runs.exit_of(folder) or Exit(None)
    context.end_strays(task, run)
    lasted_s = max(0.0, (end.ended_ns - runs.began_ns(folder)) / 1e9)
    return _finished(context, task, end, ProcessResult(name=run, verdict=Verdict.PASSED, duration_s=round(lasted_s, 3)))


def _watch(
    context: RunContext, task: Task, one: RunningProcess, hear: Callable[[], str] | None = None
) -> ProcessResult:
    folder = context.folder(task, one.command.name)
    watch = context.watch(RunWatch(context, task, folder, one, hear))
    watch.add(one)
    ended: list[ProcessResult] = []
    while not ended:
        ended = watch.turn()
    if ended[0].stopped:
        context.log(StraysStopped(run=one.command.name, pids=ended[0].stopped), task)
    return ended[0]


def _finished(context: RunContext, task: Task, end: Exit, ended: ProcessResult) -> Run:
    folder = context.folder(task, ended.name)
    for name in ("stdout.log", "stderr.log"):  # result.json is judged first
        context.mask_file(os.path.join(folder, name))
    verdict, reason = _by_us(context, task, end, ended)
    return Run(
        end=end,
        verdict=verdict,
        reason=reason,
        duration_s=ended.duration_s,
        **outputs(context, task, folder, end),
    )


def _unwritten(folder: str, ended: ProcessResult) -> Exit:
    """Record the end of a run whose launcher did not live to write it."""
    by_us = bool(ended.reason)
    end = Exit(ended.exit_code, signal=9 if by_us else ended.signal, by_us=by_us)
    runs.write_exit(folder, end)
    return end


def _by_us(context: RunContext, task: Task, end: Exit, ended: ProcessResult) -> tuple[Verdict | None, str]:
    """Return the verdict and reason of a run that did not end by itself."""
    if ended.reason:
        return ended.verdict, ended.reason
    if runs.stop_asked(context.root, task.task_id):
        return Verdict.CANCELLED, runs.STOPPED
    if end.exit_code is None and not end.signal:
        return Verdict.LOST, "its process died and left no exit code"
    return None, ""
