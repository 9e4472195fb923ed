"""One command line of ours as a child: bounded, followed, ended with whoever asked for it."""

from __future__ import annotations

import os
import signal
import sys
import time

import anyio

from executor.system import installation, process
from executor.system.outcome import Verdict
from executor.system.output_tail import OutputTail
from executor.system.process_loop import ProcessLoop
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from executor.system.interrupts import Interrupts
    from executor.system.process import ProcessResult, StopSequence

    Tell = Callable[[int, str], Awaitable[None]]

START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from executor.cli.main import entry; "
    "from executor.system import procfs; procfs.end_with(int(sys.argv.pop(1))); entry()"
)
# An executor that is interrupted ends its MAIN first, by a ladder of its own.
GENTLE: StopSequence = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
MOST_BYTES = 1 << 20
TURN_S = 0.03
TELL_S = 1.0


class Said(Record):
    """What a command line did: `late` when its limit was over, so that it was interrupted."""

    exit_code: int
    text: str
    late: bool = False


class Gathered(OutputTail):
    """The beginning of an output, and its end when that is far away, in memory."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        super().__init__("")
        self._most_bytes = most_bytes
        self._head = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._head += data[: max(0, self._most_bytes - len(self._head))]
        super().feed(data)

    def text(self) -> str:
        """Return what was said, with how much was left out."""
        beyond = max(0, self.size - len(self._head))
        lost = max(0, beyond - len(self.tail))
        gap = f"\n[... {lost} bytes left out ...]\n".encode() if lost else b""
        return (bytes(self._head) + gap + self.tail[len(self.tail) - beyond + lost :]).decode("utf-8", "replace")

    def newest(self) -> str:
        """Return the last line that says something."""
        lines = (line.strip() for line in reversed(self.tail.decode("utf-8", "replace").splitlines()))
        return next(filter(None, lines), "")


class Child:
    """`do-tasks WORDS` as a process of ours; on Linux it is interrupted when we die, however we die."""

    def __init__(self, words: list[str], interrupts: Interrupts) -> None:
        argv = (sys.executable, "-P", "-c", START, installation.IMPORT_FOLDER, str(os.getpid()), *words)
        token = f"mcp/{os.getpid()}.{os.urandom(4).hex()}"
        command = process.Command("do-tasks", argv, dict(os.environ), token, limit_s=float("inf"))
        self._gathered = Gathered()
        self._running = process.start(command)
        self._running.output = self._gathered
        self._watch = ProcessLoop(interrupts, due=time.monotonic)  # it never waits: between turns others have theirs
        self._watch.add(self._running)

    async def ended(self, limit_s: float, tell: Tell) -> Said:
        """Return what it said; at its limit, or when the one who waits is cancelled, it is interrupted."""
        try:
            end = await self._tend(limit_s, tell)
            if end is None:
                end = await self._interrupted(Verdict.TIMED_OUT)
        finally:
            if self._watch.running:
                with anyio.CancelScope(shield=True):
                    await self._interrupted(Verdict.INTERRUPTED)
        code = 128 + end.signal if end.exit_code is None else end.exit_code
        return Said(code, self._gathered.text(), late=end.verdict == Verdict.TIMED_OUT)

    async def _interrupted(self, verdict: Verdict) -> ProcessResult:
        self._running.stop(verdict, "", GENTLE)
        while True:
            end = await self._tend(float("inf"), _nobody)
            if end is not None:
                return end

    async def _tend(self, limit_s: float, tell: Tell) -> ProcessResult | None:
        """Return how it ended, None when it has not within the limit; tell its newest line now and then."""
        began = told_at = time.monotonic()
        told = 0
        while time.monotonic() - began < limit_s:
            for end in self._watch.turn():
                return end
            if self._gathered.size != told and time.monotonic() - told_at > TELL_S:
                told_at, told = time.monotonic(), self._gathered.size
                await tell(told, self._gathered.newest())
            await anyio.sleep(TURN_S)
        return None


async def _nobody(size: int, line: str) -> None:
    """Tell nobody."""
