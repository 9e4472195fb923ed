"""The supervisor of one job: its runs, restarts and verdict."""

from __future__ import annotations

import os
import time

from executor.engine.finish import finish
from executor.engine.verdict import LEFT, try_mark_started
from executor.errors import DoTasksError
from executor.plan.model import Main
from executor.runners import command
from executor.runners.background import newest_checkpoint
from executor.runners.command_run import judge_run
from executor.runners.main_run import MOST_WAIT_S, is_retried, log_started
from executor.runners.process_run import LaunchRequest, begin
from executor.store import log_reader, runs
from executor.store.events import MainRetried, StepFailed, SupervisorStarted, WarningRaised
from executor.store.task import Decision, Task
from executor.supervisor.history import JOB_ENDED, RESTARTED_AS, job_history
from executor.supervisor.job_end import judged_by_alerts
from executor.supervisor.run_watcher import RunWatcher
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record
from executor.system.signals import signal_name

if TYPE_CHECKING:
    from typing import Any

    from executor.runners.process_run import Run
    from executor.store.context import RunContext

OPEN = ("", "started")
REPLACED = "a newer task of its step has taken its place"
FIRST = "main.1"  # only the executor starts it
MOST_DOUBLINGS = 10
BACKOFF_LOOK_S = 0.5
BACKOFF_BEAT_S = 5.0


class Restart(Record):
    """A further run after a wait; `why` is a retry class or an alert."""

    wait_s: float
    why: str


