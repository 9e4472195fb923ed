"""What is known of the background jobs: the rows of `--monitor --json`."""

from __future__ import annotations

import math
import os
import re
import time

from executor.errors import MachineError
from executor.store import log_reader, runs
from executor.store.known_secrets import masker_here
from executor.store.ticks import kind_of_pass
from executor.system import locks, procfs
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from executor.store.log_reader import LogState
    from executor.store.project import Project
    from executor.store.step_state import StepState

    Row = dict[str, Any]

TASK = re.compile(r"task_\d+_[0-9a-f]{8}")
OPEN, DEATHS = ("", "started", "reopened"), ("failed", "timed_out", "lost")  # verdicts: may still run, or died
LIVING = ("starting", "running", "restarting", "ending")
LET_GO = ("alive", "exited", "lost")
UNKNOWN = "it left no exit code, or its records in .do-tasks/jobs are gone: nobody knows how it ended"
GONE = "its supervisor was gone"
PATIENCE_S, LOOK_S = 1.0, 0.02
BEGIN_S, AGAIN_S = 5.0, 30.0


class Look(Record):
    """One look at a project: the log's states, what masks text, the monotonic time, the steps with a job."""

    root: str
    recalled: LogState
    mask: Callable[[str], str]
    now_s: float
    numbers: tuple[int, ...]

    def state(self, number: int) -> StepState:
        """Return what the log says of a step."""
        return self.recalled.states[number]


class Attendant:
    """Starts the supervisors that are missing, none of them twice within AGAIN_S seconds."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._tried: dict[str, float] = {}

    def begin(self, states: Iterable[StepState]) -> tuple[str, ...]:
        """Start what is missing; return the ids of the tasks that got a supervisor."""
        return tuple(state.task_id for state in states if self._missing(state) and self._started(state.task_id))

    def _missing(self, state: StepState) -> bool:
        if state.verdict not in ("", "started") or supervisor(self._root, state.task_id):
            return False
        seen = runs.look(self._root, state.task_id)
        if seen.status not in LET_GO or not runs.is_job(self._root, state.task_id):
            return False
        return state.verdict == "started" or not executor(self._root) or _is_old(self._root, state.task_id, seen)

    def _started(self, task_id: str) -> bool:
        from executor.store.supervisor_start import attend

        last = self._tried.get(task_id)
        if last is not None and time.monotonic() - last < AGAIN_S:
            return False
        self._tried[task_id] = time.monotonic()
        try:
            return attend(self._root, task_id, os.environ, why=GONE)
        except (OSError, MachineError):  # where we may only read, the view still shows what there is
            return False


def _is_old(root: str, task_id: str, seen: Seen) -> bool:
    """Tell whether a job lives longer than its executor takes to give it a supervisor."""
    identity = runs.started(runs.run_folder(root, task_id, seen.run)) if seen.status == "alive" else None
    return identity is not None and procfs.age_s(identity) > BEGIN_S


def supervisor(root: str, task_id: str) -> str:
    """Return the pid of who watches a job, empty when nobody does or we may not ask."""
    try:
        return runs.supervisor(root, task_id)
    except MachineError:
        return ""


def executor(root: str) -> str:
    """Return the pid of the executor that runs this plan, empty when none does or we may not ask."""
    try:
        return locks.holder(os.path.join(root, ".do-tasks", "run.lock"))
    except MachineError:
        return ""


def look(root: str, attendant: Attendant, before: LogState | None = None) -> Look:
    """Look at the jobs, after every supervisor that is missing was started."""
    recalled = caught_up(root, before)
    begun = attendant.begin(recalled.states[number] for number in _numbers(root, recalled))
    until = time.monotonic() + PATIENCE_S
    while begun and time.monotonic() < until and not all(_is_tended(root, recalled, task_id) for task_id in begun):
        time.sleep(LOOK_S)
        recalled = caught_up(root, recalled)
    mask = masker_here(root, os.environ, *runs.living_tasks(root)).mask
    return Look(root, recalled, mask, time.monotonic(), _numbers(root, recalled))


def _is_tended(root: str, recalled: LogState, task_id: str) -> bool:
    """Tell whether a job's new supervisor has looked at it, or of a dead one given the verdict."""
    if not any(state.task_id == task_id and state.verdict in OPEN for state in recalled.states.values()):
        return True
    has_looked = str(runs.read_watch(root, task_id).get("pid")) == supervisor(root, task_id)
    return has_looked and runs.look(root, task_id).status == "alive"


