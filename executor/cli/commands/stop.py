"""`stop`: end a task and every process it started."""

from __future__ import annotations

import os
import re
import time

from executor.cli.job_reader import caught_up
from executor.cli.options import option
from executor.cli.tasks import logged_plan, run_lock, step_of
from executor.errors import BusyError, MachineError, UsageError
from executor.plan.spec.spec_md import Mark
from executor.plan.step_ids import TASK
from executor.store import known_secrets, log_reader, project, runs
from executor.store.events import SpecMarked, StepFailed, StraysStopped
from executor.store.known_secrets import masker_here
from executor.store.log_writer import LogWriter
from executor.store.plan_source import source_here
from executor.store.step_state import of_task
from executor.system import locks, process_loop, run_processes
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process import STOP
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING
from executor.system.run_lock import is_held
from executor.system.run_records import LOG_NAME
from executor.system.text import clean_control, counted

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.plan.step_ids import StepId

OPEN = ("", "started", "interrupted", "lost", "waiting")
JOB_GRACE_S = 10.0  # enough for a training to save a checkpoint
MOST_GRACE_S = 3600.0
VERDICT_S = 30.0
BEGIN_S = 2.0  # in which an executor starts the supervisor of a new job
POLL_S = 0.05
SUPERVISOR_S = 12.0  # a supervisor looks every 5 s at least

OPTIONS = (
    option("task_id", help="as in the transcript, SPEC.md or the log"),
    option(
        "--grace",
        type=duration_argument,
        metavar="TIME",
        help="between TERM and KILL (default: 10 s for a background job, else 2 s)",
    ),
)


def run(args: Namespace) -> Verdict:
    """End the processes of the task, then record its verdict unless its executor or supervisor does."""
    if (args.grace or 0) > MOST_GRACE_S:
        raise UsageError(f"--grace is {MOST_GRACE_S:g} s at most")
    here = project.find_for(args.plan, args.project)
    if not TASK.fullmatch(args.task_id) or not _is_known(here, args.task_id):
        raise UsageError(f"no task {clean_control(args.task_id)} here; {_hint(here, args.task_id)}")
    runs.ask_stop(here.root, args.task_id)
    return Stop(here, args.task_id, step_of(here.root, args.task_id), args.grace).run()


def _is_known(here: project.Project, task_id: str) -> bool:
    """Return True for a task with a folder, with lines in the log, or with a living process."""
    if os.path.isdir(here.path(runs.JOBS, task_id)) or any(log_reader.task_lines(here.root, task_id)):
        return True
    return bool(run_processes.pids_with_token(f"{task_id}/", here.root))


def _hint(here: project.Project, text: str) -> str:
    """Return the command to type instead: for the number of a step, the one that stops its newest task."""
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    state = log_reader.recall(here.root).states.get(number)
    return f"stop the newest of step {number} with: do-tasks stop {state.task_id}" if state else "see: do-tasks list"


