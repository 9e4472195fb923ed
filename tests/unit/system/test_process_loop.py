"""The poll loop's bounds, with a process that no signal ends."""

from __future__ import annotations

import os
import time

from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process import Command, RunningProcess
from executor.system.process_loop import ProcessLoop


class Deathless(RunningProcess):
    """A process in a sleep that even SIGKILL does not end: it never becomes over."""

    def __init__(self, command):
        super().__init__(command, os.getpid())
        self.sent = []

    def _signal(self, number):
        self.sent.append(number)

    def reap(self):
        return None


def test_a_process_that_nothing_ends_is_given_up_after_the_last_grace():
    one = Deathless(Command(name="d", argv=(), env={}, token="task_1_00000000/pre.1.d", limit_s=60))
    watch = ProcessLoop(Interrupts())
    watch.add(one)
    one.stop(Verdict.TIMED_OUT, "too late", ((15, 0.05), (9, 0.05)))
    until = time.monotonic() + 30
    ended = []
    while not ended and time.monotonic() < until:
        ended = watch.turn()
    assert [(each.verdict, each.exit_code) for each in ended] == [(Verdict.TIMED_OUT, None)]
    assert one.sent == [15, 9]