def caught_up(root: str, before: LogState | None) -> LogState:
    """Return the fold of the log as it is now; a log that is just being rotated is read from its pieces."""
    try:
        return log_reader.catch_up(root, before) if before else log_reader.recall(root)
    except FileNotFoundError:
        return log_reader.recall(root)


def _numbers(root: str, recalled: LogState) -> tuple[int, ...]:
    """Return the steps whose newest task is a background job, those that run first."""
    found = [(number, state) for number, state in recalled.states.items() if _is_shown(root, state)]
    return tuple(number for _, number in sorted((state.verdict not in OPEN, number) for number, state in found))


def _is_shown(root: str, state: StepState) -> bool:
    if state.job or not state.task_id:
        return state.job
    if state.verdict not in OPEN or not runs.is_job(root, state.task_id):
        return False
    return state.verdict != "reopened" or runs.look(root, state.task_id).status == "alive"


def asked_numbers(here: Project, which: str) -> tuple[int, ...]:
    """Return the steps that a number or a name asks for; the plan is read for a name alone."""
    if re.fullmatch(r"[0-9]{1,9}", which):
        return (int(which),)
    from executor.plan.selection import select
    from executor.store import project

    return select(which, project.load(here)[0], {}).numbers


def rows(seen: Look) -> list[Row]:
    """Return a row a job."""
    return [_row(seen, number) | {"tick": kind_of_pass(seen.state(number))} for number in seen.numbers]


def _row(seen: Look, number: int) -> Row:
    state = seen.state(number)
    task_id, is_open = state.task_id, state.verdict in OPEN
    run = runs.look(seen.root, task_id) if is_open else Seen()
    watch = runs.read_watch(seen.root, task_id)
    watcher = supervisor(seen.root, task_id) if is_open else ""
    now = _state(seen.root, state, run, watch if watcher else {})
    why = (watch.get("reason") or (UNKNOWN if now == "lost" else "")) if is_open else state.reason
    return {
        "task_id": task_id,
        "step": number,
        "title": seen.mask(str(watch.get("title") or runs.read_job(seen.root, task_id).get("title") or "")),
        "state": now,
        "where": seen.mask(run.where),
        "reason": seen.mask(str(why or "")),
        "run": run.run or str(watch.get("run") or ""),
        "pid": run.pid or None,
        "alive": run.status == "alive",
        "supervised": bool(watcher),
        "heartbeat_s": _age(seen, watch, watch.get("written_s")) if watcher else None,
        "age_s": _lasted(seen, watch, is_open=is_open),
        "began": str(watch.get("began") or ""),
        **_seen_of(seen, watch),
        "alerts": _alerts(seen, state, watch) if is_open else [],
        "monitors": [_monitor(seen, watch, one) for one in _list(watch.get("monitors"))],
        "restarts": int(_number(watch.get("restarts")) or 0),
        "stop": f"do-tasks stop {task_id}" if is_open else "",
        "log": f"do-tasks log {task_id}{' --follow' if is_open else ''}",
    }


