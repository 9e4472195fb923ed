"""MAIN by a command of the project: a process of its own, judged by its exit code."""

from __future__ import annotations

from executor.plan.model import Main
from executor.runners import command
from executor.runners.made_of import note_task
from executor.runners.main_run import log_finished, log_started
from executor.runners.process_run import LaunchRequest, adopt, launch
from executor.store import runs
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.runners.main_run import Judged
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task


class CommandRunner(Record):
    """A script or a command does MAIN; `fields` are others of its events."""

    context: RunContext
    task: Task
    fields: Mapping[str, Any] = {}

    def start(self) -> Judged:
        """Begin a run, watch it to its end and judge it."""
        context, task = self.context, self.task
        run = runs.next_main(context.root, task.task_id)
        argv = command.main_argv(context, task)
        note_task(context, task, run)
        request = LaunchRequest(run, argv, lambda pid: log_started(context, task, run, pid, **self.fields))
        return judge_run(context, task, run, launch(context, task, request, limit_s=self._limit_s), **self.fields)

    def adopt(self, run: str) -> Judged:
        """Watch a run to its end that an earlier executor began, and judge it."""
        done = adopt(self.context, self.task, run=run, limit_s=self._limit_s)
        return judge_run(self.context, self.task, run, done, **self.fields)

    @property
    def _limit_s(self) -> float:
        return (self.task.step.main or Main()).limit_s


def judge_run(context: RunContext, task: Task, run: str, done: Run, **more: Any) -> Judged:
    """Log the end of a run; return its outcome with the classes that `retry` may name it by.

    `more` are other fields of MainFinished.
    """
    outcome, failure = command.outcome_of(done)
    if outcome.passed and done.left:
        outcome, failure = Outcome(Verdict.FAILED, _left_running(done)), "left"
    return log_finished(context, task, run, done, (outcome, failure), **more)


def _left_running(done: Run) -> str:
    """Return the reason for failing a job that exited 0 and left a process running."""
    more = f" and {len(done.left) - 1} more" if len(done.left) > 1 else ""
    reason = f"MAIN ended in {done.duration_s:.1f} s and left a process running: {done.left[0]}{more}"
    return f"{reason}; drop the `&`: do-tasks detaches it itself"
