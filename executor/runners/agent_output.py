"""What an agent says while it works, as lines of the log."""

from __future__ import annotations

import os

from executor.runners.agent.usage import Usage, limit_reached
from executor.runners.agent_events import Closed, Stream, Turned
from executor.store import log_reader, runs
from executor.store.events import AgentTurned
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.limits import AgentLimits
    from executor.store.context import RunContext
    from executor.store.task import Task

BLOCK = 1 << 22


class AgentOutput:
    """What an agent says while it works, a line of the log for each turn."""

    def __init__(self, context: RunContext, task: Task, run: str, bounds: AgentLimits | None = None) -> None:
        self._context = context
        self._bounds = bounds
        self._before = used(context, task)
        self._tokens = 0
        self._began = context.now()
        self._task = task
        self._run = run
        self._path = os.path.join(context.folder(task, run), "stdout.log")
        self._offset = 0
        self._stream = Stream()
        lines = log_reader.task_lines(context.root, task.task_id)
        known = [line for line in lines if line.get("event") == "AgentTurned" and line.get("run") == run]
        self._known = max((int(line.get("turn", 0)) for line in known), default=0)
        self.closed: Closed | None = None

    def __call__(self) -> str:
        """Take in what came since; return why the agent must be ended, where its limits are ours to watch."""
        self._read()
        if self._bounds is None:
            return ""
        lasted_s = self._before.seconds + self._context.now() - self._began
        spent = Usage(input=self._before.input + self._tokens, seconds=lasted_s)
        return limit_reached(spent, self._bounds)[1]

    def _read(self) -> None:
        if os.path.isfile(self._path) and os.stat(self._path).st_size > self._offset:
            fd = safe_open.opened(self._path)
            data = os.pread(fd, BLOCK, self._offset)
            os.close(fd)
            self._offset += len(data)
            self._take(self._stream.feed(data))

    def end(self) -> Closed | None:
        """Take in the rest; return the last word, None when there was none."""
        before = -1
        while self._offset != before:
            before = self._offset
            self._read()
        self._take(self._stream.close())
        return self.closed

    def _take(self, found: list[Turned | Closed]) -> None:
        for one in found:
            self._tokens = max(self._tokens, one.tokens)
            if isinstance(one, Closed):
                self.closed = one
            elif one.turn > self._known:
                self._known = one.turn
                self._context.log(AgentTurned(run=self._run, **one.asdict()), self._task)


def used(context: RunContext, task: Task) -> Usage:
    """Return what the runs of a task have used so far, as the log has it: turns, tokens (as input), seconds."""
    lines = log_reader.task_lines(context.root, task.task_id)
    turns = [line for line in lines if line.get("event") == "AgentTurned"]
    tokens = {str(line.get("run")): int(line.get("tokens", 0)) for line in turns}
    lasted = [float(line.get("duration_s") or 0.0) for line in lines if line.get("event") == "MainFinished"]
    return Usage(turns=len(turns), input=sum(tokens.values()), seconds=sum(lasted))


def said_before(context: RunContext, task: Task) -> tuple[str, int, float]:
    """Return the session that Claude Code has with this task, empty for none, the run that spoke last, what it cost."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    session, spoke, usd = "", 0, 0.0
    for number in range(1, newest + 1):
        stream = Stream()
        path = os.path.join(context.folder(task, f"main.{number}"), "stdout.log")
        said = (stream.feed(data) for data in safe_open.blocks(path))
        closed = [one for found in (*said, stream.close()) for one in found if isinstance(one, Closed)]
        spoke = number if stream.session else spoke
        session, usd = stream.session or session, max((usd, *(one.usd for one in closed)))
    return session, spoke, usd
