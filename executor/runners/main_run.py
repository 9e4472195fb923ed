"""The runs of MAIN: started or adopted, retried, logged."""

from __future__ import annotations

import random

from executor.plan.model import Main
from executor.runners import command
from executor.store import provenance, runs
from executor.store.events import MainAdopted, MainFinished, MainLost, MainRetried, MainReused, MainStarted
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Protocol

    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task

    Judged = tuple[Outcome, tuple[str, ...]]  # the outcome of a run, with the classes that `retry` may name it by

    class MainRunner(Protocol):
        """A way to do MAIN: by a command, by an agent, or one chunk of it."""

        def start(self) -> Judged:
            """Begin a run, watch it to its end and judge it."""

        def adopt(self, run: str) -> Judged:
            """Watch a run to its end that an earlier executor began, and judge it."""


MOST_WAIT_S = 60.0
FINAL = frozenset(
    ("stopped", "tampered", "unfit", "spent", "left")
)  # ended by a person or an agent, or sure to fail again


def run_main(context: RunContext, task: Task, runner: MainRunner, *, adopting: str = "") -> Outcome:
    """Start MAIN, or adopt the run `adopting`; start it again for the classes that `retry` names."""
    spec = task.step.main or Main()
    if adopting:
        pid = runs.status_of(context.root, task.task_id, adopting).pid
        context.log(MainAdopted(run=adopting, pid=pid, why=task.decision.why), task)
    outcome, classes = runner.adopt(adopting) if adopting else runner.start()
    for tried in range(1, spec.retry.attempts):
        if outcome.passed or not is_retried(classes, spec):
            break
        if not _wait(context, task, classes[0], tried):
            return Outcome(Verdict.INTERRUPTED, context.interrupts.name)
        outcome, classes = runner.start()
    return outcome


def is_retried(classes: tuple[str, ...], spec: Main) -> bool:
    """Return True when `retry` names one of the classes of a failure; some are never tried again."""
    return FINAL.isdisjoint(classes) and any(one in spec.retry.on for one in (*classes, "any"))


def _wait(context: RunContext, task: Task, failure: str, tried: int) -> bool:
    """Wait before the next attempt, longer each time; return False when a person interrupted or stopped the task."""
    wait_s = min(MOST_WAIT_S, 2.0**tried) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
    run = runs.next_main(context.root, task.task_id)
    context.log(MainRetried(run=run, failure=failure, wait_s=round(wait_s, 1)), task)
    return context.interrupts.sleep(wait_s) and not runs.stop_asked(context.root, task.task_id)


def log_reused(context: RunContext, task: Task) -> None:
    """Log that an earlier run of MAIN counts for this task."""
    decision = task.decision
    context.log(MainReused(main_task=decision.main_task, run=decision.main_run, why=decision.why), task)


def log_lost(context: RunContext, task: Task) -> None:
    """Log the run that the decision found lost, if there is one."""
    if task.decision.lost_run:
        reason = "its process is gone and left no exit code"
        context.log(MainLost(run=task.decision.lost_run, reason=reason), task)


def log_started(context: RunContext, task: Task, run: str, pid: int, **more: Any) -> None:
    """Log that a run is about to begin, and sync the log; `more` are other fields of MainStarted."""
    spec = task.step.main or Main()
    fields: dict[str, Any] = {
        "runner": "command",
        "objective": spec.objective or task.title,
        "limit_s": spec.limit_s,
        "command": more.get("command") or command.shown(command.main_argv(context, task), context.root),
    }
    if context.devices:
        fields["devices"] = context.devices
    fields |= provenance.surroundings(context, context.asked_git)
    context.asked_git = None
    context.log(MainStarted(run=run, pid=pid, **{**fields, **more}), task)
    context.journal.sync()


def log_finished(
    context: RunContext, task: Task, run: str, done: Run, judged: tuple[Outcome, str], **more: Any
) -> Judged:
    """Log the end of a run as it was judged, and sync the log; `more` are other fields of MainFinished.

    `judged` is the outcome with the class of the failure; it is returned with the classes that `retry` may name.
    """
    outcome, failure = judged
    fields = {"output": done.output, "output_file": done.output_file}
    finished = MainFinished(
        status=outcome.verdict,
        run=run,
        exit_code=done.end.exit_code,
        signal=done.end.signal,
        duration_s=done.duration_s,
        failure=failure,
        reason=outcome.reason,
        **{**fields, **more},
    )
    context.log(finished, task)
    context.journal.sync()
    return outcome, (failure, f"exit:{done.end.exit_code}")
