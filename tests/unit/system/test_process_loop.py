"""The poll loop's bounds, with a process that no signal ends."""

from __future__ import annotations

import os
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


def test_loops_in_threads_each_get_the_exit_codes_of_their_own_processes():
    codes, sweeping = {number: [] for number in range(4)}, threading.Event()

    def ends(number):
        for turn in range(12):
            asked = Command(name="one", argv=("/bin/sh", "-c", f"exit {number}"), env={}, token=f"t{turn}", limit_s=60)
            watch, ended = ProcessLoop(Interrupts()), []
            watch.add(start(asked))
            while not ended:
                ended = watch.turn()
            codes[number].append(ended[0].exit_code)

    def sweep():
        while not sweeping.is_set():
            has_unknown_children()  # reaps orphans, and no child of another thread

    threads = [threading.Thread(target=ends, args=(number,)) for number in codes]
    sweeper = threading.Thread(target=sweep)
    for one in (*threads, sweeper):
        one.start()
    for one in threads:
        one.join(120)
    sweeping.set()
    sweeper.join(120)
    assert codes == {number: [number] * 12 for number in codes}


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
