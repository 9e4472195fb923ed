"""Signals that ask this process to stop, as an event that a loop can wait for."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Interrupts:
    """The signals that asked this process to stop: their count, and a descriptor that polls readable."""

    def __init__(self) -> None:
        self.count = 0
        self.name = ""
        self.fd, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._branches: tuple[Interrupts, ...] = ()

    def listen(self) -> None:
        """Handle SIGINT, SIGTERM and, unless nohup ignores it, SIGHUP from now on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some parents leave it, it hides every exit code

    def _note(self, number: int, frame: Any) -> None:  # noqa: ARG002 - the signature of a signal handler
        self.ask(signal.Signals(number).name)

    def ask(self, name: str) -> None:
        """Ask the threads of this and of each branch to stop; a second time to stop at once."""
        self.count += 1
        self.name = name
        with suppress(BlockingIOError):
            os.write(self._wake, b"!")
        for one in self._branches:
            one.ask(name)

    def branch(self) -> Interrupts:
        """Return interrupts for another thread, which are asked to stop whenever these are."""
        made = Interrupts()
        self._branches = (*self._branches, made)
        for _ in range(self.count):
            made.ask(self.name)
        return made

    def close(self, branch: Interrupts) -> None:
        """Close a branch, whose thread has ended."""
        self._branches = tuple(one for one in self._branches if one is not branch)
        os.close(branch.fd)
        os.close(branch._wake)

    @property
    def reason(self) -> str:
        """The reason of a run that was asked to stop, for a person."""
        return f"interrupted by {self.name}"

    def drain(self) -> None:
        """Empty the descriptor; the count stays."""
        with suppress(BlockingIOError):
            os.read(self.fd, 64)

    def sleep(self, seconds: float) -> bool:
        """Wait until the time has passed or a signal came; return True when the whole time passed."""
        until = time.monotonic() + seconds
        while not self.count and (left := until - time.monotonic()) > 0:
            select.select([self.fd], [], [], left)
        return not self.count
