"""A poll loop that runs processes to their end, and a sweep for processes that they left."""

from __future__ import annotations

import os
import select
import time

from executor.system import procfs, run_processes
from executor.system.outcome import Verdict
from executor.system.process import INTERRUPT, KILL, STOP, forget_child, has_unknown_children
from executor.system.records import TYPE_CHECKING
from executor.system.signals import signal_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.system.interrupts import Interrupts
    from executor.system.process import ProcessResult, RunningProcess, StopSequence

POLL_S = 0.02
REAPED_S = 3.0
FILE_CHECK_S = 0.25
IDLE_S = 30.0
ORPHANS_S = 5.0
ORPHAN_POLL_S = 0.005


class ProcessLoop:
    """A poll loop over processes, their pipes and the signals that ask to stop."""

    def __init__(
        self,
        interrupts: Interrupts,
        *,
        beat: Callable[[], None] | None = None,
        beat_s: float = 0.25,
        due: Callable[[], float] | None = None,
        wake: int = -1,
        mask: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`beat` is called every `beat_s`; `due` gives when a turn must end (monotonic), `wake` may end it sooner.

        `mask` masks secrets in an output that is cut, at equal length.
        """
        self._mask = mask
        self.running: list[RunningProcess] = []
        self._due = due
        self._wake = wake
        self._interrupts = interrupts
        self._beat = beat
        self._beat_s = beat_s
        self._handled = 0

    def add(self, running: RunningProcess) -> None:
        """Add a process to the loop."""
        self.running.append(running)

    def kill_all(self) -> None:
        """Kill every group at once: the executor cannot continue."""
        for one in self.running:
            one.stop(Verdict.CANCELLED, "the executor could not go on", KILL)

    def turn(self) -> list[ProcessResult]:
        """Wait for the next event, handle it, and return the results of processes that are wholly over."""
        self._poll()
        self.handle_interrupts()
        for one in self.running:
            _advance(one)
        done = [one for one in self.running if one.has_given_up or (one.has_exited and self.is_settled(one))]
        self.running = [one for one in self.running if one not in done]
        for one in done:
            forget_child(one.pid)
        return [one.result(self._mask) for one in done]

    def _poll(self) -> None:
        poll = select.poll()
        poll.register(self._interrupts.fd, select.POLLIN)
        if self._wake >= 0:
            poll.register(self._wake, select.POLLIN)
        for one in self.running:
            if one.pidfd >= 0 and not one.has_exited:
                poll.register(one.pidfd, select.POLLIN)
            if one.pipe >= 0:
                poll.register(one.pipe, select.POLLIN)
        poll.poll(max(0.0, self._poll_timeout_s()) * 1000)
        if self._beat:
            self._beat()
            has_unknown_children()  # a long run may orphan thousands: they become zombies of this process

    def _poll_timeout_s(self) -> float:
        now = time.monotonic()
        waits = [one.deadline() - now for one in self.running]
        waits += [POLL_S for one in self.running if one.has_exited or one.pidfd < 0]
        waits += [FILE_CHECK_S for one in self.running if one.command.errors]  # a file that grows wakes no poll
        waits += [self._beat_s] if self._beat else []
        waits += [self._due() - now] if self._due else []
        return min(waits, default=0.0) if waits else IDLE_S

    def is_settled(self, one: RunningProcess) -> bool:
        """Return True when nothing of a process lives; begin to end the rest."""
        if not one.has_survivors():
            return True
        if not one.is_stopping:
            one.stop(Verdict.PASSED, "")
        return False

    def handle_interrupts(self) -> None:
        """End the processes after a signal: gently after the first, at once after the second."""
        asked = self._interrupts.count
        if asked == self._handled:
            return
        self._interrupts.drain()
        self._handled = asked
        for one in self.running:
            one.stop(Verdict.INTERRUPTED, self._interrupts.reason, INTERRUPT if asked == 1 else KILL)


class ObserverLoop(ProcessLoop):
    """A poll loop that ends nothing after a signal: its processes outlive this one."""

    def handle_interrupts(self) -> None:
        """Leave all processes running."""


def _advance(one: RunningProcess) -> None:
    _drain(one)
    if not one.has_exited:
        one.reap()
    if one.has_exited:
        _drain(one)
    if not one.is_stopping and one.bytes_written() > one.command.max_output:
        one.stop(Verdict.FAILED, f"wrote more than {one.command.max_output // 1024**2} MiB and was stopped")
    if one.is_stopping:
        one.escalate()
    elif not one.has_exited and time.monotonic() >= one.deadline():
        one.stop(Verdict.TIMED_OUT, f"still running after its {one.command.limit_s:g} s limit")


def _drain(one: RunningProcess) -> None:
    """Read the content of the pipe, a bounded number of blocks a turn."""
    for _ in range(64):
        if one.pipe < 0:
            return
        try:
            data = os.read(one.pipe, 65536)
        except BlockingIOError:
            return
        if not data:
            os.close(one.pipe)
            one.pipe = -1
            return
        one.output.feed(data[: max(0, one.command.max_output + 1 - one.output.size)])


def stop_strays(
    token: str, interrupts: Interrupts, *, root: str = "", excluding: str = "", sequence: StopSequence = STOP
) -> tuple[int, ...]:
    """End every process with this token but those with the token `excluding`; return the pids that are gone.

    `root` is the folder that they belong to. Descendants are listed before the first signal: an orphan with an
    environment of its own cannot be found afterwards.
    """
    excluded = run_processes.find_living(run_processes.ProcessQuery(excluding, root)) if excluding else {}
    found = _without(run_processes.find_living(run_processes.ProcessQuery(token, root)), excluded)
    met = dict(found)
    for number, grace in sequence:
        for pid in found:
            signal_process(pid, number)
        until = time.monotonic() + grace
        while found and time.monotonic() < until:
            interrupts.sleep(POLL_S)
            found = _without(run_processes.find_living(run_processes.ProcessQuery(token, root), found), excluded)
            found = {pid: start for pid, start in found.items() if not _reap_or_is_dead(pid)}
            met |= found
    return tuple(sorted(met.keys() - found.keys()))


def end_orphans(before: set[int] | None, is_spared: Callable[[int], bool] = lambda _: False) -> None:
    """Kill the children that this process did not have `before`: they shed their group and their environment.

    `before` is None where children cannot be listed; then nothing is done. `is_spared` is asked with the pid.
    """
    until = time.monotonic() + ORPHANS_S
    while before is not None and time.monotonic() < until:
        orphans = [pid for pid in (procfs.children() or set()) - before if not is_spared(pid)]
        if not orphans:
            return
        for pid in orphans:
            signal_process(pid, 9)
        has_unknown_children()  # this reaps them
        time.sleep(ORPHAN_POLL_S)


def belongs_to_run(pid: int) -> bool:
    """Return True for a process of a run beside the agent: its environment names the run."""
    return any(token.startswith(b"task_") for token in procfs.tokens(pid))


def wait_until_reaped(ended: tuple[int, ...], interrupts: Interrupts) -> None:
    """Wait, for a bounded time, until the parents of these dead processes have taken their exit statuses.

    Until then they are zombies, which a count of pids includes.
    """
    until = time.monotonic() + REAPED_S
    while any(procfs.is_listed(pid) for pid in ended) and time.monotonic() < until:
        interrupts.sleep(POLL_S)


def _without(found: dict[int, int], excluded: dict[int, int]) -> dict[int, int]:
    return {pid: start for pid, start in found.items() if pid not in excluded}


def _reap_or_is_dead(pid: int) -> bool:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return procfs.identify(pid) is None
