"""Reads the status of the background jobs, and starts missing supervisors."""

from __future__ import annotations

import os
import re
import time

from executor.cli.tasks import executor, supervisor
from executor.errors import MachineError, UsageError
from executor.plan.step_ids import TASK, id_of, natural_order
from executor.store import log_reader, runs
from executor.store.known_secrets import masker_here
from executor.store.ticks import kind_of_pass
from executor.supervisor.job_status import AlertStatus, JobStatus
from executor.system import procfs
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import RunStatus
from executor.system.text import joined_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from executor.plan.step_ids import StepId
    from executor.store.log_reader import LogState
    from executor.store.project import Project
    from executor.store.step_state import StepState
    from executor.system.masking import Masker

OPEN, DEATHS = ("", "started", "reopened"), ("failed", "timed_out", "lost")  # verdicts: may still run, or died
LIVING = ("starting", "running", "restarting", "ending")
STARTED = ("alive", "exited", "lost")  # of a run whose MAIN was started
UNKNOWN = "it left no exit code, or its records in .do-tasks/jobs are gone: how it ended is unknown"
GONE = "its supervisor was gone"
PATIENCE_S, POLL_S = 1.0, 0.02
BEGIN_S, AGAIN_S = 5.0, 30.0


class Look(Record):
    """One look at a project: the state of its log, a masker, the monotonic time, the steps with a job.

    `tried` holds the monotonic time at which a supervisor was last started for a task.
    """

    root: str
    recalled: LogState
    masker: Masker
    now_s: float
    numbers: tuple[StepId, ...]
    tried: Mapping[str, float]

    def state(self, number: StepId) -> StepState:
        """Return the state of a step by the log."""
        return self.recalled.states[number]


def look(root: str, before: Look | None = None) -> Look:
    """Return a look at the jobs, after every missing supervisor was started; `before` is the last look."""
    recalled = caught_up(root, before.recalled if before else None)
    tried = dict(before.tried) if before else {}
    states = (recalled.states[number] for number in _numbers(root, recalled))
    missing = [state.task_id for state in states if _lacks_supervisor(root, state)]
    begun = [task_id for task_id in missing if _start(root, task_id, tried)]
    until = time.monotonic() + PATIENCE_S
    while begun and time.monotonic() < until and not all(_is_supervised(root, recalled, task_id) for task_id in begun):
        time.sleep(POLL_S)
        recalled = caught_up(root, recalled)
    masker = masker_here(root, os.environ, *runs.living_tasks(root))
    return Look(root, recalled, masker, time.monotonic(), _numbers(root, recalled), tried)


def caught_up(root: str, before: LogState | None) -> LogState:
    """Return the state of the log now; a log that is being rotated is read from its pieces."""
    try:
        return log_reader.catch_up(root, before) if before else log_reader.recall(root)
    except FileNotFoundError:
        return log_reader.recall(root)


def _lacks_supervisor(root: str, state: StepState) -> bool:
    if state.verdict not in ("", "started") or supervisor(root, state.task_id):
        return False
    seen = runs.newest_status(root, state.task_id)
    if seen.status not in STARTED or not runs.is_job(root, state.task_id):
        return False
    return state.verdict == "started" or not executor(root) or _is_old(root, state.task_id, seen)


def _is_old(root: str, task_id: str, seen: RunStatus) -> bool:
    """Return True for a job that lives longer than its executor takes to start a supervisor."""
    identity = runs.started(runs.run_folder(root, task_id, seen.run)) if seen.status == "alive" else None
    return identity is not None and procfs.age_s(identity) > BEGIN_S


def _start(root: str, task_id: str, tried: dict[str, float]) -> bool:
    """Start a supervisor, at most once in AGAIN_S seconds; return True when that was done."""
    from executor.store.jobs import start_supervisor

    if time.monotonic() - tried.get(task_id, -AGAIN_S) < AGAIN_S:
        return False
    tried[task_id] = time.monotonic()
    try:
        return start_supervisor(root, task_id, os.environ, why=GONE)
    except (OSError, MachineError):  # on a read-only file system the jobs are still shown
        return False


def _is_supervised(root: str, recalled: LogState, task_id: str) -> bool:
    """Return True once a new supervisor has looked at its job, or given a dead one its verdict."""
    if not any(state.task_id == task_id and state.verdict in OPEN for state in recalled.states.values()):
        return True
    has_looked = str(runs.read_watch(root, task_id).get("pid")) == supervisor(root, task_id)
    return has_looked and runs.newest_status(root, task_id).status == "alive"


