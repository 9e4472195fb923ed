"""The watch over the runs of one job: monitors, alerts, heartbeat."""

from __future__ import annotations

import math
import signal
import time

from executor.checks.run import check_all
from executor.engine.verdict import try_mark_started
from executor.errors import MachineError
from executor.monitoring.model import ProbeContext
from executor.runners.evidence_before import record_of
from executor.runners.process_run import adopt_ended, finished, running
from executor.runners.run_watch import excess_output
from executor.store import runs
from executor.store.events import CheckpointSaved, JobStarted
from executor.supervisor import status_file
from executor.supervisor.alert_actions import AlertActions
from executor.supervisor.job_end import LeftoverLoop, left_by, with_leftovers
from executor.supervisor.job_startup import Startup
from executor.supervisor.monitors import BlindMonitors, scheduler_of
from executor.supervisor.new_checkpoints import has_saved_nothing, saved_checkpoints
from executor.system import process, procfs
from executor.system.outcome import PASSED, Verdict
from executor.system.process_loop import stop_strays
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.supervisor.history import JobHistory
    from executor.system.process import Command, ProcessResult, RunningProcess

BEAT_S, PROGRESS_S = 5.0, 0.9
LAST_LOOK_S = 10.0  # a bound for a loaded machine: the wait ends with the look
LAST_NOTICES_S = 65.0  # a notifier may take 30, the command of an alert 60
GRACE_S = 10.0
LOOKS, QUESTIONS = ("monitor", "criterion"), ("monitor", "criterion", "post")
TELLERS = ("notify", "act")


