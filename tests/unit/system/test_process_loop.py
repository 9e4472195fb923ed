"""The poll loop's bounds, with a process that no signal ends."""

from __future__ import annotations

import os
import sys
import threading
import time

from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process import Command, RunningProcess, has_unknown_children, start
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


def test_a_sweep_for_orphans_in_another_thread_takes_no_exit_code_of_a_child():
    codes, over = [], threading.Event()

    def sweep():
        while not over.is_set():
            has_unknown_children()  # of the first thread, whose children the kernel lists

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for turn in range(60):
            asked = Command(name="one", argv=("/bin/sh", "-c", "exit 3"), env={}, token=f"t{turn}", limit_s=60)
            watch, ended = ProcessLoop(Interrupts()), []
            watch.add(start(asked))
            while not ended:
                ended = watch.turn()
            codes.append(ended[0].exit_code)
    finally:
        over.set()
        sweeper.join(120)
        sys.setswitchinterval(before)
    assert codes == [3] * 60


def test_each_branch_of_interrupts_hears_every_signal_and_drains_alone():
    whole = Interrupts()
    whole.ask("SIGTERM")
    early, late = whole.branch(), whole.branch()
    early.drain()
    whole.ask("SIGINT")
    assert [(one.count, one.reason) for one in (early, late)] == [(2, "interrupted by SIGINT")] * 2
    assert not early.sleep(60)
    whole.close(early)
    whole.ask("SIGINT")
    assert (early.count, late.count) == (2, 3)
