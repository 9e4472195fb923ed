"""BACKGROUND: MAIN as a job that outlives this process, watched by its supervisor."""

from __future__ import annotations

import os
import time

from executor.errors import DefinitionError, MachineError
from executor.monitoring import scheduler
from executor.monitoring.notices import notify, notify_checks
from executor.plan.plan import from_cache, snapshot
from executor.runners import command
from executor.runners.evidence_before import record_of
from executor.runners.main_run import log_started
from executor.runners.process_run import LaunchRequest, begin
from executor.store import jobs, log_reader, runs
from executor.store.events import JobRecorded, WarningRaised
from executor.store.task import Decision, Task
from executor.system.outcome import Outcome, Verdict
from executor.system.process_loop import stop_strays
from executor.system.records import TYPE_CHECKING
from executor.system.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext

LOOK_S = 0.05
SHOW_AFTER_S = 3.0  # most jobs are started by then
SHOW_EVERY_S = 1.0
ALONE_S = 2.0  # a supervisor takes the job's lock within this time
TRIES = 3
MOST_TRIES = 10
MARK_S = 10.0
END_S = 30.0
SETTLED = (Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED, Verdict.LOST)


def background(context: RunContext, task: Task) -> Outcome:
    """Start the job; return when its supervisor has logged its start or its end."""
    _warn_of_notifiers(context, task)
    run = runs.next_main(context.root, task.task_id)
    argv = command.main_argv(context, task)
    resume = newest_checkpoint(context, task) if run != "main.1" else ""
    runs.write_job(context.root, task.task_id, _record(context, task))
    known = runs.read_memory(context.root, task.task_id).get("monitors", {})
    kept = scheduler.for_new_run(context.root, context.folder(task, "main.1"), task.step.background, known)
    runs.write_memory(context.root, task.task_id, {"monitors": context.masker.mask_all(kept)})
    record = jobs.record_digest(context.root, task.task_id)
    begin(
        context,
        task,
        LaunchRequest(run, argv, lambda pid: log_started(context, task, run, pid, record=record), resume),
    )
    context.catch_up()
    return await_start(context, task.step.number, task.task_id, why="the job was started")


def _warn_of_notifiers(context: RunContext, task: Task) -> None:
    """Log a warning for each notifier that cannot send, before there is a notice to send."""
    for one in context.plan.settings.notify:
        why = notify_checks.trouble(
            one, root=context.root, environ=context.environment_with(task, (one.target, *one.env))
        )
        if why:
            context.log(WarningRaised(message=f"{notify.label(one)} cannot send notices: {why}"), task)


def _record(context: RunContext, task: Task) -> dict[str, object]:
    """Return the record for the supervisor: the plan as it is now, and the parts of MAIN's digest."""
    made = context.made.get(task.digest)
    return {
        "task_id": task.task_id,
        "step": task.step.number,
        "title": task.title,
        "digest": task.digest,
        "made": made and {"parts": made.parts, "files": made.files},
        "strict": context.strict,
        "python": context.python,
        "definitions": context.project.definitions,
        "plan": snapshot(context.plan, task.step.number, context.fixed_values(task.step.number)),
    }


def mend_record(context: RunContext, box: Box, task_id: str) -> None:
    """Rebuild the record of a job from the plan when it cannot be read or differs from the log.

    A power cut or a full disk leaves an unreadable record. A changed record would judge the job by other checks.
    """
    is_whole = _is_whole(runs.read_job(context.root, task_id), box.number, task_id)
    if is_whole and jobs.is_as_logged(context.root, task_id):
        return
    digest = runs.newest_status(context.root, task_id).digest or context.state(box.number).digest
    decision = Decision("run", "its record could not be read", task_id=task_id)
    task = Task(context.step(box.number), task_id, digest, decision, title=box.title, began=context.now())
    runs.write_job(context.root, task_id, _record(context, task))
    where = os.path.join(runs.JOBS, task_id, "job.json")
    wrong = "was changed since the job began" if is_whole else "could not be read"
    message = f"{where} {wrong}; it was made again from the plan as it is now"
    context.log(JobRecorded(message=message, record=jobs.record_digest(context.root, task_id)), task)
    context.journal.sync()


def _is_whole(body: dict[str, Any], number: StepId, task_id: str) -> bool:
    texts = all(isinstance(body.get(name), str) for name in ("title", "digest", "python", "definitions"))
    if not texts or body.get("step") != number or body.get("task_id") != task_id or "strict" not in body:
        return False
    try:
        return bool(from_cache(body["plan"]).step(number))
    except (DefinitionError, KeyError, TypeError, ValueError, AttributeError):
        return False


def newest_checkpoint(context: RunContext, task: Task) -> str:
    """Return the newest checkpoint that any run of this task left, empty without one."""
    from executor.monitoring.probes.checkpoints import find_newest

    first = context.folder(task, "main.1")
    record, pattern = record_of(context, task, first), task.step.checkpoints
    return find_newest(context.root, pattern, 0 if record else runs.began_ns(first), record) if pattern else ""