class RunWatcher:
    """The watch over one job, over all its runs."""

    def __init__(self, context: RunContext, task: Task, past: JobHistory) -> None:
        self._context = context
        self._task = task
        kept = runs.read_memory(context.root, task.task_id)
        self.scheduler = scheduler_of(context, task, kept.get("monitors", {}))
        self.monitors = {one.monitor.name: one.monitor for one in self.scheduler.watched}
        self.status = status_file.StatusFile(context, task)
        self.status.paces = kept.get("paces", {})
        self.status.restarts = sum(past.restarts.values())

        def is_stuck() -> bool:
            return has_saved_nothing(context, task, self._held)

        self.actions = AlertActions(context, task, past, reached=self.status.reached, is_stuck=is_stuck)
        self.actions.restore(context.task_state(task.step.number, task.task_id).alerts, kept.get("alerts", {}))
        self.actions.excused = kept.get("excused", {})
        self.blind = BlindMonitors(context, task, self.scheduler, self.actions, past.blind)
        self._held = kept.get("held", {})
        self._startup: Startup | None = None
        mask = context.masker.mask_bytes_equal_length
        self._loop = LeftoverLoop(context.interrupts, due=self._due_s, wake=self.scheduler.wake, mask=mask)
        self._one: RunningProcess | None = None
        self._beat_s = 0.0
        self._shown: float | None = None
        self._shown_s = 0.0
        self._job = ProbeContext(context.root, "", "", 0, 0.0, 0.0, 0)

    @property
    def is_started(self) -> bool:
        """True once the log says that the job is started."""
        return self._context.task_state(self._task.step.number, self._task.task_id).verdict == "started"

    def watch_run(self, run: str) -> Run | None:
        """Watch a run and return its end, None after an interrupt."""
        folder = self._context.folder(self._task, run)
        identity = runs.launcher_of(self._context.root, self._task.task_id, run)
        alive = runs.status_of(self._context.root, self._task.task_id, run).status == "alive"
        age_s = procfs.age_s(identity) if identity and alive else _age_of_record_s(folder)
        began_s = time.monotonic() - age_s
        pid = identity.pid if identity else 0
        token = f"{self._task.task_id}/{run}"
        record = record_of(self._context, self._task, folder)
        began_ns = runs.began_ns(folder)
        self._job = ProbeContext(self._context.root, folder, token, pid, began_s, began_s, began_ns, record)
        self.status.begin(run, began_s, state="running" if self.is_started else "starting")
        if identity is None or not alive:
            left = left_by(token)
            return with_leftovers(self._context, self._task, run, adopt_ended(self._context, self._task, run=run), left)
        self._startup = None if self.is_started else Startup(self._context, self._task, began_s=began_s)
        one = running(self._context, self._task, run, pid, math.inf, adopted=identity, age_s=age_s)
        ended = self._watch_process(one)
        if ended is None:
            return None
        return with_leftovers(
            self._context, self._task, run, finished(self._context, self._task, ended), self._loop.left
        )

    def _watch_process(self, one: RunningProcess) -> ProcessResult | None:
        self._one = one
        self._loop.add(one)
        self.actions.resume_unfinished(self.monitors)
        over = None
        while over is None and not self._context.interrupts.count:
            self._do_due()
            for ended in self._loop.turn():
                if ended.name == one.command.name:
                    over = ended
                else:
                    self._take(ended)
        self._one, self._startup = None, None
        self._end_commands()
        return over

    def _due_s(self) -> float:
        if self._one is None:
            return time.monotonic() + BEAT_S
        started = self._startup.due_s() if self._startup else math.inf
        return min(self.scheduler.due_s(), started, self._beat_s)

    def _do_due(self) -> None:
        """Start the probes, checks and commands that are due."""
        now_s = time.monotonic()
        self._job = self._job.replace(now_s=now_s)
        self._apply_results(now_s)
        asked = self.scheduler.start(self._job)
        if self._startup:
            asked += self._startup.start(now_s)
            if self._startup.settled(now_s):
                self._started(self._startup)
        for command in (*asked, *self.actions.take_commands()):
            self._start(command)
        self._end_if_asked()
        if now_s >= self._beat_s:
            self.beat()

    def _apply_results(self, now_s: float) -> None:
        seen = self.scheduler.gather(now_s)
        if seen:
            self.status.record_progress(self.scheduler)
            self._write_new_progress(now_s)
        for judged in (*seen, *self.scheduler.blind(now_s, self._job.began_s)):
            self._beat_s = now_s if self.actions.apply(judged) else self._beat_s
        self._note_first_checkpoint()

    def _start(self, command: Command) -> None:
        try:
            self._loop.add(process.start(command))
        except (MachineError, OSError) as error:  # no such program, or no process left: the next look tries again
            self._take(
                process.ProcessResult(name=command.name, verdict=Verdict.FAILED, exit_code=127, reason=str(error))
            )

    def _take(self, ended: ProcessResult) -> None:
        kind = ended.name.partition(".")[0]
        if kind == "monitor":
            for judged in self.scheduler.take(ended):
                self._beat_s = 0.0 if self.actions.apply(judged) else self._beat_s
        elif kind == "criterion" and self._startup:
            self.status.start, self._beat_s = self._startup.take(ended), 0.0
        elif kind in ("notify", "act"):
            self.actions.take(ended)

    def _started(self, startup: Startup) -> None:
        """Log the start, mark SPEC.md, then run the checks that are due at the start."""
        self._startup = self.status.start = None
        event = JobStarted(run=self.status.run, pid=self._job.pid, pending=startup.pending())
        self._context.log(event, self._task)
        self._context.journal.sync()
        try_mark_started(self._context, self._task)
        self.status.state, self._beat_s = "running", 0.0
        asked = [check for check in self._task.step.post_validation if check.when == "start"]
        outcome = check_all(self._context, self._task, phase="POST", asked=asked, fail_fast=False) if asked else PASSED
        if not outcome.passed:
            self._stop(Verdict.FAILED, f"right after the start: {outcome.reason}", GRACE_S)

    def _end_if_asked(self) -> None:
        ending = self.actions.ending
        if ending:
            verdict = Verdict.FAILED if ending.action == "stop" else Verdict.CANCELLED
            self._stop(verdict, ending.description, ending.monitor_action.grace_s)
        elif (grace_s := runs.end_asked(self._context.root, self._task.task_id)) is not None:
            self._stop(Verdict.CANCELLED, runs.STOPPED, grace_s)

    def _stop(self, verdict: Verdict, reason: str, grace_s: float) -> None:
        """Stop the process group of the run once: TERM, grace, KILL."""
        if self._one and not self._one.is_stopping:
            self.status.state, self._beat_s = "ending", 0.0
            self._one.stop(verdict, reason, ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)))

    def _note_first_checkpoint(self) -> None:
        if self._context.task_state(self._task.step.number, self._task.task_id).checkpoint:
            return
        for one in self.scheduler.watched:
            if one.monitor.kind == "checkpoints" and one.reading.values.get("count"):
                self._context.log(CheckpointSaved(run=self.status.run, path=one.reading.newest), self._task)
                self._beat_s = 0.0
                return

    def begin_anew(self) -> None:
        """Forget the samples and checkpoints of the last run before another begins."""
        self.scheduler.begin_anew(self._context.root, self._context.folder(self._task, "main.1"))
        self._held = saved_checkpoints(self._context, self._task)
        self.save()

    def _write_new_progress(self, now_s: float) -> None:
        """Write the status when the progress changed, about once a second at most."""
        reached = self.status.reached()
        if reached != self._shown and now_s >= self._shown_s + PROGRESS_S:
            self._shown, self._shown_s = reached, now_s
            self._write()

    def _write(self) -> None:
        try:
            self.status.write(self.scheduler, self.actions.shown())
        except MachineError:  # a full disk must not end the watch
            pass

    def beat(self) -> None:
        """Write the status and the memory of the monitors."""
        now_s = time.monotonic()
        self._beat_s = now_s + BEAT_S
        self.status.record_progress(self.scheduler)
        self.blind.report(now_s, self._job.began_s)
        self._write()
        try:
            self.save()
        except MachineError:  # as above
            pass
        self._stop_if_too_large()

    def save(self) -> None:
        """Write the memory of probes, rules and alerts."""
        alerts = {one.key: one.asdict() for one in self.actions.shown()}
        kept = {"monitors": self.scheduler.kept(), "paces": self.status.paces, "alerts": alerts}
        kept |= {"excused": self.actions.excused, "held": self._held}
        runs.write_memory(self._context.root, self._task.task_id, self._context.masker.mask_all(kept))

    def _stop_if_too_large(self) -> None:
        """Stop a run whose output exceeds max_output."""
        excess = excess_output(self._job.folder, self._task)
        if excess:
            self._stop(Verdict.FAILED, excess, GRACE_S)

    def sample_once_more(self) -> None:
        """Take a last sample after the end of a run: it ends between two looks."""
        until = time.monotonic() + LAST_LOOK_S
        place = self._job.replace(now_s=time.monotonic(), ended=True)
        self.scheduler.look_at_once(("progress", "metrics", "checkpoints"), place)
        while self.scheduler.is_looking and time.monotonic() < until:
            time.sleep(0.01)
            self._apply_results(time.monotonic())
        self.status.record_progress(self.scheduler)

    def _end_commands(self) -> None:
        """End the commands of monitors and criteria; notifiers go on."""
        for one in (one for one in self._loop.running if one.command.name.partition(".")[0] in LOOKS):
            one.stop(Verdict.CANCELLED, "the run is over", process.KILL)
        until = time.monotonic() + process.GRACE_S
        while any(one.is_stopping for one in self._loop.running) and time.monotonic() < until:
            for ended in self._loop.turn():
                self._take_late(ended)

    def _take_late(self, ended: ProcessResult) -> None:
        if ended.name.partition(".")[0] in TELLERS:
            self.actions.take(ended)
        elif ended.name.startswith("monitor"):
            self.scheduler.drop(ended)

    def end_strays(self, kinds: tuple[str, ...] = QUESTIONS) -> None:
        """End the commands that an earlier supervisor left: their results cannot be read any more."""
        for kind in kinds:
            kept = f"{self._task.task_id}/{kind}."
            stop_strays(kept, self._context.interrupts, root=self._context.root, sequence=process.KILL)

    def finish_notices(self) -> None:
        """Wait for notifiers and commands of alerts, at most LAST_NOTICES_S."""
        for command in self.actions.take_commands():
            self._start(command)
        until = time.monotonic() + LAST_NOTICES_S
        while self._loop.running and time.monotonic() < until:
            for ended in self._loop.turn():
                self._take(ended)
        self.end_strays(("monitor", *TELLERS))


def _age_of_record_s(folder: str) -> float:
    """Return the seconds since a dead run began."""
    began_ns = runs.began_ns(folder)
    return max(0.0, (time.time_ns() - began_ns) / 1e9) if began_ns else 0.0
