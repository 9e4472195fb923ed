"""The condition `if` of a step, judged by what the log has recorded of another step."""

from __future__ import annotations

from executor.plan.condition import failed_limit
from executor.store.step_values import metrics_of, single_metric, state_of, why_no_metric
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.model import Condition
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView

AT_WORK = ("", "started", "waiting", "interrupted", "lost")


def why_skipped(view: ProjectView, number: StepId) -> str:
    """Return the reason to skip a step whose condition is not met; empty when it is met, unknown or absent."""
    return _judged(view, number, ())[0]


def why_unknown(view: ProjectView, number: StepId) -> str:
    """Return the reason that a condition cannot be judged, empty when it can."""
    return _judged(view, number, ())[1]


def is_skipped(view: ProjectView, number: StepId) -> bool:
    """Return True for a step that has to do nothing: its condition does not hold, and no task of it is open."""
    if not _has_condition(view, number):
        return False
    state = view.state(number)
    return not (state.task_id and state.verdict in AT_WORK) and bool(why_skipped(view, number))


def _has_condition(view: ProjectView, number: StepId) -> bool:
    return view.plan.defines(number) and "if" in view.plan.raw[number][1]


def _judged(view: ProjectView, number: StepId, seen: tuple[StepId, ...]) -> tuple[str, str]:
    """Return two reasons: to skip the step, and why its condition is unknown; both are empty when it is met."""
    condition = view.step(number).condition if _has_condition(view, number) else None
    if condition is None or number in seen:
        return "", ""
    value = single_metric(metrics_of(state_of(view, str(condition.step))), condition.metric)
    if value is None:
        return _without_metric(view, condition, (*seen, number))
    try:
        failed = failed_limit(condition, value)
    except ValueError as error:
        return "", str(error)
    return (f"its condition is not met: {failed}" if failed else ""), ""


def _without_metric(view: ProjectView, condition: Condition, seen: tuple[StepId, ...]) -> tuple[str, str]:
    """Return the two reasons of `_judged` for a metric that is not recorded: its step may have been skipped."""
    for other in view.plan.numbers:
        if str(other) == str(condition.step):
            skipped = _judged(view, other, seen)[0]
            if skipped:
                return f"step {condition.step} is skipped, {skipped}", ""
    return "", why_no_metric(view, str(condition.step), condition.metric)