def await_start(context: RunContext, number: StepId, task_id: str, *, why: str) -> Outcome:
    """Start a supervisor of the job when none runs; return when the job is started or has ended.

    Ctrl-C ends the wait, not the job.
    """
    tries, waiting = 0, StartWait(context, task_id)
    while not context.interrupts.count:
        context.catch_up(task_id)
        state = context.state(number)
        if state.verdict == "started" and _goes_on(context, task_id):
            jobs.start_supervisor(context.root, task_id, os.environ, why=why)
            _await_mark(context, task_id, lambda: _is_unmarked(context, number, task_id))
            return Outcome(Verdict.STARTED, "it is running")
        if state.verdict in SETTLED:
            _await_mark(context, task_id, lambda: _is_verdict_unmarked(context, number, task_id))
            return Outcome(Verdict(state.verdict), state.reason)
        if jobs.start_supervisor(context.root, task_id, os.environ, why=why):
            tries += 1
            _await_lock(context, task_id, tries)
        waiting.show()
        context.interrupts.sleep(LOOK_S)
    return Outcome(
        Verdict.INTERRUPTED, f"{context.interrupts.reason}; the job goes on: do-tasks stop {task_id} ends it"
    )


class StartWait:
    """The line on the screen with a criterion that a starting job does not meet yet."""

    def __init__(self, context: RunContext, task_id: str) -> None:
        self._context = context
        self._task_id = task_id
        self._next_s = context.now() + SHOW_AFTER_S

    def show(self) -> None:
        """Show the line, about once a second."""
        if self._context.now() < self._next_s:
            return
        self._next_s = self._context.now() + SHOW_EVERY_S
        start = runs.read_watch(self._context.root, self._task_id).get("start")
        if start:
            one, others = start["unmet"][0], len(start["unmet"]) - 1
            more = f", and {others} more" if others else ""
            what = f"waiting for: {one['criterion']} ({one['got']}; wants {one['expected']}){more}"
            self._context.waits(what, f"at most {duration(start['until_s'] - time.monotonic())} more")


def _await_mark(context: RunContext, task_id: str, is_unmarked: Callable[[], bool]) -> None:
    """Wait until the supervisor has marked SPEC.md and logged the mark, at most MARK_S."""
    until = context.now() + MARK_S
    while context.now() < until and is_unmarked() and context.interrupts.sleep(LOOK_S):
        context.catch_up(task_id)
    context.catch_up(task_id)


def _is_verdict_unmarked(context: RunContext, number: StepId, task_id: str) -> bool:
    """Return True while the supervisor is alive and has not logged a change of SPEC.md after the verdict."""
    events = [str(line.get("event")) for line in log_reader.task_lines(context.root, task_id)]
    verdicts = [at for at, event in enumerate(events) if event in ("StepPassed", "StepFailed")]
    marked = {"SpecTicked", "SpecMarked"} & {*events[verdicts[-1] :]} if verdicts else True
    return not marked and number in context.boxes() and bool(runs.supervisor(context.root, task_id))


def _is_unmarked(context: RunContext, number: StepId, task_id: str) -> bool:
    box = context.boxes().get(number)
    if box is None or box.state == " ":  # a person may have removed the line
        return box is not None
    return not any(line.get("event") == "SpecMarked" for line in log_reader.task_lines(context.root, task_id))


def _goes_on(context: RunContext, task_id: str) -> bool:
    """Return True when a job lives or waits for its restart."""
    alive = runs.newest_status(context.root, task_id).status == "alive"
    return alive or runs.read_watch(context.root, task_id).get("state") == "restarting"


def _await_lock(context: RunContext, task_id: str, tries: int) -> None:
    """Wait until the supervisor holds the job's lock, or the job has its verdict."""
    until = time.monotonic() + ALONE_S
    while time.monotonic() < until and not runs.supervisor(context.root, task_id):
        context.interrupts.sleep(LOOK_S)
    if tries > TRIES:  # the last one ended soon after it took the lock: wait before the next
        context.interrupts.sleep(ALONE_S)
    if tries > MOST_TRIES or (tries > TRIES and not runs.supervisor(context.root, task_id)):
        where = os.path.join(runs.JOBS, task_id, "supervisor.log")
        raise MachineError(
            f"the supervisor of {task_id} ends as soon as it starts; see {where}. The job itself goes on"
        )


def end_job(context: RunContext, number: StepId, task_id: str) -> None:
    """End a job that a person replaces and wait for its supervisor to log it."""
    runs.ask_stop(context.root, task_id)
    stop_strays(f"{task_id}/", context.interrupts, root=context.root)
    until = context.now() + END_S
    while runs.supervisor(context.root, task_id) and context.now() < until and context.interrupts.sleep(LOOK_S):
        context.catch_up(task_id)
    context.catch_up(task_id)