class Stop:
    """The end of one task: of its processes, then its verdict in the log and in SPEC.md."""

    def __init__(self, here: project.Project, task_id: str, number: StepId, grace_s: float | None) -> None:
        self._here, self._root, self._task_id, self._number = here, here.root, task_id, number
        self._is_job = runs.is_job(self._root, task_id)
        (first, usual_s), *rest = STOP
        self._grace_s = grace_s if grace_s is not None else JOB_GRACE_S if self._is_job else usual_s
        self._sequence = ((first, self._grace_s), *rest)
        self._seen = runs.newest_status(self._root, task_id)
        self._masker = masker_here(self._root, os.environ, task_id)  # reads the environments of living processes
        self._ended: tuple[int, ...] = ()

    def run(self) -> Verdict:
        """End the processes, print the result; WAITING when a process is left."""
        token, interrupts = f"{self._task_id}/", Interrupts()
        self._ended = process_loop.stop_strays(token, interrupts, root=self._root, sequence=self._sequence)
        process_loop.wait_until_reaped(self._ended, interrupts)
        text, is_over = self._end_rest()
        if is_over and self._is_job:
            text = f"{text}; {self._settle()}"
        elif is_over and not self._executor():  # an executor that runs the task writes the verdict itself
            self._close()
        print(clean_control(f"{self._task_id}: {text}"))
        return Verdict.PASSED if is_over else Verdict.WAITING

    def _end_rest(self) -> tuple[str, bool]:
        """Have processes out of reach ended by the supervisor or executor of the task.

        Returns the result in words, and whether no process is left. Raises MachineError for processes of another
        user.
        """
        left = run_processes.find_living(run_processes.ProcessQuery(f"{self._task_id}/", self._root))
        ended = f"ended {counted(len(self._ended), 'process', 'processes')}" if self._ended else ""
        if left and not self._watcher():
            pids = ", ".join(map(str, sorted(left)))
            raise MachineError(
                f"{self._task_id}: {ended or 'ended nothing'}; this user cannot end pid {pids}; ask its owner"
            )
        held = runs.living_run(self._root, self._task_id)
        if left:
            return self._end_by_watcher(self._seen.run, "as another user", is_locked=bool(held))
        if self._seen.status == "foreign":
            return f"it runs {self._seen.where}, and was left alone: this folder is a copy of that one", True
        if not held and self._seen.status != "elsewhere":
            return ended or "nothing of it was running", True
        where = self._seen.where or "out of sight"
        return self._end_by_watcher(held or self._seen.run, where, is_locked=bool(held))

    def _end_by_watcher(self, run: str, where: str, *, is_locked: bool) -> tuple[str, bool]:
        watcher = self._watcher()
        if not watcher:
            text = f"{run} runs {where}, where no supervisor watches it"
            return (f"{text}; stop it there", False) if is_locked else (f"{text}; it was not ended from here", True)
        runs.ask_end(self._root, self._task_id, grace_s=self._grace_s)
        folder = runs.run_folder(self._root, self._task_id, run)
        until = time.monotonic() + self._grace_s + SUPERVISOR_S
        while lives := is_held(folder) if is_locked else runs.exit_of(folder) is None:
            if time.monotonic() > until:
                break
            time.sleep(POLL_S)
        if lives:
            return f"{run} runs {where}; {watcher} was asked to end it and has not yet", False
        return f"{run}, which runs {where}, was ended by {watcher}", True

    def _executor(self) -> str:
        return locks.holder_pid(run_lock(self._root))

    def _watcher(self) -> str:
        """Return the process that watches the task and can end it, empty without one."""
        if supervisor := runs.supervisor(self._root, self._task_id):
            return f"its supervisor (pid {supervisor})"
        executor = self._executor()
        return f"its executor (pid {executor})" if executor else ""

    def _settle(self) -> str:
        """Wait for the verdict of a job, write it when no other process does, and return it in words."""
        began, recalled = time.monotonic(), log_reader.recall(self._root)
        while True:
            supervisor = runs.supervisor(self._root, self._task_id)
            state = of_task(recalled.states, self._number, self._task_id)
            if state.task_id != self._task_id:
                return "its verdict: in the log, with a newer task of its step"
            if state.verdict not in OPEN:
                return f"its verdict: {state.verdict}"
            if time.monotonic() - began >= self._patience_s(supervisor):
                break
            time.sleep(POLL_S)
            recalled = caught_up(self._root, recalled)
        if supervisor:
            late = f"no verdict within {VERDICT_S:g} s from its supervisor (pid {supervisor})"
            return f"{late}; see: do-tasks log {self._task_id} --follow"
        return self._close_job()

    def _patience_s(self, supervisor: str) -> float:
        """Return the seconds to wait for a verdict of another process."""
        if supervisor or runs.newest_status(self._root, self._task_id).status == "elsewhere":
            return VERDICT_S
        return BEGIN_S if self._executor() else 0.0

    def _close_job(self) -> str:
        """Write the verdict under the lock of the job, so that no supervisor writes another."""
        if runs.newest_status(self._root, self._task_id).status in ("none", "never_ran") and self._executor():
            return "the executor that runs it gives the verdict"
        try:
            lock = locks.acquire(runs.job_lock(self._root, self._task_id))
        except BusyError:
            return f"a new supervisor gives the verdict; see: do-tasks log {self._task_id} --follow"
        self._close()
        lock.release()
        return "its verdict: cancelled"

    def _close(self) -> None:
        """Write the verdict to the log and to SPEC.md."""
        task_id, number, here = self._task_id, self._number, self._here
        state = of_task(log_reader.recall(self._root).states, number, task_id)
        if state.task_id != task_id or state.verdict not in OPEN:
            return
        known_secrets.mask_task(self._root, task_id, self._masker)
        journal = LogWriter(here.path(LOG_NAME), plan=logged_plan(self._root, task_id))
        self._restore_judges(journal)
        if self._ended:
            journal.write(StraysStopped(pids=self._ended), task_id=task_id, step=number)
        failed = StepFailed(status=Verdict.CANCELLED, reason=runs.STOPPED, failed_in="MAIN")
        journal.write(failed, task_id=task_id, step=number)
        journal.sync()
        mark = Mark(kind="failed", task_id=task_id, time=time.strftime("%Y-%m-%d %H:%M"), note=runs.STOPPED)
        lock = here.state("spec.lock")
        line = source_here(here.replace(named=logged_plan(self._root, task_id))).mark(
            lock, number=number, state=" ", mark=mark, task_id=task_id
        )
        marked = SpecMarked(status=Verdict.CANCELLED, line=line.after.line, text=runs.STOPPED)
        journal.write(marked, task_id=task_id, step=number)
        journal.close()

    def _restore_judges(self, journal: LogWriter) -> None:
        """Restore the files that judge an agent which lost its executor."""
        if not runs.has_snapshot(self._root, self._task_id):
            return
        from executor.guard.agent_baseline import restore

        run = runs.newest_main(self._root, self._task_id)
        folder = os.path.join(runs.run_folder(self._root, self._task_id, run), runs.GUARDED)
        event = restore(journal, folder, task_id=self._task_id)
        if event:
            journal.write(event, task_id=self._task_id, step=self._number)
