"""`--monitor --until`: wait for an event of one background job, with little load on the machine."""

from __future__ import annotations

import gc
import sys
import time

from executor.cli.job_reader import DEATHS, OPEN, STARTED, caught_up, look, names_of, select_jobs, statuses
from executor.cli.tasks import executor, supervisor
from executor.errors import UsageError
from executor.store import runs
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import joined_lines

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from executor.cli.job_reader import Look
    from executor.plan.step_ids import StepId
    from executor.store.project import Project
    from executor.store.step_state import StepState
    from executor.supervisor.job_status import JobStatus

    End = tuple[Verdict, str]

AWAITED = ("started", "first_checkpoint", "finished", "alert")
POLL_S = 0.5
LOOK_S = 5.0


def await_job(here: Project, args: Namespace, *, show: Callable[[list[JobStatus]], None]) -> Verdict:
    """Wait for the event, until it cannot come any more, or until the time is over; print the end in one line."""
    gc.enable()
    seen = look(here.root)
    number = _chosen(here, args.which, seen)
    task_id = seen.state(number).task_id
    seen, (verdict, text) = _waited(seen, number, until=args.until, limit_s=args.timeout)
    found = [one for one in statuses(seen) if one.task_id == task_id]
    text = _with_alerts(text, found) if args.until == "alert" else text
    print(joined_lines(f"{task_id}: {text}"), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        show(found)
    return verdict


def _with_alerts(text: str, found: list[JobStatus]) -> str:
    """Return the alerts of a job, each with its cause and its action; `text` when there are none."""
    alerts = [f"{one.key}: {one.output} [{one.action}]" for job in found for one in job.alerts if one.output]
    return f"alert {'; '.join(alerts)}; see: do-tasks --monitor" if alerts else text


def _waited(seen: Look, number: StepId, *, until: str, limit_s: float | None) -> tuple[Look, End]:
    """Read the log every POLL_S; look at the processes of the job every LOOK_S."""
    task_id, looked_s = seen.state(number).task_id, time.monotonic()
    ends_s = float("inf") if limit_s is None else looked_s + limit_s
    end = _end(seen.state(number), task_id, until) or _abandoned(seen, number)
    while end is None and time.monotonic() < ends_s:
        time.sleep(max(0.0, min(POLL_S, ends_s - time.monotonic())))
        seen = seen.replace(recalled=caught_up(seen.root, seen.recalled))
        end = _end(seen.state(number), task_id, until)
        if end is None and time.monotonic() - looked_s > LOOK_S:
            seen, looked_s = look(seen.root, seen), time.monotonic()
            end = _end(seen.state(number), task_id, until) or _abandoned(seen, number)
    late = f"not {_words(until)} within {limit_s or 0:g} s; wait on with: do-tasks monitor {task_id} --until {until}"
    return look(seen.root, seen), end or (Verdict.WAITING, late)


def _chosen(here: Project, which: str, seen: Look) -> StepId:
    """Return the step of the job to wait for: the requested one, the only one, or the only one that runs."""
    begun = (number for number, state in seen.recalled.states.items() if state.task_id and not state.verdict)
    found = select_jobs(here, seen, which, {*seen.numbers, *begun} if which else seen.numbers)
    running = [number for number in found if seen.state(number).verdict in OPEN]
    found = running if not which and len(running) == 1 else found
    if not found:
        raise UsageError("there is no background job to wait for; start one: do-tasks --continue")
    if len(found) > 1:
        raise UsageError(f"there are {len(found)} jobs; name the one to wait for: {names_of(seen, found)}")
    return found[0]


def _end(state: StepState, task_id: str, until: str) -> End | None:
    """Return the end of the wait by the log, None while it goes on; the death of the job ends every wait."""
    if state.task_id != task_id:
        return Verdict.ALERT, f"is over: step goes on as {state.task_id}"
    if state.verdict in DEATHS:
        return Verdict.ALERT, f"{_words(state.verdict)}: {state.reason or 'no reason given'}"
    has_ended = state.verdict not in ("", "started")
    if until == "alert" and state.alerts:
        return Verdict.ALERT, f"alert: {', '.join(alert.key for alert in state.alerts)}"
    if until == "alert":
        return (Verdict.PASSED, f"{_words(state.verdict)} without an alert") if has_ended else None
    reached = {
        "started": state.verdict in ("started", "passed"),
        "first_checkpoint": bool(state.checkpoint),
        "finished": state.verdict == "passed",
    }
    if reached[until]:
        return Verdict.PASSED, f"{_words(until)}{f': {state.checkpoint}' if until == 'first_checkpoint' else ''}"
    return (Verdict.ALERT, f"ended without it: {_words(state.verdict)}") if has_ended else None


def _abandoned(seen: Look, number: StepId) -> End | None:
    """Return the end of a wait for a task that no process will bring to an end, None for any other."""
    state = seen.state(number)
    run = runs.newest_status(seen.root, state.task_id)
    is_started = run.status in (*STARTED, "elsewhere") and runs.is_job(seen.root, state.task_id)
    is_closed = state.run_closed == f"{state.task_id}/{run.run}"
    if run.status == "lost" and is_started and not is_closed and not supervisor(seen.root, state.task_id):
        return Verdict.ALERT, "lost: it died and left no exit code; see: do-tasks monitor"
    if is_started or executor(seen.root) or caught_up(seen.root, seen.recalled).states[number] != state:
        return None
    return Verdict.ALERT, "no process works at it; go on with: do-tasks --continue"


def _words(name: str) -> str:
    return name.replace("_", " ")
