"""One run of a task's process: recorded, started, watched, read after its end."""

from __future__ import annotations

import os
import time

from executor.checks.criteria import wants_fresh
from executor.errors import MachineError
from executor.plan.params import VARIABLE as PARAM_VARIABLE
from executor.runners import evidence_before, kept_records
from executor.runners.outputs import agree, exit_text, outputs
from executor.runners.run_watch import RunWatch
from executor.store import known_secrets, provenance, runs
from executor.store.events import StraysStopped
from executor.store.fingerprint import variables_of_main
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

FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, the clock of file times; it moves every few milliseconds
NOT_FOUND = 127  # exit code of a shell for a program that it cannot start


class Run(Record):
    """A finished run: `verdict` and `reason` are set when do-tasks ended it.

    `long_stdout` and `long_stderr` are searched for the cause of a failure; they are empty after exit 0. `left` are the
    command lines of processes that remained when a job ended at once, `trailing` when it ended later.
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
        """The output for the log: the end of stdout, then of stderr; half of the tail each when both have output."""
        if not self.stderr:
            return self.stdout
        half = OUTPUT_TAIL // 2
        return f"{self.stdout[-half:]}[stderr]\n{self.stderr[-half:]}" if self.stdout else self.stderr


class LaunchRequest(Record):
    """The request for a run: `note` logs its pid before its command starts.

    `resume` is the checkpoint for DO_TASKS_RESUME; `environ` replaces the environment of commands.
    """

    run: str
    argv: tuple[str, ...]
    note: Callable[[int], None]
    resume: str = ""
    environ: Mapping[str, str] | None = None


def launch(
    context: RunContext,
    task: Task,
    request: LaunchRequest,
    *,
    limit_s: float,
    follow: Callable[[], str] | None = None,
    after: Callable[[], None] | None = None,
) -> Run:
    """Start a run under the launcher and watch it to its end.

    `follow` is called while it lives and returns a reason to stop it; `after` is called before its record is read.
    """
    pid = begin(context, task, request)
    ended = _watch(context, task, running(context, task, request.run, pid, limit_s), follow, after)
    return finished(context, task, ended)


def begin(context: RunContext, task: Task, request: LaunchRequest) -> int:
    """Start a run under the launcher and return its pid; MachineError while an earlier run is alive."""
    run, argv = request.run, request.argv
    runs.refuse_second_run(context.root, task.task_id, before=run)
    procfs.refuse_foreign_proc()
    evidence_before.remember(context, task)
    folder = runs.new_run(context.root, task.task_id, run)
    extra = {"DO_TASKS_RESUME": request.resume} if request.resume else {}
    environ = request.environ or environment(context, task, run, **extra)
    context.asked_git = provenance.start_git(context, task)
    held = launcher.start_paused(argv, environ, folder=folder, root=context.root)
    context.trace("start process", run=run, pid=held.pid, argv=" ".join(argv), folder=context.relative(folder))
    identity = procfs.identify(held.pid)
    if identity is None:
        raise MachineError(f"the launcher of {task.task_id}/{run} ended before MAIN began; see {folder}/stderr.log")
    if task.step.main and any(map(wants_fresh, task.step.main.criteria)):
        outlast_the_tick()
    identity = identity.replace(locked=held.locked, home=project_identity.folder_id(context.root))
    runs.write_started(folder, identity, command=context.masker.mask(" ".join(argv)), digest=task.digest)
    request.note(held.pid)
    # From here on a stop finds the launcher; an earlier stop may have found no process.
    (launcher.abandon if runs.stop_asked(context.root, task.task_id) else launcher.release)(held)
    return held.pid


def outlast_the_tick() -> None:
    """Wait until the clock of file times has moved, so that files of TEST are older than the record of MAIN."""
    before = time.clock_gettime_ns(FILE_CLOCK)
    while time.clock_gettime_ns(FILE_CLOCK) == before:
        time.sleep(0.0005)


def try_out(context: RunContext, task: Task, *, argv: tuple[str, ...], limit_s: float) -> Run:
    """Run TEST, without a launcher: a TEST is never adopted, it runs again."""
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
    """Return the environment of a run; MachineError when an env file cannot be read.

    A job gets PYTHONUNBUFFERED: its monitors read its output.
    """
    trouble = context.env_trouble(task)
    if trouble:
        raise MachineError(f"{trouble}; then go on")
    result = os.path.join(context.folder(task, run), "result.json")
    given = context.environment(task, DO_TASKS_RUN=f"{task.task_id}/{run}", DO_TASKS_RESULT=result, **extra)
    given = _with_params(context, task, given)
    return {"PYTHONUNBUFFERED": "1", **given} if task.step.is_job else given


def _with_params(context: RunContext, task: Task, given: dict[str, str]) -> dict[str, str]:
    """Return an environment with only the parameters that MAIN uses: no others are in its fingerprint."""
    used = variables_of_main(context, task.step, task.runner)
    return {name: value for name, value in given.items() if name in used or not name.startswith(PARAM_VARIABLE)}


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
    """Return the process of a run for the poll loop; an adopted process is no child of this one."""
    env = {project_identity.PROJECT_VARIABLE: project_identity.environment_mark(context.root)}
    command = Command(name=run, argv=(), env=env, token=f"{task.task_id}/{run}", limit_s=limit_s)
    return RunningProcess(command, pid, adopted=adopted, age_s=age_s)


def finished(context: RunContext, task: Task, ended: ProcessResult) -> Run:
    """Return a run that has just ended, with the exit code that its launcher wrote.

    The kernel reports the code of a child too: a record with another code is forged, and fails the run.
    """
    folder = context.folder(task, ended.name)
    written = runs.exit_of(folder)
    if written is not None and agree(written, ended):
        return _finished(context, task, written, ended)
    end = _unwritten(folder, ended)
    done = _finished(context, task, end, ended)
    if written is None or done.verdict not in (None, Verdict.LOST):
        return done
    why = f"exit.json says {exit_text(written)}, but the kernel says {exit_text(end)}: its launcher did not write that"
    return done.replace(verdict=Verdict.FAILED, reason=why)


def adopt(context: RunContext, task: Task, *, run: str, limit_s: float, follow: Callable[[], str] | None = None) -> Run:
    """Watch a run of an earlier executor to its end; one that has ended is read at once."""
    context.folder(task, run)
    seen = runs.status_of(context.root, task.task_id, run)
    identity = runs.launcher_of(context.root, task.task_id, run)
    if seen.status == "alive" and identity:
        age_s = procfs.age_s(identity)
        context.masker.learn(
            known_secrets.of_process(context.plan, context.root, identity.pid)
        )  # the environment of this executor may differ
        ended = _watch(
            context, task, running(context, task, run, seen.pid, limit_s, adopted=identity, age_s=age_s), follow
        )
        return finished(context, task, ended)
    return adopt_ended(context, task, run=run)


def adopt_ended(context: RunContext, task: Task, *, run: str) -> Run:
    """Return a run that ended unobserved; the processes that it left are ended."""
    folder = context.folder(task, run)
    end = runs.exit_of(folder) or Exit(None)
    context.end_strays(task, run)
    lasted_s = max(0.0, (end.ended_ns - runs.began_ns(folder)) / 1e9)
    return _finished(context, task, end, ProcessResult(name=run, verdict=Verdict.PASSED, duration_s=round(lasted_s, 3)))


def _watch(
    context: RunContext,
    task: Task,
    one: RunningProcess,
    follow: Callable[[], str] | None = None,
    after: Callable[[], None] | None = None,
) -> ProcessResult:
    folder = context.folder(task, one.command.name)
    watch = context.watch(RunWatch(context, task, folder, one, follow))
    watch.add(one)
    kept = kept_records.keep(context, task, one.command.name)
    ended: list[ProcessResult] = []
    while not ended:
        ended = watch.turn()
    if ended[0].stopped:
        context.log(StraysStopped(run=one.command.name, pids=ended[0].stopped), task)
    if after:
        after()
    kept_records.restore(context, task, kept)
    return ended[0]


def _finished(context: RunContext, task: Task, end: Exit, ended: ProcessResult) -> Run:
    folder = context.folder(task, ended.name)
    for name in ("stdout.log", "stderr.log"):  # result.json is judged first
        context.mask_file(os.path.join(folder, name))
    verdict, reason = _forced_end(context, task, end, ended)
    return Run(
        end=end,
        verdict=verdict,
        reason=reason,
        duration_s=ended.duration_s,
        **outputs(context, task, folder, end),
    )


def _unwritten(folder: str, ended: ProcessResult) -> Exit:
    """Write the end of a run whose launcher died before it did."""
    by_us = bool(ended.reason)
    end = Exit(ended.exit_code, signal=9 if by_us else ended.signal, by_us=by_us)
    runs.write_exit(folder, end)
    return end


def _forced_end(context: RunContext, task: Task, end: Exit, ended: ProcessResult) -> tuple[Verdict | None, str]:
    """Return the verdict and reason of a run that did not end by itself."""
    if ended.reason:
        return ended.verdict, ended.reason
    if runs.stop_asked(context.root, task.task_id):
        return Verdict.CANCELLED, runs.STOPPED
    if end.exit_code is None and not end.signal:
        return Verdict.LOST, "its process died and left no exit code"
    return None, ""
