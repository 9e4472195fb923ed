"""What the alerts that stand when a job has ended do to its verdict."""

from __future__ import annotations

from executor.engine.verdict import STOOD
from executor.monitoring.failing_alerts import failing_alerts
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.monitoring.alerts import Alert
    from executor.monitoring.model import Monitor


def judged_by_alerts(outcome: Outcome, standing: Mapping[str, Alert], monitors: Iterable[Monitor]) -> Outcome:
    """Return the outcome of a job with the alerts (monitor/rule) that stand at its end.

    A nan or divergence alert fails a job that exited 0, unless its monitor has `at_end: note`; others are noted.
    """
    noted = outcome.replace(evidence=tuple(f"alert {key} stood at the end" for key in standing))
    failing = failing_alerts(standing, monitors)
    if not (outcome.passed and failing):
        return noted
    first = failing[0]
    said = standing[first].output
    told = f"alert {first} stood at the end{f': {said}' if said else ''}"
    reason = f"{told}; to take it all the same, give its monitor at_end: note"
    return Outcome(Verdict.FAILED, reason, tuple(f"{STOOD}{key}" for key in failing))
