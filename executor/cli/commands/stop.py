"""`stop`: end a task and everything it started, whoever watches it."""

from __future__ import annotations

import os
import re
import time

from executor.cli.job_reader import caught_up
from executor.cli.options import option
from executor.errors import BusyError, MachineError, UsageError
from executor.plan.spec.spec_md import Mark
from executor.store import log_reader, masked_files, project, runs, spec_file, twins
from executor.store.events import SpecMarked, StepFailed, StraysStopped
from executor.store.known_secrets import masker_here
from executor.store.log_writer import LogWriter
from executor.store.step_state import of_task
from executor.system import files, locks, run_lock, run_processes
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process import STOP
from executor.system.process_loop import stop_strays, wait_until_reaped
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME
from executor.system.text import clean_control as safe

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.store.log_reader import LogState
    from executor.system.masking import Masker
    from executor.system.process import StopSequence
    from executor.system.run_records import RunStatus

TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")
OPEN = ("", "started", "interrupted", "lost", "waiting")
JOB_GRACE_S = 10.0  # a training may save what it has
MOST_GRACE_S = 3600.0
VERDICT_S = 30.0
BEGIN_S = 2.0
LOOK_S = 0.05
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
    """TERM, grace, KILL for every process of the task; an executor or supervisor that watches it gives the verdict."""
    if (args.grace or 0) > MOST_GRACE_S:
        raise UsageError(f"--grace is {MOST_GRACE_S:g} s at most")
    here = project.find(args.project)
    task_id = args.task_id
    match = TASK.fullmatch(task_id)
    if not match or not _known(here, task_id):
        raise UsageError(f"no task {safe(task_id)} here; {_nearest(here, task_id)}")
    runs.ask_stop(here.root, task_id)
    is_job = runs.is_job(here.root, task_id)
    ladder = _ladder(args.grace, is_job=is_job)
    seen = runs.look(here.root, task_id)
    masker = masker_here(here.root, os.environ, task_id)  # its processes tell what they were given while they live
    ended = stop_strays(f"{task_id}/", Interrupts(), root=here.root, sequence=ladder)
    wait_until_reaped(ended, Interrupts())
    told, is_over = _end_rest(here.root, task_id, ended, seen, grace_s=ladder[0][1])
    if is_over and is_job:
        told = f"{told}; {_settle(here, task_id, int(match[1]), ended, masker)}"
    elif is_over and not _is_run(here):  # an executor that holds it sees the end and writes the verdict itself
        _close(here, task_id, int(match[1]), ended, masker)
    print(safe(f"{task_id}: {told}"))
    return Verdict.PASSED if is_over else Verdict.WAITING


def _is_run(here: project.Project) -> bool:
    """Tell whether an executor runs this plan."""
    return bool(locks.holder_pid(here.path(project.STATE_FOLDER, "run.lock")))


def _ladder(grace_s: float | None, *, is_job: bool) -> StopSequence:
    (first, usual_s), *rest = STOP
    wanted_s = grace_s if grace_s is not None else JOB_GRACE_S if is_job else usual_s
    return ((first, wanted_s), *rest)


def _settle(here: project.Project, task_id: str, number: int, ended: tuple[int, ...], masker: Masker) -> str:
    """See that a job gets its verdict: from who watches it, else from us; return what to say."""
    began, recalled = time.monotonic(), log_reader.recall(here.root)
    while True:
        pid, verdict = _watcher(here, task_id), _verdict(recalled, task_id, number)
        if verdict not in OPEN:
            return f"its verdict: {verdict}"
        if time.monotonic() - began >= _patience_s(here, pid):
            break
        time.sleep(LOOK_S)
        recalled = caught_up(here.root, recalled)
    if pid.isdigit():
        return (
            f"no verdict within {VERDICT_S:g} s from its supervisor (pid {pid}); see: do-tasks log {task_id} --follow"
        )
    return _close_alone(here, task_id, number, ended, masker)


def _watcher(here: project.Project, task_id: str) -> str:
    """Return the pid of a job's supervisor, what else may give it its verdict, or nothing."""
    status = runs.look(here.root, task_id).status
    return runs.supervisor(here.root, task_id) or (status if status == "elsewhere" else "")


def _patience_s(here: project.Project, watcher: str) -> float:
    """Return how long to wait: an executor gives a job that it has just let go its supervisor in a moment."""
    if watcher:
        return VERDICT_S
    return BEGIN_S if _is_run(here) else 0.0


def _verdict(recalled: LogState, task_id: str, number: int) -> str:
    state = of_task(recalled.states, number, task_id)
    return state.verdict if state.task_id == task_id else "in the log, with a newer task of its step"


def _close_alone(here: project.Project, task_id: str, number: int, ended: tuple[int, ...], masker: Masker) -> str:
    """Give a job its verdict under its lock, so that no supervisor gives it another."""
    if runs.look(here.root, task_id).status in ("none", "never_ran") and _is_run(here):
        return "the executor that runs it gives the verdict"
    try:
        lock = locks.acquire(runs.job_lock(here.root, task_id))
    except BusyError:
        return f"a supervisor has just begun, it gives the verdict; see: do-tasks log {task_id} --follow"
    _close(here, task_id, number, ended, masker)
    lock.release()
    return "its verdict: cancelled"


