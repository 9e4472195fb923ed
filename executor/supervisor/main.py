"""The supervisor as a program: it takes the lock of a job and watches it."""

from __future__ import annotations

import gc
import os
import sys
import time

from executor.errors import BusyError, DoTasksError, MachineError
from executor.plan.plan import from_cache
from executor.store import jobs, log_reader, runs
from executor.store.context import RunContext
from executor.store.known_secrets import masker_here
from executor.store.log_writer import LogWriter
from executor.store.project import Project
from executor.store.project_view import ProjectView
from executor.store.step_state import of_task
from executor.supervisor.supervisor import JobSupervisor
from executor.system import locks, procfs, unsupported
from executor.system.masking import Masker
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME
from executor.system.secret_values import secrets_of

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from executor.store.log_processors import Processor
    from executor.system.locks import Lock

AGAIN_S = 20.0
NICE = 5  # the CPU time belongs to the training


def entry() -> NoReturn:
    """Run as a program with the arguments root of the project, task id, reason of the start."""
    root, task_id, why = sys.argv[1:4]
    code = 0
    try:
        watch(root, task_id, why)
    except DoTasksError as error:
        _write_log(str(error))
        code = 1
    except BaseException:  # noqa: BLE001 - it is logged, and the next supervisor tries again
        import traceback

        _write_log(traceback.format_exc())
        code = 70
    os._exit(code)  # a probe may hang in the kernel: do not wait for its thread


def _write_log(text: str) -> None:
    """Write a line to supervisor.log, the stderr of this process."""
    masked = Masker(secrets_of(os.environ)).mask(text)
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {masked}\n")
    sys.stderr.flush()


def watch(root: str, task_id: str, why: str) -> None:
    """Watch a job to its verdict, unless another supervisor does or it has one."""
    os.chdir(root)
    unsupported.suppress_messages()
    try:
        lock = locks.acquire(runs.job_lock(root, task_id))
    except BusyError:
        return
    job = runs.read_job(root, task_id)
    if not job:
        raise MachineError(f"cannot read {os.path.join(runs.JOBS, task_id, 'job.json')}: nothing says how to watch it")
    if not jobs.is_as_logged(root, task_id):
        where = os.path.join(runs.JOBS, task_id, "job.json")
        raise MachineError(f"{where} was changed since the job began; do-tasks --continue makes it again from the plan")
    recalled = log_reader.recall(root)
    state = of_task(recalled.states, job.get("step", -1), task_id)
    if state.task_id == task_id and state.verdict in ("", "started"):
        os.nice(max(0, NICE - os.nice(0)))
        gc.freeze()
        _keep(_context(root, job, recalled), job, why, lock)
    lock.release()


def _keep(context: RunContext, job: dict[str, Any], why: str, lock: Lock) -> None:
    """Watch the job; after a MachineError, such as a full disk, wait and start over from the log."""
    try:
        JobSupervisor(context, job).supervise(why)
    except MachineError as error:
        if context.task_state(job["step"], str(job["task_id"])).verdict != "started":
            raise
        _write_log(f"{error}; tried again in {AGAIN_S:g} s")
        if context.interrupts.sleep(AGAIN_S):
            lock.release()
            os.execve(sys.orig_argv[0], [*sys.orig_argv[:-1], "the machine refused"], os.environ)  # noqa: S606 - this program


def _context(root: str, job: dict[str, Any], recalled: log_reader.LogState) -> RunContext:
    plan = from_cache(job["plan"])
    project = Project(root, str(job["definitions"]))
    masker = masker_here(root, os.environ, str(job["task_id"]))
    processors = _processors(root, plan.settings.log_processors) if plan.settings.log_processors else ()
    view = ProjectView(project, plan, recalled, strict=bool(job["strict"]))
    procfs.adopt_orphans()
    journal = LogWriter(project.path(LOG_NAME), mask=masker.mask, processors=processors, plan=plan.settings.plan)
    context = RunContext(view, journal=journal, masker=masker, python=str(job["python"]))
    context.interrupts.listen()
    return context


def _processors(root: str, paths: tuple[str, ...]) -> tuple[Processor, ...]:
    """Return the usable log processors; an unusable one is reported in the log and does not fail the job."""
    from executor.store import log_processors

    unusable = dict(log_processors.trouble(root, paths))
    for message in unusable.values():
        unsupported.note_once(message, f"log processor left out: {message}")
    usable = tuple(path for place, path in enumerate(paths) if place not in unusable)
    return log_processors.load(root, usable, "")
