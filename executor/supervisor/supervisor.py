"""The watch over one job: run after run, to its verdict."""

from __future__ import annotations

import os
import time

from executor.engine.finish import finish
from executor.engine.verdict import LEFT, shown_started
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
from executor.supervisor.history import AGAIN, OVER, past
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
FIRST = "main.1"  # the executor starts it, or nobody
MOST_DOUBLINGS = 10
BACKOFF_LOOK_S = 0.5
BACKOFF_BEAT_S = 5.0


class Restart(Record):
    """Another run follows after a wait, because of a retry class or an alert."""

    wait_s: float
    why: str


class JobSupervisor:
    """One supervisor at work."""

    def __init__(self, context: RunContext, job: dict[str, Any]) -> None:
        step = context.plan.step(int(job["step"]))
        task_id = str(job["task_id"])
        decision = Decision("run", "supervised", task_id=task_id)
        self._context = context
        self._task = Task(step, task_id, str(job["digest"]), decision, title=str(job["title"]), began=context.now())
        self._main = step.main or Main()
        self._past = past(log_reader.task_lines(context.root, task_id))
        self._retries = self._past.retries
        self._trailing: tuple[str, ...] = ()
        self._rounds = RunWatcher(context, self._task, self._past)

    def keep(self, why: str) -> None:
        """Watch until the job has its verdict, or we are asked to go."""
        run = self._took_over(why)
        while run:
            outcome, classes = self._seen_through(run)
            if outcome is None:
                self._rounds.save()
                return
            again = self._again(outcome, classes)
            unread = self._context.env_trouble(self._task) if again else ""
            if unread:
                outcome = outcome.replace(reason=f"{outcome.reason}; not started again: {unread}")
            run = self._next_run(again) if again and not unread else ""
            if not run and not self._context.interrupts.count:
                self._close(self._in_the_end(outcome))

    def _took_over(self, why: str) -> str:
        """Say that we watch now, and return the run to watch; one that was to follow and did not is started."""
        run = runs.newest_main(self._context.root, self._task.task_id)
        self._rounds.stop_strays()
        self._context.log(SupervisorStarted(pid=os.getpid(), run=run, why=why), self._task)
        if self._past.act:
            self._rounds.acting.resume_ending(self._past.act, self._rounds.monitors)
        if self._rounds.is_started:
            self._show_started()
        seen = runs.look_at(self._context.root, self._task.task_id, run)
        if seen.status in ("elsewhere", "foreign", "orphan"):
            return ""
        return self._begun(self._unborn(run, seen.status)) if self._unborn(run, seen.status) else run

    def _unborn(self, run: str, status: str) -> str:
        """Return the run that was to follow and was never let go, empty when there is none or nobody wants it."""
        if runs.stop_asked(self._context.root, self._task.task_id):
            return ""
        if status == "never_ran" and run not in (FIRST, self._past.closed):
            return run
        return self._past.next_run if self._past.closed == run else ""

    def _show_started(self) -> None:
        """Put the mark in SPEC.md that a supervisor before us did not live to put there."""
        box = self._context.boxes().get(self._task.step.number)
        if box and box.state == " " and (box.mark is None or box.mark.task_id != self._task.task_id):
            shown_started(self._context, self._task)

    def _seen_through(self, run: str) -> tuple[Outcome | None, tuple[str, ...]]:
        """Watch a run to its end and return what became of it, None when we are asked to go first."""
        if self._past.closed == run:
            return self._closed_before()
        done = self._rounds.see_through(run)
        if done is None:
            return None, ()
        self._trailing = done.trailing
        self._rounds.look_back()
        outcome, classes = judge_run(self._context, self._task, run, done)
        return self._in_words(outcome, done), classes

    def _closed_before(self) -> tuple[Outcome, tuple[str, ...]]:
        """Return what the log says of a run whose end a supervisor before us wrote down."""
        status = Verdict(self._past.closed_status)
        ending = self._rounds.acting.ending
        how = "lost" if status == Verdict.LOST else "died"
        told = ending.told if ending else f"{how}: {self._past.closed_reason}"
        classes = (self._past.closed_class, f"exit:{self._past.closed_code}")
        return Outcome(status, "" if status == Verdict.PASSED else told), classes

    def _in_words(self, outcome: Outcome, done: Run) -> Outcome:
        """Return the outcome as SPEC.md tells it: how it died, and how far it had come."""
        ending, came = self._rounds.acting.ending, self._came()
        if outcome.verdict == Verdict.LOST:
            return outcome.replace(reason=f"lost{came}: {outcome.reason}")
        if ending and not outcome.passed:
            return Outcome(Verdict.FAILED, ending.told)
        if outcome.passed or done.verdict is not None or done.left:
            return outcome
        end = done.end
        last = command.cause_of(end, stderr=done.long_stderr, output=done.long_stdout)
        name = signal_name(end.signal)
        how = f"exit {end.exit_code}{came}{f' ({name})' if name else ''}"
        return outcome.replace(reason=f"died: {how}{f': {last}' if last else ''}")

    def _came(self) -> str:
        reached = self._rounds.sheet.reached()
        return "" if reached is None else f" after step {reached:g}"

    # Another run

    def _again(self, outcome: Outcome, classes: tuple[str, ...]) -> Restart | None:
        """Return the restart that an alert or `retry` asks for, None when the job is over."""
        acting, sheet = self._rounds.acting, self._rounds.sheet
        ending, acting.ending = acting.ending, None
        if outcome.passed or runs.stop_asked(self._context.root, self._task.task_id):
            return None
        if ending:
            if ending.action != "restart":
                return None
            sheet.restarts = acting.restarts
            wait_s = ending.monitor_action.backoff_s * 2.0 ** min(sheet.restarts - 1, MOST_DOUBLINGS)
            return Restart(wait_s, f"alert {ending.key}")
        if not is_retried(classes, self._main) or self._retries + 1 >= self._main.retry.attempts:
            return None
        self._retries += 1
        return Restart(min(MOST_WAIT_S, 2.0**self._retries), classes[0])

    def _next_run(self, again: Restart) -> str:
        """Start the next run after a wait and return its name, empty when somebody stopped it meanwhile."""
        run = runs.next_main(self._context.root, self._task.task_id)
        self._context.log(MainRetried(run=run, failure=again.why, wait_s=round(again.wait_s, 1)), self._task)
        self._rounds.acting.clear_all(f"{AGAIN} {run}")
        self._rounds.sheet.state = "restarting"
        return self._begun(run) if self._waited(again.wait_s) else ""

    def _waited(self, wait_s: float) -> bool:
        """Wait, with a heartbeat; tell whether nobody stopped the task or us meanwhile."""
        until, beat_s = time.monotonic() + wait_s, 0.0
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= beat_s:
                self._rounds.beat()
                beat_s = time.monotonic() + BACKOFF_BEAT_S
            if not self._context.interrupts.sleep(min(BACKOFF_LOOK_S, left)):
                return False
            if runs.stop_asked(self._context.root, self._task.task_id):
                return False
        return True

    def _begun(self, run: str) -> str:
        """Start a run from the newest checkpoint."""
        argv = command.main_argv(self._context, self._task)
        resume = newest_checkpoint(self._context, self._task)

        def note(pid: int) -> None:
            log_started(self._context, self._task, run, pid)

        self._rounds.begin_anew()
        begin(self._context, self._task, LaunchRequest(run, argv, note, resume))
        return run

    # The end

    def _in_the_end(self, outcome: Outcome) -> Outcome:
        stopped = not outcome.passed and runs.stop_asked(self._context.root, self._task.task_id)
        return Outcome(Verdict.CANCELLED, runs.STOPPED) if stopped else outcome

    def _close(self, outcome: Outcome) -> None:
        """Judge the job, write its verdict, tell people; of one that another task has replaced only the log tells."""
        rounds = self._rounds
        if self._replaced():
            self._context.log(StepFailed(status=Verdict.CANCELLED, reason=REPLACED, failed_in="BACKGROUND"), self._task)
            return
        rounds.sheet.state = "ending"
        rounds.beat()
        judged = judged_by_alerts(outcome, rounds.acting.standing, self._task.step.background)
        missed = rounds.blind.at_end(time.monotonic(), rounds.sheet.began_s, passed=judged.passed)
        left = (f"{LEFT}{', '.join(self._trailing)}",) if self._trailing else ()
        outcome = self._judged(judged.replace(evidence=(*judged.evidence, *left, *missed)))
        if self._context.interrupts.count:
            return
        rounds.acting.clear_all(OVER)  # after the verdict: who takes over before it must see what stands
        rounds.sheet.state, rounds.sheet.reason = str(outcome.verdict), outcome.reason
        rounds.sheet.write(rounds.rota, ())
        if outcome.verdict != Verdict.CANCELLED:  # who stopped it knows
            said = "; ".join((outcome.reason or "every check and criterion holds", *left, *missed))
            rounds.acting.tell("finished" if outcome.passed else "died", said)
        rounds.last_words()

    def _replaced(self) -> bool:
        """Tell whether the step went on with another task while we slept."""
        self._context.hear()
        state = self._context.task_state(self._task.step.number, self._task.task_id)
        return state.task_id not in ("", self._task.task_id)

    def _judged(self, outcome: Outcome) -> Outcome:
        """Return the verdict, which is in the log; a SPEC.md that does not take it changes nothing about it."""
        try:
            return finish(self._context, self._task, outcome)
        except DoTasksError as error:
            state = self._context.task_state(self._task.step.number, self._task.task_id)
            if state.verdict in OPEN:
                raise
            self._context.log(WarningRaised(message=f"SPEC.md does not show it: {error}"), self._task)
            return Outcome(Verdict(state.verdict), state.reason)