def _nearest(here: project.Project, asked: str) -> str:
    """Return what to type instead: of a step's number, its newest task."""
    number = int(asked) if re.fullmatch(r"[0-9]{1,9}", asked) else -1
    state = log_reader.recall(here.root).states.get(number)
    return f"stop the newest of step {number} with: do-tasks stop {state.task_id}" if state else "see: do-tasks list"


def _known(here: project.Project, task_id: str) -> bool:
    """Tell whether the task is ours: one that only checks yet has no folder, but its lines in the log.

    One whose `.do-tasks/` and log were taken away is known by what still runs of it.
    """
    if os.path.isdir(here.path(runs.JOBS, task_id)) or any(log_reader.task_lines(here.root, task_id)):
        return True
    return bool(run_processes.pids_with_token(f"{task_id}/", here.root))


def _close(here: project.Project, task_id: str, number: int, ended: tuple[int, ...], masker: Masker) -> None:
    state = of_task(log_reader.recall(here.root).states, number, task_id)
    if state.task_id != task_id or state.verdict not in OPEN:
        return
    masked_files.mask_task(here.root, task_id, masker)
    journal = LogWriter(here.path(LOG_NAME))
    _put_back(here, journal, task_id, number)
    if ended:
        journal.write(StraysStopped(pids=ended), task_id=task_id, step=number)
    failed = StepFailed(status=Verdict.CANCELLED, reason=runs.STOPPED, failed_in="MAIN")
    journal.write(failed, task_id=task_id, step=number)
    journal.sync()
    mark = Mark(kind="failed", task_id=task_id, time=time.strftime("%Y-%m-%d %H:%M"), note=runs.STOPPED)
    line = spec_file.mark(here.spec, here.state("spec.lock"), number=number, state=" ", mark=mark, task_id=task_id)
    marked = SpecMarked(status=Verdict.CANCELLED, line=line.after.line, text=runs.STOPPED)
    journal.write(marked, task_id=task_id, step=number)
    journal.close()


def _put_back(here: project.Project, journal: LogWriter, task_id: str, number: int) -> None:
    """Put back what an agent changed of what judges it, when it lost its executor and nobody else will."""
    if not runs.remembers(here.root, task_id):
        return
    from executor.guard.agent_baseline import restore

    folder = os.path.join(runs.run_folder(here.root, task_id, runs.newest_main(here.root, task_id)), runs.GUARDED)
    told = restore(journal, folder, task_id=task_id)
    if told:
        journal.write(told, task_id=task_id, step=number)


def _end_rest(root: str, task_id: str, ended: tuple[int, ...], seen: RunStatus, *, grace_s: float) -> tuple[str, bool]:
    """Return what became of the task's processes, and whether none is left.

    What is out of reach is ended by its supervisor or executor, when one lives. MachineError for another user's.
    """
    left = run_processes.find_living(run_processes.ProcessQuery(f"{task_id}/", root))
    told = f"ended {len(ended)} process{'es' * (len(ended) > 1)}" if ended else ""
    if left and not _watching(root, task_id):
        named = ", ".join(map(str, sorted(left)))
        raise MachineError(f"{task_id}: {told or 'ended nothing'}; this user cannot end pid {named}; ask its owner")
    if left:
        return _by_another(
            root, task_id, seen.run, "as another user", is_held=bool(twins.lives_on(root, task_id)), grace_s=grace_s
        )
    if seen.status == "foreign":
        return f"it runs {seen.where}, and was left alone: this folder is a copy of that one", True
    run = twins.lives_on(root, task_id)
    if not run and seen.status != "elsewhere":
        return told or "nothing of it was running", True
    return _by_another(root, task_id, run or seen.run, seen.where or "out of sight", is_held=bool(run), grace_s=grace_s)


def _by_another(root: str, task_id: str, run: str, where: str, *, is_held: bool, grace_s: float) -> tuple[str, bool]:
    watcher = _watching(root, task_id)
    if not watcher:
        told = f"{run} runs {where}, where nobody watches it"
        return (f"{told}; stop it there", False) if is_held else (f"{told}; it was not ended from here", True)
    runs.ask_end(root, task_id, grace_s=grace_s)
    folder = runs.run_folder(root, task_id, run)
    until = time.monotonic() + grace_s + SUPERVISOR_S
    while time.monotonic() < until and _lives(folder, is_held=is_held):
        time.sleep(LOOK_S)
    if _lives(folder, is_held=is_held):
        return f"{run} runs {where}; {watcher} was asked to end it and has not yet", False
    return f"{run}, which runs {where}, was ended by {watcher}", True


def _watching(root: str, task_id: str) -> str:
    """Return who watches the task and can end it, empty when nothing does."""
    supervisor = runs.supervisor(root, task_id)
    if supervisor:
        return f"its supervisor (pid {supervisor})"
    executor = locks.holder_pid(os.path.join(root, files.STATE_FOLDER, "run.lock"))
    return f"its executor (pid {executor})" if executor else ""


def _lives(folder: str, *, is_held: bool) -> bool:
    return run_lock.is_held(folder) if is_held else runs.exit_of(folder) is None