def _state(root: str, state: StepState, run: Seen, watch: Row) -> str:
    """Return the verdict, before there is one what its living supervisor says, else what the run folder says."""
    if state.verdict not in OPEN:
        return state.verdict
    if run.status in ("elsewhere", "foreign", "orphan"):
        return "elsewhere"
    is_closed = state.run_closed == f"{state.task_id}/{run.run}"
    is_again = is_closed and not state.verdict and not watch
    if run.status not in LET_GO or (is_again and executor(root)):
        left = "lost" if (run.status, state.verdict) == ("none", "started") else "unfinished"
        return "starting" if executor(root) else left
    if run.status == "alive":
        told = str(watch.get("state") or "")
        return told if told in LIVING else "running" if state.verdict else "starting"
    if run.status == "lost" and not is_closed:
        return "lost"
    return "restarting" if watch.get("state") == "restarting" else "ending"


def _seen_of(seen: Look, watch: Row) -> Row:
    progress, saved = _mapping(watch.get("progress")), _mapping(watch.get("checkpoints"))
    return {
        "progress": _progress(seen, watch, progress) if progress else None,
        "metrics": {seen.mask(str(name)): _value(one) for name, one in _mapping(watch.get("metrics")).items()},
        "eta_s": _number(progress.get("eta_s")),
        "eta_basis": seen.mask(str(progress.get("basis") or "")),
        "checkpoints": _checkpoints(seen, watch, saved) if saved else None,
    }


def _progress(seen: Look, watch: Row, progress: Row) -> Row:
    return {
        **{key: _number(progress.get(key)) for key in ("done", "total")},
        "age_s": _age(seen, watch, progress.get("changed_s")),
        "changed": str(progress.get("changed") or ""),
        "source": seen.mask(str(progress.get("source") or "")),
    }


def _checkpoints(seen: Look, watch: Row, saved: Row) -> Row:
    return {
        "count": int(_number(saved.get("count")) or 0),
        "newest": seen.mask(str(saved.get("newest") or "")),
        "age_s": _age(seen, watch, saved.get("changed_s")),
        "changed": str(saved.get("changed") or ""),
        "bytes": _number(saved.get("bytes")),
    }


def _monitor(seen: Look, watch: Row, one: Row) -> Row:
    return {
        "name": seen.mask(str(one.get("name") or "")),
        "kind": str(one.get("kind") or ""),
        "interval_s": _number(one.get("interval_s")),
        "age_s": _age(seen, watch, one.get("looked_s")),
        "there": bool(one.get("there")),
        **{key: seen.mask(str(one.get(key) or "")) for key in ("text", "troubled", "blind")},
    }


def _alerts(seen: Look, state: StepState, watch: Row) -> list[Row]:
    """Return the alerts that stand: those of the log, with what the supervisor saw of them, and its own newest."""
    told = {str(one.get("key") or ""): one for one in _list(watch.get("alerts"))}
    logged = {key: action for action, _, key in (alert.partition(" ") for alert in state.alerts)}
    return [
        {
            "key": seen.mask(key),
            "output": seen.mask(str(told.get(key, {}).get("output") or "")),
            "since": str(told.get(key, {}).get("since") or ""),
            "action": str(told.get(key, {}).get("action") or logged.get(key, "")),
        }
        for key in {**logged, **told}
    ]


def _lasted(seen: Look, watch: Row, *, is_open: bool) -> float | None:
    """Return for how long the job has run, or ran; None when that was before a reboot, or is not known."""
    if is_open:
        return _age(seen, watch, watch.get("began_s"))
    began, ended = _number(watch.get("began_s")), _number(watch.get("written_s"))
    return None if began is None or ended is None else round(max(0.0, ended - began), 1)


def _age(seen: Look, watch: Row, at: object) -> float | None:
    """Return the seconds since a monotonic time, None for one of another boot: such times say nothing here."""
    then = _number(at)
    if then is None or watch.get("boot") != procfs.boot_id():
        return None
    return round(max(0.0, seen.now_s - then), 1)


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) else None


def _value(value: object) -> float | str:
    """Return a metric as JSON can hold it: what is no finite number as its name, nan or inf."""
    number = _number(value)
    return str(value) if number is None else number


def _mapping(value: object) -> Row:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Row]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
