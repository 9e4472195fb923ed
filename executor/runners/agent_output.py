"""The output of an agent as lines of the log."""

from __future__ import annotations

import os
import sys

from executor.runners.agent.usage import Usage, limit_reached
from executor.runners.agent_events import Closed, Stream, Turned
from executor.store import log_reader, runs
from executor.store.events import AgentTurned
from executor.system import safe_open
from executor.system.file_tail import FileTail
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.limits import AgentLimits
    from executor.store.context import RunContext
    from executor.store.task import Task

BLOCK = 1 << 22


class AgentOutput:
    """Reads the output of an agent while it works and logs each turn."""

    def __init__(self, context: RunContext, task: Task, run: str, bounds: AgentLimits | None = None) -> None:
        self._context = context
        self._bounds = bounds
        self._before = used(context, task)
        self._tokens = 0
        self._began = context.now()
        self._task = task
        self._run = run
        path = os.path.join(context.folder(task, run), "stdout.log")
        self._tail = FileTail(path, {}, first_bytes=sys.maxsize, block_bytes=BLOCK, compares=False)
        self._stream = Stream()
        lines = log_reader.task_lines(context.root, task.task_id)
        known = [line for line in lines if line.get("event") == "AgentTurned" and line.get("run") == run]
        self._known = max((int(line.get("turn", 0)) for line in known), default=0)
        self.closed: Closed | None = None

    def __call__(self) -> str:
        """Read new output; return the limit that is reached, empty for none or without `bounds`."""
        self._read()
        if self._bounds is None:
            return ""
        lasted_s = self._before.seconds + self._context.now() - self._began
        usage = Usage(input=self._before.input + self._tokens, seconds=lasted_s)
        return limit_reached(usage, self._bounds)[1]

    def _read(self) -> bool:
        """Log the turns in the next block of output; return True when there is more."""
        try:
            for data in self._tail.appended():
                self._take(self._stream.feed(data))
        except OSError:  # the file is missing
            return False
        return bool(self._tail.state["behind"])

    def end(self) -> Closed | None:
        """Read the rest; return the result event, None without one."""
        while self._read():
            pass
        self._take(self._stream.close())
        return self.closed

    def _take(self, found: list[Turned | Closed]) -> None:
        for one in found:
            self._tokens = max(self._tokens, one.tokens)
            if isinstance(one, Closed):
                self.closed = one
            elif one.turn > self._known:
                self._known = one.turn
                fields = one.asdict()
                event = AgentTurned(run=self._run, said=fields.pop("text"), **fields)
                self._context.log(event, self._task)


def used(context: RunContext, task: Task) -> Usage:
    """Return the usage of the runs of a task by the log: turns, tokens (as input), seconds."""
    lines = log_reader.task_lines(context.root, task.task_id)
    turns = [line for line in lines if line.get("event") == "AgentTurned"]
    tokens = {str(line.get("run")): int(line.get("tokens", 0)) for line in turns}
    lasted = [float(line.get("duration_s") or 0.0) for line in lines if line.get("event") == "MainFinished"]
    return Usage(turns=len(turns), input=sum(tokens.values()), seconds=sum(lasted))


def session_before(context: RunContext, task: Task) -> tuple[str, int, float]:
    """Return the session of Claude Code with this task, empty for none, the number of its last run, and its cost."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    session, last, usd = "", 0, 0.0
    for number in range(1, newest + 1):
        stream = Stream()
        path = os.path.join(context.folder(task, f"main.{number}"), "stdout.log")
        fed = (stream.feed(data) for data in safe_open.read_blocks(path))
        closed = [one for found in (*fed, stream.close()) for one in found if isinstance(one, Closed)]
        last = number if stream.session else last
        session, usd = stream.session or session, max((usd, *(one.usd for one in closed)))
    return session, last, usd
