"""The rounds of a supervisor: looks, judgements, actions and a heartbeat while one run lives."""

from __future__ import annotations

import math
import os
import signal
import time

from executor.checks.run import check_all
from executor.engine.verdict import shown_started
from executor.errors import MachineError
from executor.monitoring.model import ProbeContext
from executor.runners.evidence_before import record_of
from executor.runners.process_run import adopt_ended, finished, running
from executor.store import runs
from executor.store.events import CheckpointSaved, JobStarted
from executor.supervisor import status_file
from executor.supervisor.alert_actions import AlertActions
from executor.supervisor.job_end import LeftoverLoop, left_by, with_leftovers
from executor.supervisor.job_startup import Startup
from executor.supervisor.monitors import BlindMonitors, scheduler_of
from executor.supervisor.new_checkpoints import brought_nothing, saved_so_far
from executor.system import files, process, procfs
from executor.system.outcome import PASSED, Verdict
from executor.system.process_loop import stop_strays
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.supervisor.history import JobHistory
    from executor.system.process import Command, ProcessResult, RunningProcess

BEAT_S, NEWS_S = 5.0, 0.9
LAST_LOOK_S = 1.0
LAST_WORDS_S = 65.0  # a notifier has 30, what an alert runs 60
GRACE_S = 10.0
OURS, QUESTIONS = ("monitor", "criterion"), ("monitor", "criterion", "post")
TELLERS = ("notify", "act")


