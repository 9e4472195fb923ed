"""`--monitor --until`: wait for something of one background job, at next to no cost."""

from __future__ import annotations

import gc
import sys
import time

from executor.cli.job_reader import (
    DEATHS,
    LET_GO,
    OPEN,
    TASK,
    asked_numbers,
    caught_up,
    executor,
    look,
    statuses,
    supervisor,
)
from executor.errors import UsageError
from executor.store import runs
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import joined_lines as one_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from executor.cli.job_reader import Attendant, Look
    from executor.store.project import Project
    from executor.store.step_state import StepState
    from executor.supervisor.job_status import JobStatus

AWAITED = ("started", "first_checkpoint", "finished", "alert")
POLL_S = 0.5
TEND_S = 5.0


def await_job(
    here: Project, args: Namespace, attendant: Attendant, *, show: Callable[[list[JobStatus]], None]
) -> Verdict:
    """Wait until it came about, or cannot any more, or the time is over; say so in one line."""
    gc.enable()
    seen = look(here.root, attendant)
    number = _chosen(here, args.which, seen)
    task_id = seen.state(number).task_id
    seen, verdict, text = _waited(seen, attendant, number=number, until=args.until, limit_s=args.timeout)
    here_now = [one for one in statuses(seen) if one.task_id == task_id]
    text = _with_alerts(text, here_now) if args.until == "alert" else text
    print(one_line(f"{task_id}: {text}"), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        show(here_now)
    return verdict


def _with_alerts(text: str, job: list[JobStatus]) -> str:
    """Return what is said of the alerts that stand, with what each rests on and does."""
    told = [f"{one.key}: {one.output} [{one.action}]" for status in job for one in status.alerts if one.output]
    return f"alert {'; '.join(told)}; see: do-tasks --monitor" if told else text


def _waited(
    seen: Look, attendant: Attendant, *, number: int, until: str, limit_s: float | None
) -> tuple[Look, Verdict, str]:
    """Look into the log when it has grown, else at most every TEND_S whether anybody still works at the job."""
    task_id, tended = seen.state(number).task_id, time.monotonic()
    ends = float("inf") if limit_s is None else tended + limit_s
    came = _came(seen.state(number), task_id, until) or _abandoned(seen, number)
    while came is None and time.monotonic() < ends:
        time.sleep(max(0.0, min(POLL_S, ends - time.monotonic())))
        seen = seen.replace(recalled=caught_up(seen.root, seen.recalled))
        came = _came(seen.state(number), task_id, until)
        if came is None and time.monotonic() - tended > TEND_S:
            seen, tended = look(seen.root, attendant, seen.recalled), time.monotonic()
            came = _came(seen.state(number), task_id, until) or _abandoned(seen, number)
    late = f"not {_said(until)} within {limit_s or 0:g} s; wait on with: do-tasks monitor {task_id} --until {until}"
    return look(seen.root, attendant, seen.recalled), *(came or (Verdict.WAITING, late))


def _chosen(here: Project, which: str, seen: Look) -> int:
    """Return the step of the one job that is meant: the one asked for, the only one, or the only one that runs."""
    states = seen.recalled.states
    known = {*seen.numbers, *(number for number, state in states.items() if state.task_id and not state.verdict)}
    if TASK.fullmatch(which):
        found = [number for number in known if states[number].task_id == which]
    elif which:
        found = [number for number in asked_numbers(here, which) if number in known]
    else:
        running = [number for number in seen.numbers if states[number].verdict in OPEN]
        found = running if len(running) == 1 else [*seen.numbers]
    if len(found) == 1:
        return found[0]
    named = ", ".join(f"{states[number].task_id} (step {number})" for number in sorted(found or seen.numbers))
    if len(found) > 1:
        raise UsageError(f"there are {len(found)} jobs; name the one to wait for: {named}")
    raise UsageError(f"no background job {one_line(which) or 'is there'} to wait for; jobs: {named or 'none'}")


def _came(state: StepState, task_id: str, until: str) -> tuple[Verdict, str] | None:
    """Return how the wait ends, None while it goes on. A job that died came about in no way."""
    if state.task_id != task_id:
        return Verdict.ALERT, f"is over: step goes on as {state.task_id}"
    if state.verdict in DEATHS:
        return Verdict.ALERT, f"{_said(state.verdict)}: {state.reason or 'no reason told'}"
    ended = state.verdict not in ("", "started")
    if until == "alert":
        return _alerted(state, ended=ended)
    there = {
        "started": state.verdict in ("started", "passed"),
        "first_checkpoint": bool(state.checkpoint),
        "finished": state.verdict == "passed",
    }
    if there[until]:
        return Verdict.PASSED, f"{_said(until)}{f': {state.checkpoint}' if until == 'first_checkpoint' else ''}"
    return (Verdict.ALERT, f"ended without it: {_said(state.verdict)}") if ended else None


def _alerted(state: StepState, *, ended: bool) -> tuple[Verdict, str] | None:
    if state.alerts:
        return Verdict.ALERT, f"alert: {', '.join(alert.key for alert in state.alerts)}"
    return (Verdict.PASSED, f"{_said(state.verdict)} without an alert") if ended else None


def _abandoned(seen: Look, number: int) -> tuple[Verdict, str] | None:
    """Tell of a task that nobody brings to an end: waiting for it would have none either."""
    state = seen.state(number)
    run = runs.look(seen.root, state.task_id)
    is_let_go = run.status in (*LET_GO, "elsewhere") and runs.is_job(seen.root, state.task_id)
    is_closed = state.run_closed == f"{state.task_id}/{run.run}"
    if run.status == "lost" and is_let_go and not is_closed and not supervisor(seen.root, state.task_id):
        return Verdict.ALERT, "lost: it died and left no exit code; see: do-tasks monitor"
    if is_let_go or executor(seen.root) or caught_up(seen.root, seen.recalled).states[number] != state:
        return None
    return Verdict.ALERT, "nobody works at it; go on with: do-tasks --continue"


def _said(word: str) -> str:
    return word.replace("_", " ")
