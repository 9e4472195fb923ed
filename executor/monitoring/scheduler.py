"""The schedule of the monitors of a job: samples that are due, and the results of their rules."""

from __future__ import annotations

import os
import time

from executor.monitoring.command_monitors import index_of
from executor.monitoring.liveness import moved
from executor.monitoring.model import Monitor, ProbeContext
from executor.monitoring.monitor import COMMANDS, MonitorState
from executor.monitoring.probe_thread import ProbeThread
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from executor.monitoring.command_monitors import MonitorCommands
    from executor.monitoring.model import Sample
    from executor.monitoring.monitor import Judged
    from executor.system.process import Command, ProcessResult

FILES = ("metrics", "log")
ANSWER_S = 1.0
NEVER_NS = 2**62  # later than the time of any file
PROGRESS_S, CHECKPOINT_S = 5.0, 2.0  # between two looks of the default monitors


class MonitorScheduler:
    """The monitors of one job, with the time at which each is due."""

    def __init__(
        self,
        monitors: tuple[Monitor, ...],
        defaults: tuple[Monitor, ...],
        kept: Mapping[str, Any],
        commands: MonitorCommands,
        mask: Callable[[str], str],
    ) -> None:
        """`monitors` are those of the step, `kept` is the memory of each by name."""
        self.watched = [MonitorState(one, kept.get(one.name, {})) for one in (*defaults, *monitors)]
        self._of_step = {one.name for one in monitors}
        self._kept = dict(kept)
        self._commands = commands
        self._mask = mask
        self._moves: dict[str, int] = {}
        self.wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._prober = ProbeThread(waker)

    def due_s(self) -> float:
        """Return the monotonic time of the next look."""
        return min((one.next_s for one in self.watched if not one.busy), default=float("inf"))

    def kept(self) -> dict[str, Any]:
        """Return the memory of all monitors by name, of one with a running probe the last memory."""
        whole = [one for one in self.watched if not one.busy or one.monitor.kind in COMMANDS]
        self._kept.update({one.monitor.name: one.kept() for one in whole})
        return self._kept

    def begin_anew(self, root: str, folder: str) -> None:
        """Begin a new run: drop the memory of the rules, read files from their present end."""
        monitors = [one.monitor for one in self.watched if one.monitor.name in self._of_step]
        self._kept = for_new_run(root, folder, monitors, self.kept())
        self.watched = [MonitorState(one.monitor, self._kept.get(one.monitor.name, {})) for one in self.watched]

    def start(self, job: ProbeContext) -> list[Command]:
        """Start the probes that are due in their thread; return the commands that are due."""
        due = [one for one in self.watched if not one.busy and one.next_s <= job.now_s]
        for one in due:
            one.start(job.now_s)
        probes = [one for one in due if one.monitor.kind not in COMMANDS]
        if probes:
            self._prober.look(probes, job)
        asked = [one for one in due if one.monitor.kind in COMMANDS]
        return [self._commands.command(self.watched.index(one), one.monitor) for one in asked]

    def look_at_once(self, kinds: tuple[str, ...], job: ProbeContext) -> None:
        """Start the probes of these kinds, and those that have seen nothing yet, without regard to the schedule."""
        probes = [one for one in self.watched if one.monitor.kind not in COMMANDS and not one.busy]
        found = [one for one in probes if one.monitor.kind in kinds or not one.ever_there]
        for one in found:
            one.start(job.now_s)
        self._prober.look(found, job)

    @property
    def is_looking(self) -> bool:
        """True while a probe runs."""
        return any(one.busy for one in self.watched if one.monitor.kind not in COMMANDS)

    def drop(self, ended: ProcessResult) -> None:
        """Forget a command that was ended before it gave an answer."""
        at = index_of(ended)
        self.watched[at].busy = False
        self._commands.errors(at)

    def take(self, ended: ProcessResult) -> list[Judged]:
        """Return the results of the end of a monitor's command."""
        at = index_of(ended)
        return self.watched[at].take_output(*self._commands.outcome(at, ended), time.monotonic())

    def gather(self, now_s: float) -> list[Judged]:
        """Return the results of the probes that have ended; mark one that is late."""
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
        """Return a sample for the rules: masked, with the signs of life that other monitors saw."""
        elsewhere = sum(count for name, count in self._moves.items() if name != one.monitor.name)
        return reading.replace(text=self._mask(reading.text), signs=reading.signs + elsewhere)

    def miss(self, now_s: float, began_s: float, *, ended: bool) -> dict[str, str]:
        """Return the reason for each thing that the monitors of the step have never seen, by key."""
        found: dict[str, str] = {}
        for one in self.watched:
            if one.monitor.name in self._of_step:
                found.update(one.miss(now_s, began_s, ended=ended))
        return found

    def blind(self, now_s: float, began_s: float) -> list[Judged]:
        """Return the results of the grace of each monitor that has one."""
        return [one.blind(now_s, began_s) for one in self.watched if one.monitor.grace_s is not None]


def default_monitors(monitors: tuple[Monitor, ...], checkpoints: str) -> tuple[Monitor, ...]:
    """Return the default monitors: the printed progress, and the checkpoints that `--until` waits for."""
    kinds = {one.kind for one in monitors}
    names = {one.name for one in monitors}
    found = [] if "progress" in kinds else [Monitor("progress", "progress", asks=True, interval_s=PROGRESS_S)]
    if "checkpoints" not in kinds and checkpoints:
        found.append(Monitor("checkpoints", "checkpoints", checkpoints, interval_s=CHECKPOINT_S))
    return tuple(one.replace(name=f"{one.name} of the job") if one.name in names else one for one in found)


def for_new_run(
    root: str, folder: str, monitors: Iterable[Monitor], kept: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the memory of monitors for a new run: none of the rules, and files at their present end."""
    probes = {name: {"probe": one.get("probe", {}), "there": one.get("there", False)} for name, one in kept.items()}
    return {**probes, **_ends_of_files(root, folder, monitors)}


def _ends_of_files(root: str, folder: str, monitors: Iterable[Monitor]) -> dict[str, Any]:
    """Return the memory of the probes of files after a look before the run: present content is of another run.

    A probe that does not end within ANSWER_S gets no memory.
    """
    now_s = time.monotonic()
    job = ProbeContext(root, folder, "", 0, now_s, now_s, NEVER_NS)
    watched = [MonitorState(one, {}) for one in monitors if one.kind in FILES]
    seen: list[MonitorState] = []
    prober = ProbeThread(-1)
    prober.look(watched, job)
    while len(seen) < len(watched) and time.monotonic() < now_s + ANSWER_S:
        seen += [one for one, _ in prober.answers()]
        time.sleep(0.001)
    return {one.monitor.name: one.kept() for one in seen}