class JobSupervisor:
    """The supervisor of one job."""

    def __init__(self, context: RunContext, job: dict[str, Any]) -> None:
        step = context.step(job["step"])
        task_id = str(job["task_id"])
        decision = Decision("run", "supervised", task_id=task_id)
        self._context = context
        self._task = Task(step, task_id, str(job["digest"]), decision, title=str(job["title"]), began=context.now())
        self._main = step.main or Main()
        self._past = job_history(log_reader.task_lines(context.root, task_id))
        self._retries = self._past.retries
        self._trailing: tuple[str, ...] = ()
        self._watcher = RunWatcher(context, self._task, self._past)

    def supervise(self, why: str) -> None:
        """Watch the runs of the job until it has its verdict or this process is interrupted."""
        run = self._take_over(why)
        while run:
            outcome, classes = self._watch_run(run)
            if outcome is None:
                self._watcher.save()
                return
            restart = self._restart_after(outcome, classes)
            unread = self._context.env_trouble(self._task) if restart else ""
            if unread:
                outcome = outcome.replace(reason=f"{outcome.reason}; not started again: {unread}")
            run = self._next_run(restart) if restart and not unread else ""
            if not run and not self._context.interrupts.count:
                self._close(self._unless_stopped(outcome))

    def _take_over(self, why: str) -> str:
        """Log that this supervisor watches and return the run to watch, empty for none.

        A run that an earlier supervisor announced and did not start is started.
        """
        run = runs.newest_main(self._context.root, self._task.task_id)
        self._watcher.end_strays()
        self._context.log(SupervisorStarted(pid=os.getpid(), run=run, why=why), self._task)
        if self._past.ending:
            self._watcher.actions.resume_ending(self._past.ending, self._watcher.monitors)
        if self._watcher.is_started:
            self._show_started()
        seen = runs.status_of(self._context.root, self._task.task_id, run)
        if seen.status in ("elsewhere", "foreign", "orphan"):
            return ""
        return self._begin(self._pending_run(run, seen.status)) if self._pending_run(run, seen.status) else run

    def _pending_run(self, run: str, status: str) -> str:
        """Return the run that was announced and never started, empty for none or after a stop."""
        if runs.stop_asked(self._context.root, self._task.task_id):
            return ""
        if status == "never_ran" and run not in (FIRST, self._past.closed):
            return run
        return self._past.next_run if self._past.closed == run else ""

    def _show_started(self) -> None:
        """Write the mark of the start to SPEC.md when it is missing."""
        box = self._context.boxes().get(self._task.step.number)
        if box and box.state == " " and (box.mark is None or box.mark.task_id != self._task.task_id):
            try_mark_started(self._context, self._task)

    def _watch_run(self, run: str) -> tuple[Outcome | None, tuple[str, ...]]:
        """Watch a run to its end; return outcome and failure classes, None as outcome after an interrupt."""
        if self._past.closed == run:
            return self._closed_before()
        done = self._watcher.watch_run(run)
        if done is None:
            return None, ()
        self._trailing = done.trailing
        self._watcher.sample_once_more()
        outcome, classes = judge_run(self._context, self._task, run, done)
        return self._in_words(outcome, done), classes

    def _closed_before(self) -> tuple[Outcome, tuple[str, ...]]:
        """Return the logged outcome of a run that ended under an earlier supervisor."""
        status = Verdict(self._past.closed_status)
        ending = self._watcher.actions.ending
        how = "lost" if status == Verdict.LOST else "died"
        reason = ending.description if ending else f"{how}: {self._past.closed_reason}"
        classes = (self._past.closed_class, f"exit:{self._past.closed_code}")
        return Outcome(status, "" if status == Verdict.PASSED else reason), classes

    def _in_words(self, outcome: Outcome, done: Run) -> Outcome:
        """Return the outcome with a reason for SPEC.md: cause of death and last step."""
        ending, progress = self._watcher.actions.ending, self._progress_text()
        if outcome.verdict == Verdict.LOST:
            return outcome.replace(reason=f"lost{progress}: {outcome.reason}")
        if ending and not outcome.passed:
            return Outcome(Verdict.FAILED, ending.description)
        if outcome.passed or done.verdict is not None or done.left:
            return outcome
        end = done.end
        last = command.cause_of(end, stderr=done.long_stderr, output=done.long_stdout)
        name = signal_name(end.signal)
        how = f"exit {end.exit_code}{progress}{f' ({name})' if name else ''}"
        return outcome.replace(reason=f"died: {how}{f': {last}' if last else ''}")

    def _progress_text(self) -> str:
        reached = self._watcher.status.reached()
        return "" if reached is None else f" after step {reached:g}"

    # Another run

    def _restart_after(self, outcome: Outcome, classes: tuple[str, ...]) -> Restart | None:
        """Return the restart that an alert or `retry` asks for, None when the job is over."""
        actions, status = self._watcher.actions, self._watcher.status
        ending, actions.ending = actions.ending, None
        if outcome.passed or runs.stop_asked(self._context.root, self._task.task_id):
            return None
        if ending:
            if ending.action != "restart":
                return None
            status.restarts = actions.restarts
            wait_s = ending.monitor_action.backoff_s * 2.0 ** min(status.restarts - 1, MOST_DOUBLINGS)
            return Restart(wait_s, f"alert {ending.key}")
        if not is_retried(classes, self._main) or self._retries + 1 >= self._main.retry.attempts:
            return None
        self._retries += 1
        return Restart(min(MOST_WAIT_S, 2.0**self._retries), classes[0])

    def _next_run(self, restart: Restart) -> str:
        """Start the next run after a wait and return its name, empty when the job was stopped in between."""
        run = runs.next_main(self._context.root, self._task.task_id)
        self._context.log(MainRetried(run=run, failure=restart.why, wait_s=round(restart.wait_s, 1)), self._task)
        self._watcher.actions.clear_all(f"{RESTARTED_AS} {run}")
        self._watcher.status.state = "restarting"
        return self._begin(run) if self._wait(restart.wait_s) else ""

    def _wait(self, wait_s: float) -> bool:
        """Wait with a heartbeat; return False when the task or this process was stopped."""
        until, beat_s = time.monotonic() + wait_s, 0.0
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= beat_s:
                self._watcher.beat()
                beat_s = time.monotonic() + BACKOFF_BEAT_S
            if not self._context.interrupts.sleep(min(BACKOFF_LOOK_S, left)):
                return False
            if runs.stop_asked(self._context.root, self._task.task_id):
                return False
        return True

    def _begin(self, run: str) -> str:
        """Start a run from the newest checkpoint."""
        argv = command.main_argv(self._context, self._task)
        resume = newest_checkpoint(self._context, self._task)

        def note(pid: int) -> None:
            log_started(self._context, self._task, run, pid)

        self._watcher.begin_anew()
        begin(self._context, self._task, LaunchRequest(run, argv, note, resume))
        return run

    # The end

    def _unless_stopped(self, outcome: Outcome) -> Outcome:
        stopped = not outcome.passed and runs.stop_asked(self._context.root, self._task.task_id)
        return Outcome(Verdict.CANCELLED, runs.STOPPED) if stopped else outcome

    def _close(self, outcome: Outcome) -> None:
        """Write the verdict of the job and send the last notices; a replaced task gets only a line in the log."""
        watcher = self._watcher
        if self._is_replaced():
            self._context.log(StepFailed(status=Verdict.CANCELLED, reason=REPLACED, failed_in="BACKGROUND"), self._task)
            return
        watcher.status.state = "ending"
        watcher.beat()
        judged = judged_by_alerts(outcome, watcher.actions.standing, self._task.step.background)
        missed = watcher.blind.at_end(time.monotonic(), watcher.status.began_s, passed=judged.passed)
        left = (f"{LEFT}{', '.join(self._trailing)}",) if self._trailing else ()
        outcome = self._finish(judged.replace(evidence=(*judged.evidence, *left, *missed)))
        if self._context.interrupts.count:
            return
        watcher.actions.clear_all(JOB_ENDED)  # only after the verdict: until then a successor needs them
        watcher.status.state, watcher.status.reason = str(outcome.verdict), outcome.reason
        watcher.status.write(watcher.scheduler, ())
        if outcome.verdict != Verdict.CANCELLED:  # a person stopped it and needs no notice
            text = "; ".join((outcome.reason or "every check and criterion holds", *left, *missed))
            watcher.actions.notify("finished" if outcome.passed else "died", text)
        watcher.finish_notices()

    def _is_replaced(self) -> bool:
        """Return True when a newer task of the step has started."""
        self._context.catch_up()
        state = self._context.task_state(self._task.step.number, self._task.task_id)
        return state.task_id not in ("", self._task.task_id)

    def _finish(self, outcome: Outcome) -> Outcome:
        """Log the verdict, tick SPEC.md and return it; a SPEC.md that cannot be written does not change it."""
        try:
            return finish(self._context, self._task, outcome)
        except DoTasksError as error:
            state = self._context.task_state(self._task.step.number, self._task.task_id)
            if state.verdict in OPEN:
                raise
            self._context.log(WarningRaised(message=f"SPEC.md does not show it: {error}"), self._task)
            return Outcome(Verdict(state.verdict), state.reason)
