"""PRE-FLIGHT: what must be true before anything runs."""

from __future__ import annotations

from executor.phases.together import check_all
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.bench import Bench, Task
    from executor.outcome import Outcome


def preflight(bench: Bench, task: Task) -> Outcome:
    """Run the checks side by side; the first failure cancels the rest."""
    return check_all(bench, task, phase="PRE-FLIGHT", asked=task.step.pre_flight, fail_fast=True)
