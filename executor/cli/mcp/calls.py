"""A `do-tasks` command as a child process with a time limit, ended when its call is cancelled."""

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

    Report = Callable[[int, str], Awaitable[None]]

START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from executor.cli.main import entry; "
    "from executor.system import procfs; procfs.end_with_parent(int(sys.argv.pop(1))); entry()"
)
# The steps leave an interrupted executor the time to end its MAIN.
GENTLE: StopSequence = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
MOST_BYTES = 1 << 20
TURN_S = 0.03
REPORT_S = 1.0


class CallResult(Record):
    """Exit code and output of a command; `late` when it was interrupted at its time limit."""

    exit_code: int
    text: str
    late: bool = False


class HeadAndTail(OutputTail):
    """The first `most_bytes` of an output and its last bytes, in memory."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        super().__init__("")
        self._most_bytes = most_bytes
        self._head = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._head += data[: max(0, self._most_bytes - len(self._head))]
        super().feed(data)

    def text(self) -> str:
        """Return the output as text; the gap names the bytes that were left out."""
        beyond = max(0, self.size - len(self._head))
        lost = max(0, beyond - len(self.tail))
        gap = f"\n[... {lost} bytes left out ...]\n".encode() if lost else b""
        return (bytes(self._head) + gap + self.tail[len(self.tail) - beyond + lost :]).decode("utf-8", "replace")

    def newest(self) -> str:
        """Return the last line that is not blank."""
        lines = (line.strip() for line in reversed(self.tail.decode("utf-8", "replace").splitlines()))
        return next(filter(None, lines), "")


class Child:
    """`do-tasks WORDS` as a child process; on Linux it is interrupted when this process dies."""

    def __init__(self, words: list[str], interrupts: Interrupts) -> None:
        argv = (sys.executable, "-P", "-c", START, installation.IMPORT_FOLDER, str(os.getpid()), *words)
        token = f"mcp/{os.getpid()}.{os.urandom(4).hex()}"
        command = process.Command("do-tasks", argv, dict(os.environ), token, limit_s=float("inf"))
        self._output = HeadAndTail()
        self._running = process.start(command)
        self._running.output = self._output
        self._watch = ProcessLoop(interrupts, due=time.monotonic)  # a turn never waits: other tasks run between turns
        self._watch.add(self._running)

    async def ended(self, limit_s: float, report: Report | None) -> CallResult:
        """Return the result; interrupt the process at its time limit and when the call is cancelled."""
        try:
            end = await self._wait(limit_s, report)
            if end is None:
                end = await self._interrupted(Verdict.TIMED_OUT)
        finally:
            if self._watch.running:
                with anyio.CancelScope(shield=True):
                    await self._interrupted(Verdict.INTERRUPTED)
        code = 128 + end.signal if end.exit_code is None else end.exit_code
        return CallResult(code, self._output.text(), late=end.verdict == Verdict.TIMED_OUT)

    async def _interrupted(self, verdict: Verdict) -> ProcessResult:
        self._running.stop(verdict, "", GENTLE)
        while True:
            end = await self._wait(float("inf"), None)
            if end is not None:
                return end

    async def _wait(self, limit_s: float, report: Report | None) -> ProcessResult | None:
        """Return the end of the process, None when the limit is over; report its newest line every REPORT_S."""
        began = reported_s = time.monotonic()
        reported = 0
        while time.monotonic() - began < limit_s:
            for end in self._watch.turn():
                return end
            if report and self._output.size != reported and time.monotonic() - reported_s > REPORT_S:
                reported_s, reported = time.monotonic(), self._output.size
                await report(reported, self._output.newest())
            await anyio.sleep(TURN_S)
        return None