def _numbers(root: str, recalled: LogState) -> tuple[StepId, ...]:
    """Return the steps whose newest task is a background job, running ones first."""
    found = [(number, state) for number, state in recalled.states.items() if _is_shown(root, state)]
    return tuple(
        number
        for *_, number in sorted((state.verdict not in OPEN, natural_order(number), number) for number, state in found)
    )


def _is_shown(root: str, state: StepState) -> bool:
    if state.job or not state.task_id:
        return state.job
    if state.verdict not in OPEN or not runs.is_job(root, state.task_id):
        return False
    return state.verdict != "reopened" or runs.newest_status(root, state.task_id).status == "alive"


def select_jobs(here: Project, seen: Look, which: str, among: Iterable[StepId]) -> list[StepId]:
    """Return the steps of `among` that a task id, a number or a name selects, all without one.

    Raises UsageError when the selection matches none of them.
    """
    numbers = [*among]
    if not which:
        return numbers
    wanted = () if TASK.fullmatch(which) else _selected_numbers(here, which)
    found = [number for number in numbers if id_of(number) in wanted or seen.state(number).task_id == which]
    if not found:
        known = names_of(seen, numbers)
        if which.isdecimal():
            raise UsageError(f"step {which} has no background job; background jobs: {known}")
        raise UsageError(f"no background job {joined_lines(which)}; background jobs: {known}")
    return found


def names_of(seen: Look, numbers: Iterable[StepId]) -> str:
    """Return these jobs as a message lists them."""
    return (
        ", ".join(
            f"step {id_of(number)} ({seen.state(number).task_id})" for number in sorted(numbers, key=natural_order)
        )
        or "none"
    )


def _selected_numbers(here: Project, which: str) -> tuple[StepId, ...]:
    """Return the steps that a number or a name selects; only a name needs the plan."""
    if re.fullmatch(r"[0-9]{1,9}", which):
        return (int(which),)
    from executor.plan.selection import select
    from executor.store import project

    return select(which, project.load(here)[0], {}).numbers


def statuses(seen: Look) -> list[JobStatus]:
    """Return the status of each job."""
    return [_status(seen, number) for number in seen.numbers]


def _status(seen: Look, number: StepId) -> JobStatus:
    """Return the status that the supervisor of a job wrote last, completed by the log and by the folder of its run."""
    state = seen.state(number)
    task_id, is_open = state.task_id, state.verdict in OPEN
    run = runs.newest_status(seen.root, task_id) if is_open else RunStatus()
    body = runs.read_watch(seen.root, task_id)
    written = JobStatus.from_json(seen.masker.mask_all(body))
    is_supervised = is_open and bool(supervisor(seen.root, task_id))
    now = _state(seen.root, state, run, written.state if is_supervised and body else None)
    reason = (written.reason or (UNKNOWN if now == "lost" else "")) if is_open else state.reason
    mask = seen.masker.mask
    return written.replace(
        task_id=task_id,
        step=id_of(number),
        title=written.title or mask(str(runs.read_job(seen.root, task_id).get("title") or "")),
        state=now,
        reason=mask(reason or ""),
        run=run.run or written.run,
        alerts=_alerts(state, written.alerts, mask) if is_open else (),
        tick=kind_of_pass(state),
        where=mask(run.where),
        launcher=run.pid or None,
        is_alive=run.status == "alive",
        is_supervised=is_supervised,
        is_open=is_open,
        now_s=seen.now_s if body.get("boot") == procfs.boot_id() else None,
    )


def _state(root: str, state: StepState, run: RunStatus, written: str | None) -> str:
    """Return the verdict of a job; before there is one its state.

    `written` is the state that its living supervisor wrote, None without one; else the run folder decides.
    """
    if state.verdict not in OPEN:
        return state.verdict
    if run.status in ("elsewhere", "foreign", "orphan"):
        return "elsewhere"
    is_closed = state.run_closed == f"{state.task_id}/{run.run}"
    is_again = is_closed and not state.verdict and written is None
    if run.status not in STARTED or (is_again and executor(root)):
        left = "lost" if (run.status, state.verdict) == ("none", "started") else "unfinished"
        return "starting" if executor(root) else left
    if run.status == "alive":
        return written if written in LIVING else "running" if state.verdict else "starting"
    if run.status == "lost" and not is_closed:
        return "lost"
    return "restarting" if written == "restarting" else "ending"


def _alerts(state: StepState, written: tuple[AlertStatus, ...], mask: Callable[[str], str]) -> tuple[AlertStatus, ...]:
    """Return the alerts that stand: those of the log, with their output from the supervisor, then its newest."""
    known = {one.key: one for one in written}
    logged = {mask(one.key): one.action for one in state.alerts}
    found = (known.get(key) or AlertStatus(key) for key in {**logged, **known})
    return tuple(one if one.action else one.replace(action=logged.get(one.key, "")) for one in found)
