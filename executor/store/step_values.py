"""The values of a step: its parameters, and the metrics of the steps that it reads."""

from __future__ import annotations

import json

from executor.errors import Problem
from executor.store.step_state import NEW
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.plan.model import Step
    from executor.plan.params import Param, Value
    from executor.plan.references import Lookup
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState

MOST_NAMED = 8
_VARIABLE = lazy_regex.pattern(rb"DO_TASKS_PARAM_([A-Z0-9_]*)")


class Given(Record):
    """The parameters of a command line.

    `values` are for every step. `carried`, the values of an earlier command line, are for steps that have no task yet.
    The steps of `anew` drop the values of earlier command lines. `cell` is the step that runs, with the values of its
    cell.
    """

    values: Mapping[str, Value] = {}
    carried: Mapping[str, Value] = {}
    anew: Collection[StepId] = ()
    cell: tuple[StepId, Mapping[str, Value]] | None = None


NOTHING_GIVEN = Given()


def params_of(view: ProjectView) -> dict[str, Param]:
    """Return the parameters that the plan declares."""
    if not view.plan.settings.params:
        return {}
    from executor.plan.params import declared

    return declared(view.plan.settings.params)


def given_to(view: ProjectView, number: StepId) -> dict[str, Value]:
    """Return the values that replace defaults for a step: of this command line, else of its task."""
    params = params_of(view)
    if not params:
        return {}
    from executor.plan.params import still_valid

    return {**still_valid(params, _of_task(view, number)), **view.given.values}


def _of_task(view: ProjectView, number: StepId) -> Mapping[str, Any]:
    state = view.state(number)
    if number in view.given.anew:
        return {}
    if not state.task_id or state.verdict == "reopened":
        return view.given.carried
    return _object(state.params)


def values_of(view: ProjectView, number: StepId) -> dict[str, Value]:
    """Return the value of each parameter for a step; one without a value is left out."""
    given = {**given_to(view, number), **_of_cell(view, number)}
    each = {name: given.get(name, one.default) for name, one in params_of(view).items()}
    return {name: value for name, value in each.items() if value is not None}


def _of_cell(view: ProjectView, number: StepId) -> Mapping[str, Value]:
    """Return the values of the cell that runs, else those of the first cell; none without a matrix."""
    main = view.plan.raw[number][1].get("main") if view.plan.defines(number) else None
    if not main or not main.get("matrix"):
        return {}
    if view.given.cell and view.given.cell[0] == number:
        return view.given.cell[1]
    from executor.plan.matrix import cells_of

    return cells_of(main["matrix"], params_of(view))[0].values


def variables_of(view: ProjectView, number: StepId) -> dict[str, str]:
    """Return the environment variables of the parameters of a step."""
    values = values_of(view, number)
    if not values:
        return {}
    from executor.plan.params import text_of, variable_of

    return {variable_of(name): text_of(value) for name, value in values.items()}


def lookup_for(view: ProjectView, number: StepId) -> Lookup:
    """Return the lookup of references in a step."""
    from executor.plan.references import metric_of, param_of

    values = values_of(view, number)

    def look(name: str) -> Value | None:
        metric = metric_of(name)
        return single_metric(metrics_of(state_of(view, metric[0])), metric[1]) if metric else values.get(param_of(name))

    return look


def state_of(view: ProjectView, step: str) -> StepState:
    """Return the state of the step that a reference names."""
    return next((state for number, state in view.states.items() if str(number) == step), NEW)


def metrics_of(state: StepState) -> dict[str, Any]:
    """Return the metrics that the log recorded from the result file of a step's last pass."""
    return _object(state.metrics) if state.verdict != "reopened" else {}


def single_metric(metrics: Mapping[str, Any], name: str) -> Value | None:
    """Return a metric by its name, or by its path in nested metrics; None for one that is no single value."""
    found = metrics.get(name)
    if isinstance(found, str | int | float | bool):
        return found
    inner = ((one, name.removeprefix(f"{key}.")) for key, one in metrics.items() if name.startswith(f"{key}."))
    return next((single_metric(one, rest) for one, rest in inner if isinstance(one, dict)), None)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def problem_with_values(view: ProjectView, step: Step) -> Problem | None:
    """Return the problem with the first parameter of a step that has no usable value, None when all have one."""
    from executor.plan.references import param_of, unsafe_message

    key = f"step_{step.number}_{step.slug}"
    for name in step.unsafe:
        return Problem(view.project.definitions, unsafe_message(name), path=key)
    lacking = [param_of(name) for name in step.missing if param_of(name)]
    listed = step.main.params if step.main else ()
    lacking += [name for name in listed if name not in values_of(view, step.number)]
    if not lacking:
        return None
    message = f"params.{lacking[0]} has no value: give one with --set {lacking[0]}=VALUE, or write a default"
    return Problem(view.project.definitions, message, path=key)


def missing_metric(view: ProjectView, step: Step) -> tuple[str, str]:
    """Return a reference to a metric that is not recorded, with the reason; empty texts when there is none."""
    from executor.plan.references import metric_of

    for name in step.missing:
        metric = metric_of(name)
        if metric:
            return name, why_no_metric(view, *metric)
    return "", ""


def why_no_metric(view: ProjectView, step: str, metric: str) -> str:
    """Return the reason why a metric of a step is not known."""
    state = state_of(view, step)
    if not state.passed_task or state.verdict == "reopened":
        return f"step {step} has not passed here: do-tasks --step {step}"
    known = metrics_of(state)
    if not known:
        return f"step {step} recorded no metrics: its script writes them into the file $DO_TASKS_RESULT"
    if metric in known:
        return f"the metric {metric} of step {step} is no single value"
    names = ", ".join([*known][:MOST_NAMED])
    return f"step {step} recorded no metric {metric}; it has: {names}"


def used_by_main(view: ProjectView, step: Step, *, paths: Collection[str], by_agent: bool = False) -> dict[str, Value]:
    """Return the parameters that MAIN uses, with their values; `paths` are its script and modules.

    Used are those that its text refers to, those whose variables its text, script or modules name, and those that
    `main.params` lists. An agent uses all, unless it has such a list.
    """
    values = values_of(view, step.number)
    main = step.main
    if not values or main is None:
        return {}
    named = {name.removeprefix("params.") for name in step.values if name.startswith("params.")}
    if by_agent:
        named |= {*(main.params or values)}
    else:
        named |= {*main.params, *_named_in(view, values, (main.command, *main.args), paths)}
    return {name: value for name, value in values.items() if name in named}


def _named_in(
    view: ProjectView, values: Mapping[str, Value], words: tuple[str, ...], paths: Collection[str]
) -> Iterator[str]:
    """Yield the parameters whose variables are named in words or files; all, when only DO_TASKS_PARAM_ is."""
    from executor.plan.params import variable_of

    found = {one.decode() for one in _VARIABLE.findall(" ".join(words).encode("utf-8", "replace"))}
    for path in paths:
        found |= view.sources.matches(path, _VARIABLE)
    for name in values:
        if variable_of(name).removeprefix("DO_TASKS_PARAM_") in found or "" in found:
            yield name
