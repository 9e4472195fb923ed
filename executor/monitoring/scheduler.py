"""Monitors on their schedule: what is due is looked at, what was seen is judged."""

from __future__ import annotations

import os
import time

from executor.errors import MachineError
from executor.monitoring.liveness import moved
from executor.monitoring.model import ProbeContext
from executor.monitoring.monitor import COMMANDS, MonitorState
from executor.monitoring.probe_thread import ProbeThread
from executor.system import files
from executor.system.process import Command
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.monitoring.model import Monitor, Sample
    from executor.monitoring.monitor import Judged
    from executor.store.context import RunContext, Task
    from executor.system.process import Ended

FILES = ("metrics", "log")
ANSWER_S = 1.0
ERRORS = 4096  # bytes of a command's stderr that are kept
NEVER_NS = 2**62  # no file is younger


class MonitorScheduler:
    """All monitors of a job: which are due, and what their looks bring."""

    def __init__(self, context: RunContext, task: Task, monitors: tuple[Monitor, ...], kept: Mapping[str, Any]) -> None:
        self._context = context
        self._task = task
        self.watched = [MonitorState(one, kept.get(one.name, {})) for one in monitors]
        self._kept = dict(kept)
        self._moves: dict[str, int] = {}
        self.wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._prober = ProbeThread(waker)
        self._folder = files.own_folder(context.folder(task, "monitors"))
        self._plain = context.without_secrets(task)

    def due_s(self) -> float:
        """Return the monotonic time of the next look."""
        return min((one.next_s for one in self.watched if not one.busy), default=float("inf"))

    def kept(self) -> dict[str, Any]:
        """Return what all monitors remember, by name; of one whose probe is at work, what was known before."""
        whole = [one for one in self.watched if not one.busy or one.monitor.kind in COMMANDS]
        self._kept.update({one.monitor.name: one.kept() for one in whole})
        return self._kept

    def begin_anew(self) -> None:
        """Another run begins: what the last one left is none of its."""
        self._kept = for_new_run(self._context, self._task, self.kept())
        self.watched = [MonitorState(one.monitor, self._kept.get(one.monitor.name, {})) for one in self.watched]

    def start(self, place: ProbeContext) -> list[Command]:
        """Begin the looks that are due: probes at once in their thread, commands are returned."""
        due = [one for one in self.watched if not one.busy and one.next_s <= place.now_s]
        for one in due:
            one.start(place.now_s)
        probes = [one for one in due if one.monitor.kind not in COMMANDS]
        if probes:
            self._prober.look(probes, place)
        return [self._command(self.watched.index(one), one.monitor) for one in due if one.monitor.kind in COMMANDS]

    def look_at_once(self, kinds: tuple[str, ...], place: ProbeContext) -> None:
        """Begin a look now, whatever the schedule says, by these probes and by those that have seen nothing yet."""
        probes = [one for one in self.watched if one.monitor.kind not in COMMANDS and not one.busy]
        found = [one for one in probes if one.monitor.kind in kinds or not one.ever_there]
        for one in found:
            one.start(place.now_s)
        self._prober.look(found, place)

    @property
    def is_looking(self) -> bool:
        """True while a probe is at work."""
        return any(one.busy for one in self.watched if one.monitor.kind not in COMMANDS)

    def drop(self, ended: Ended) -> None:
        """A command was ended before it could say anything."""
        at = int(ended.name.partition(".")[2])
        self.watched[at].busy = False
        self._keep_errors(at)

    def _errors(self, at: int) -> str:
        return os.path.join(self._folder, f"{at}.err")

    def _keep_errors(self, at: int) -> str:
        """Return the end of what a command said on stderr, masked; nothing else of it is kept."""
        path = self._errors(at)
        raw = self._context.tail(path, ERRORS)
        said = self._context.masker.mask(self._context.masked_tail(path, ERRORS))
        if said != raw:
            try:
                files.replace(path, said.encode("utf-8", "replace"))
            except MachineError:  # a full disk, after the old text was taken off it
                return said
        return said

    def _command(self, at: int, monitor: Monitor) -> Command:
        kind = "call" if monitor.kind == "call" else "command"
        name = f"monitor.{at}"
        return Command(
            name=name,
            argv=self._context.argv(monitor.replace(kind=kind)),
            env=self._environment(monitor),
            token=f"{self._task.task_id}/{name}",
            limit_s=monitor.limit_s,
            errors=self._errors(at),
            max_output=1 << 20,
        )

    def _environment(self, monitor: Monitor) -> dict[str, str]:
        """Return what a monitor is given: no secret but those that it names."""
        if not monitor.env:
            return self._plain
        return self._context.without_secrets(self._task, allow=monitor.env)

    def take(self, ended: Ended) -> list[Judged]:
        """Take in the end of a monitor's command."""
        at = int(ended.name.partition(".")[2])
        one = self.watched[at]
        said = self._keep_errors(at)[-300:]
        errors = said if ended.exit_code else ""
        code = None if ended.reason else -ended.signal if ended.signal else ended.exit_code
        output = self._context.masker.mask(ended.output.decode("utf-8", "replace"))
        return one.take_output(code, output, self._context.masker.mask(ended.reason or errors), time.monotonic())

    def gather(self, now_s: float) -> list[Judged]:
        """Take in what probes have seen since; one that does not answer is said to be late."""
        try:
            os.read(self.wake, 4096)
        except BlockingIOError:
            pass
        self._prober.leave_late_one(now_s)
        answers = [(one, reading) for one, reading in self._prober.answers() if one in self.watched]  # of this run
        for one, reading in answers:
            self._moves[one.monitor.name] = self._moves.get(one.monitor.name, 0) + moved(
                reading, one.reading, one.monitor.kind
            )
        return [judged for one, reading in answers for judged in one.take(self._marked(one, reading))]

    def _marked(self, one: MonitorState, reading: Sample) -> Sample:
        """Return a reading as rules see it: masked, with the signs of life that other monitors saw."""
        elsewhere = sum(count for name, count in self._moves.items() if name != one.monitor.name)
        return reading.replace(text=self._context.masker.mask(reading.text), signs=reading.signs + elsewhere)

    def miss(self, now_s: float, began_s: float, *, ended: bool) -> dict[str, str]:
        """Return by key what the written monitors were to see and never saw."""
        written = {one.name for one in self._task.step.background}
        found: dict[str, str] = {}
        for one in self.watched:
            if one.monitor.name in written:
                found.update(one.miss(now_s, began_s, ended=ended))
        return found

    def blind(self, now_s: float, began_s: float) -> list[Judged]:
        """Return which monitors have seen nothing for longer than their grace."""
        return [one.blind(now_s, began_s) for one in self.watched if one.monitor.grace_s is not None]


def for_new_run(context: RunContext, task: Task, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what probes keep when another run begins: no rule's memory, and files from where they end now."""
    probes = {name: {"probe": one.get("probe", {}), "there": one.get("there", False)} for name, one in kept.items()}
    return {**probes, **remembered(context, task)}


def remembered(context: RunContext, task: Task) -> dict[str, Any]:
    """Return what probes must remember of files before a run begins: what stands in them is of another run.

    A probe that does not answer soon remembers nothing.
    """
    now_s = time.monotonic()
    place = ProbeContext(context.root, context.folder(task, "main.1"), "", 0, now_s, now_s, NEVER_NS)
    watched = [MonitorState(one, {}) for one in task.step.background if one.kind in FILES]
    seen: list[MonitorState] = []
    prober = ProbeThread(-1)
    prober.look(watched, place)
    while len(seen) < len(watched) and time.monotonic() < now_s + ANSWER_S:
        seen += [one for one, _ in prober.answers()]
        time.sleep(0.001)
    return {one.monitor.name: one.kept() for one in seen}
