"""The end of a job: the alerts that stand then, and the processes that it leaves running."""

from __future__ import annotations

import time

from executor.engine.verdict import STOOD
from executor.monitoring.alerts import failing_alerts
from executor.store import runs
from executor.store.events import WarningRaised
from executor.system import procfs
from executor.system.outcome import Outcome, Verdict
from executor.system.process_loop import ObserverLoop
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.monitoring.alerts import Alert
    from executor.monitoring.model import Monitor
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import RunningProcess

SOON_S = 2.0  # a job counts as started when it lives so long
LINGER_S = 0.5  # a process that ends by itself within this was a helper of the job
LOOK_S = 0.02
MOST_CHARS = 80


def judged_by_alerts(outcome: Outcome, standing: Mapping[str, Alert], monitors: Iterable[Monitor]) -> Outcome:
    """Return the outcome of a job with the alerts (monitor/rule) that stand at its end.

    A nan or divergence alert fails a job that exited 0, unless its monitor has `at_end: note`; others are evidence.
    """
    noted = outcome.replace(evidence=tuple(f"alert {key} stood at the end" for key in standing))
    failing = failing_alerts(standing, monitors)
    if not (outcome.passed and failing):
        return noted
    first = failing[0]
    output = standing[first].output
    alert = f"alert {first} stood at the end{f': {output}' if output else ''}"
    reason = f"{alert}; to take it all the same, give its monitor at_end: note"
    return Outcome(Verdict.FAILED, reason, tuple(f"{STOOD}{key}" for key in failing))


class LeftoverLoop(ObserverLoop):
    """A poll loop that notes the processes left by a run before it ends them."""

    left: tuple[str, ...] = ()
    _ended_s = 0.0

    def is_settled(self, one: RunningProcess) -> bool:
        """Wait LINGER_S for the processes left by MAIN, then note the command lines of the others."""
        if not one.command.name.startswith("main.") or one.is_stopping or not one.has_survivors():
            return super().is_settled(one)
        self._ended_s = self._ended_s or time.monotonic()
        if time.monotonic() < self._ended_s + LINGER_S:
            return False
        self.left = _shown(procfs.pids_with_token(one.command.token))
        return super().is_settled(one)


def left_by(token: str) -> tuple[str, ...]:
    """Return the command lines of the processes left by a run that ended unobserved."""
    until = time.monotonic() + LINGER_S
    while (found := procfs.pids_with_token(token)) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return _shown(found)


def with_leftovers(context: RunContext, task: Task, run: str, done: Run, left: tuple[str, ...]) -> Run:
    """Return a run that exited 0 with the processes it left.

    A run that ended within SOON_S has detached its training: `left` fails it. Later ones are a warning, `trailing`.
    """
    began_ns = runs.began_ns(context.folder(task, run))
    lasted_s = (done.end.ended_ns - began_ns) / 1e9
    if not left or done.verdict is not None or done.end.exit_code != 0:
        return done
    if lasted_s > SOON_S:
        ended = f"{run} exited 0 and left processes that were ended: {', '.join(left)}"
        message = f"{ended}; a training that detaches itself ends here: drop its & or nohup"
        context.log(WarningRaised(message=message), task)
        return done.replace(trailing=left)
    return done.replace(left=left, duration_s=round(max(0.0, lasted_s), 3))


def _shown(found: list[int]) -> tuple[str, ...]:
    return tuple(text for text in map(_words, found) if text)


def _words(pid: int) -> str:
    text = " ".join(procfs.command_line(pid))
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"