class RunWatcher:
    """One job under watch, over all its runs."""

    def __init__(self, context: RunContext, task: Task, past: JobHistory) -> None:
        self._context = context
        self._task = task
        kept = runs.read_memory(context.root, task.task_id)
        self.rota = scheduler_of(context, task, kept.get("monitors", {}))
        self.monitors = {one.monitor.name: one.monitor for one in self.rota.watched}
        self.sheet = status_file.StatusFile(context, task)
        self.sheet.paces = kept.get("paces", {})
        self.sheet.restarts = sum(past.restarts.values())
        self.acting = AlertActions(
            context, task, past, reached=self.sheet.reached, is_stuck=lambda: brought_nothing(context, task, self._held)
        )
        self.acting.recall(context.task_state(task.step.number, task.task_id).alerts, kept.get("alerts", {}))
        self.acting.excused = kept.get("excused", {})
        self.blind = BlindMonitors(context, task, self.rota, self.acting, past.blind)
        self._held = kept.get("held", {})
        self._startup: Startup | None = None
        mask = context.masker.mask_bytes_equal_length
        self._watch = LeftoverLoop(context.interrupts, due=self._due_s, wake=self.rota.wake, mask=mask)
        self._one: RunningProcess | None = None
        self._beat_s = 0.0
        self._shown: float | None = None
        self._shown_s = 0.0
        self._place = ProbeContext(context.root, "", "", 0, 0.0, 0.0, 0)

    @property
    def is_started(self) -> bool:
        """True once the log says that the job is started."""
        return self._context.task_state(self._task.step.number, self._task.task_id).verdict == "started"

    def see_through(self, run: str) -> Run | None:
        """Watch a run to its end, None when we are asked to go first."""
        folder = self._context.folder(self._task, run)
        identity = runs.launcher_of(self._context.root, self._task.task_id, run)
        alive = runs.look_at(self._context.root, self._task.task_id, run).status == "alive"
        age_s = procfs.age_s(identity) if identity and alive else _age_of_record_s(folder)
        began_s = time.monotonic() - age_s
        pid = identity.pid if identity else 0
        token = f"{self._task.task_id}/{run}"
        record = record_of(self._context, self._task, folder)
        began_ns = runs.began_ns(folder)
        self._place = ProbeContext(self._context.root, folder, token, pid, began_s, began_s, began_ns, record)
        self.sheet.begin(run, began_s, state="running" if self.is_started else "starting")
        if identity is None or not alive:
            left = left_by(token)
            return with_leftovers(self._context, self._task, run, adopt_ended(self._context, self._task, run=run), left)
        self._startup = None if self.is_started else Startup(self._context, self._task, began_s=began_s)
        one = running(self._context, self._task, run, pid, math.inf, adopted=identity, age_s=age_s)
        ended = self._turns(one)
        if ended is None:
            return None
        return with_leftovers(
            self._context, self._task, run, finished(self._context, self._task, ended), self._watch.left
        )

    def _turns(self, one: RunningProcess) -> ProcessResult | None:
        self._one = one
        self._watch.add(one)
        self.acting.heed_again(self.monitors)
        over = None
        while over is None and not self._context.interrupts.count:
            self._round()
            for ended in self._watch.turn():
                if ended.name == one.command.name:
                    over = ended
                else:
                    self._take(ended)
        self._one, self._startup = None, None
        self._dismiss()
        return over

    def _due_s(self) -> float:
        if self._one is None:
            return time.monotonic() + BEAT_S
        started = self._startup.due_s() if self._startup else math.inf
        return min(self.rota.due_s(), started, self._beat_s)

    def _round(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        self._place = self._place.replace(now_s=now_s)
        self._weigh_all(now_s)
        asked = self.rota.start(self._place)
        if self._startup:
            asked += self._startup.start(now_s)
            if self._startup.settled(now_s):
                self._started(self._startup)
        for command in (*asked, *self.acting.waiting()):
            self._start(command)
        self._end_if_asked()
        if now_s >= self._beat_s:
            self.beat()

    def _weigh_all(self, now_s: float) -> None:
        seen = self.rota.gather(now_s)
        if seen:
            self.sheet.record_progress(self.rota)
            self._show_news(now_s)
        for judged in (*seen, *self.rota.blind(now_s, self._place.began_s)):
            self._beat_s = now_s if self.acting.weigh(judged) else self._beat_s
        self._note_first_checkpoint()

    def _start(self, command: Command) -> None:
        try:
            self._watch.add(process.start(command))
        except (MachineError, OSError) as error:  # not there, or nothing left to start it with: the next look may
            self._take(
                process.ProcessResult(name=command.name, verdict=Verdict.FAILED, exit_code=127, reason=str(error))
            )

    def _take(self, ended: ProcessResult) -> None:
        kind = ended.name.partition(".")[0]
        if kind == "monitor":
            for judged in self.rota.take(ended):
                self._beat_s = 0.0 if self.acting.weigh(judged) else self._beat_s
        elif kind == "criterion" and self._startup:
            self.sheet.start, self._beat_s = self._startup.take(ended), 0.0
        elif kind in ("notify", "act"):
            self.acting.take(ended)

    def _started(self, startup: Startup) -> None:
        """The job is started: say so, show it, then ask what is to be asked right after the start."""
        self._startup = self.sheet.start = None
        event = JobStarted(run=self.sheet.run, pid=self._place.pid, pending=startup.pending())
        self._context.log(event, self._task)
        self._context.journal.sync()
        shown_started(self._context, self._task)
        self.sheet.state, self._beat_s = "running", 0.0
        asked = [check for check in self._task.step.post_validation if check.when == "start"]
        outcome = check_all(self._context, self._task, phase="POST", asked=asked, fail_fast=False) if asked else PASSED
        if not outcome.passed:
            self._stop(Verdict.FAILED, f"right after the start: {outcome.reason}", GRACE_S)

    def _end_if_asked(self) -> None:
        ending = self.acting.ending
        if ending:
            verdict = Verdict.FAILED if ending.action == "stop" else Verdict.CANCELLED
            self._stop(verdict, ending.told, ending.monitor_action.grace_s)
        elif (grace_s := runs.end_asked(self._context.root, self._task.task_id)) is not None:
            self._stop(Verdict.CANCELLED, runs.STOPPED, grace_s)

    def _stop(self, verdict: Verdict, reason: str, grace_s: float) -> None:
        """TERM, grace, KILL for the run's group, once."""
        if self._one and not self._one.is_stopping:
            self.sheet.state, self._beat_s = "ending", 0.0
            self._one.stop(verdict, reason, ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)))

    def _note_first_checkpoint(self) -> None:
        if self._context.task_state(self._task.step.number, self._task.task_id).checkpoint:
            return
        for one in self.rota.watched:
            if one.monitor.kind == "checkpoints" and one.reading.values.get("count"):
                self._context.log(CheckpointSaved(run=self.sheet.run, path=one.reading.newest), self._task)
                self._beat_s = 0.0
                return

    def begin_anew(self) -> None:
        """Another run begins: what the last one left is none of its."""
        self.rota.begin_anew(self._context.root, self._context.folder(self._task, "main.1"))
        self._held = saved_so_far(self._context, self._task)
        self.save()

    def _show_news(self, now_s: float) -> None:
        """Leave how far it has come at once, at most about once a second; the rest waits for the heartbeat."""
        reached = self.sheet.reached()
        if reached != self._shown and now_s >= self._shown_s + NEWS_S:
            self._shown, self._shown_s = reached, now_s
            self._write()

    def _write(self) -> None:
        try:
            self.sheet.write(self.rota, self.acting.shown())
        except MachineError:  # a full disk, say: to watch on matters more than to be seen at it
            pass

    def beat(self) -> None:
        """Leave what is seen, for who looks and for who comes after us."""
        now_s = time.monotonic()
        self._beat_s = now_s + BEAT_S
        self.sheet.record_progress(self.rota)
        self.blind.report(now_s, self._place.began_s)
        self._write()
        try:
            self.save()
        except MachineError:  # as above
            pass
        self._heed_size()

    def save(self) -> None:
        """Keep what probes and rules remember."""
        alerts = {one.key: one.asdict() for one in self.acting.shown()}
        kept = {"monitors": self.rota.kept(), "paces": self.sheet.paces, "alerts": alerts}
        kept |= {"excused": self.acting.excused, "held": self._held}
        runs.write_memory(self._context.root, self._task.task_id, self._context.masker.mask_all(kept))

    def _heed_size(self) -> None:
        """Stop a run that fills the disk with what it prints."""
        main = self._task.step.main
        most = main.max_output if main else 0
        size = sum(files.size_of(os.path.join(self._place.folder, name)) for name in ("stdout.log", "stderr.log"))
        if most and size > most:
            self._stop(Verdict.FAILED, f"wrote more than max_output ({most} bytes) and was stopped", GRACE_S)

    def look_back(self) -> None:
        """Take one last look at how far it came: the end of a run is between two looks."""
        until = time.monotonic() + LAST_LOOK_S
        place = self._place.replace(now_s=time.monotonic(), ended=True)
        self.rota.look_at_once(("progress", "metrics", "checkpoints"), place)
        while self.rota.is_looking and time.monotonic() < until:
            time.sleep(0.01)
            self._weigh_all(time.monotonic())
        self.sheet.record_progress(self.rota)

    def _dismiss(self) -> None:
        """End what we started to watch the job by: nobody is left to read it. What tells people goes on."""
        for one in (one for one in self._watch.running if one.command.name.partition(".")[0] in OURS):
            one.stop(Verdict.CANCELLED, "the run is over", process.KILL)
        until = time.monotonic() + process.GRACE_S
        while any(one.is_stopping for one in self._watch.running) and time.monotonic() < until:
            for ended in self._watch.turn():
                self._take_late(ended)

    def _take_late(self, ended: ProcessResult) -> None:
        if ended.name.partition(".")[0] in TELLERS:
            self.acting.take(ended)
        elif ended.name.startswith("monitor"):
            self.rota.drop(ended)

    def end_strays(self, kinds: tuple[str, ...] = QUESTIONS) -> None:
        """End what a supervisor before us left: nobody reads what it says, nobody would end it."""
        for kind in kinds:
            kept = f"{self._task.task_id}/{kind}."
            stop_strays(kept, self._context.interrupts, root=self._context.root, sequence=process.KILL)

    def last_words(self) -> None:
        """Let notifiers finish, within bounds."""
        for command in self.acting.waiting():
            self._start(command)
        until = time.monotonic() + LAST_WORDS_S
        while self._watch.running and time.monotonic() < until:
            for ended in self._watch.turn():
                self._take(ended)
        self.end_strays(("monitor", *TELLERS))


def _age_of_record_s(folder: str) -> float:
    """Return how long ago a dead run began, as people are shown it."""
    began_ns = runs.began_ns(folder)
    return max(0.0, (time.time_ns() - began_ns) / 1e9) if began_ns else 0.0
