"""PRE-FLIGHT: what must be true before anything runs."""

from __future__ import annotations

from executor.checks.run import check_all
from executor.store.events import CheckFinished
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.task import Task


def preflight(context: RunContext, task: Task) -> Outcome:
    """Run the checks side by side; the first failure cancels the rest."""
    trouble = context.env_trouble(task)
    if trouble:
        return _unread(context, task, trouble)
    return check_all(context, task, phase="PRE-FLIGHT", asked=task.step.pre_flight, fail_fast=True)


def _unread(context: RunContext, task: Task, trouble: str) -> Outcome:
    """Log that an env file of the step cannot be used: no check is run without what it sets."""
    named = ", ".join(task.step.main.env_file) if task.step.main else ""
    failed = CheckFinished(
        phase="PRE-FLIGHT",
        status="failed",
        name="env_file",
        command=f"env_file: {named}",
        expected="env files that can be read",
        got=trouble,
        fix="write the file, or mend the line; see: do-tasks validate",
    )
    context.log(failed, task)
    return Outcome(Verdict.FAILED, trouble)
