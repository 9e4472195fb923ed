"""A plan: the steps of one file, validated once, each built when it is asked for.

The parser, the schema and the rules are imported where they are used: a plan from the cache needs none of them.
"""

from __future__ import annotations

from bisect import bisect_left

from executor.errors import DefinitionError, Problem
from executor.monitoring.model import Notifier
from executor.plan.build import build_settings, build_step, title_of
from executor.plan.issues import ValidationIssue, not_defined, problem_of
from executor.plan.model import Edge, Settings
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path
    from executor.plan.model import Step
    from executor.plan.plan_rules import Raw
    from executor.plan.references import Lookup
    from executor.plan.step_ids import StepId
    from executor.plan.task_graph import TaskGraph


class Plan(Record):
    """The steps of one file; `raw` is number -> (name, data as loaded), ascending.

    `referring` are the steps with references to parameters or to metrics of other steps, `fixed` the values of those
    references in the plan of a job. `tasks` are those of the document where another tool's file has the boxes.
    """

    file: str
    settings: Settings
    raw: Raw
    referring: frozenset[StepId] = frozenset()
    fixed: Mapping[str, Any] = {}
    tasks: TaskGraph | None = None

    @property
    def numbers(self) -> tuple[StepId, ...]:
        """The numbers of the defined steps, ascending."""
        return tuple(self.raw)

    def place(self, number: StepId) -> int:
        """Return the place of a step in the order of the plan: its number, or its place in the document."""
        if self.tasks is not None:
            return self.tasks.place.get(str(number), len(self.tasks.place))
        return number if isinstance(number, int) else 0

    def before(self, number: StepId) -> StepId:
        """Return the defined step just before a step, 0 when there is none."""
        at = bisect_left(numbers := self.numbers, self.place(number), key=self.place)
        return numbers[at - 1] if at else 0

    def defines(self, number: StepId) -> bool:
        """Return True for a defined step."""
        return number in self.raw

    def gated(self, number: StepId) -> bool:
        """Return True for a step with written dependencies; builds nothing."""
        body = self.raw[number][1] if number in self.raw else {}
        if self.tasks is not None and body.get("depends_on") is None:
            return bool(self.tasks.written.get(str(number)))
        return bool(body.get("depends_on"))

    def places(self, number: StepId) -> bool:
        """Return True when `depends_on` is written, if only as `[]`; without it the step's place in order counts."""
        return self.tasks is not None or self.raw[number][1].get("depends_on") is not None

    def title(self, number: StepId) -> str:
        """Return the written title, else the words of the step's key; builds nothing."""
        return title_of(*self._entry(number))

    def step(self, number: StepId, look: Lookup | None = None) -> Step:
        """Build one step; its references are replaced by what `look` finds, without it by examples.

        Raises DefinitionError, without a line, for an unknown number and for a cache that was damaged.
        """
        slug, body = self._entry(number)
        try:
            if number in self.referring:
                from executor.plan.filled_steps import filled_step

                look = self.fixed.get if self.fixed else look
                step = filled_step(number, slug, body, look=look, settings=self.settings)
            else:
                step = build_step(number, slug, body, max_output=self.settings.max_output)
            return self._with_edges(step, body) if isinstance(number, str) else step
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"step {number} was stored damaged ({type(error).__name__}): remove .do-tasks/cache and try again"
            raise DefinitionError(Problem(self.file, message)) from error

    def _with_edges(self, step: Step, body: Mapping[str, Any]) -> Step:
        """Return a step of a document with its dependencies: its own, else those of the document and of its order."""
        if body.get("depends_on") is not None or self.tasks is None or step.number not in self.tasks.tasks:
            return step.replace(depends_on=tuple(one.replace(step=str(one.step)) for one in step.depends_on))
        written = self.tasks.written[str(step.number)]
        implied = [one for one in self.tasks.before(str(step.number)) if one not in written]
        return step.replace(depends_on=(*map(Edge, written), *(Edge(one, "started", in_order=True) for one in implied)))

    def _entry(self, number: StepId) -> tuple[str, Mapping[str, Any]]:
        if number not in self.raw:
            raise DefinitionError(Problem(self.file, not_defined(number, self.numbers)))
        return self.raw[number]


def read_plan(data: bytes, *, file: str) -> Plan:
    """Return the plan of a file whose form and rules hold.

    Raises DefinitionError with all problems at once, each with line and column.
    """
    from executor.plan.yaml_loader import load

    reading = _read(load(data, file=file), file)
    if reading.issues:
        raise DefinitionError(*_placed(reading.issues, data, file))
    return reading.plan


def read_valid_plan(data: bytes, *, file: str) -> Plan:
    """Return the plan of a file in which `validate` finds no error; the file is read once.

    Raises DefinitionError with all errors at once, each with line and column.
    """
    from executor.plan.yaml_loader import load

    reading = _read(top := load(data, file=file), file)
    doubts = [*_doubts_of_steps(reading, lambda _: "", _none), *_doubts_of_settings(reading.plan, top, None)]
    if wrong := [issue for issue in (*reading.issues, *doubts) if issue.severity == "error"] or reading.issues:
        raise DefinitionError(*_placed(wrong, data, file))
    return reading.plan


def validate(
    data: bytes,
    *,
    file: str,
    read_script: Callable[[str], str | None],
    doubts: Callable[[Step, Settings], Iterable[ValidationIssue]] | None = None,
    of_settings: Callable[[Settings, object], Iterable[ValidationIssue]] | None = None,
) -> tuple[Problem, ...]:
    """Return every error and warning by line: those of `read_plan`, then the doubts about valid steps.

    `read_script` returns the text of a script by its name in the plan, None when it is missing. `doubts` returns more
    issues of a step, by path inside it. `of_settings` does so for the settings, given as built and as written.
    """
    from executor.plan.yaml_loader import load

    try:
        top = load(data, file=file)
    except DefinitionError as wrong:
        return wrong.problems
    reading = _read(top, file)
    issues = [*reading.issues, *_doubts_of_steps(reading, read_script, doubts or _none)]
    issues += _doubts_of_settings(reading.plan, top, of_settings)
    if not (reading.plan.raw or issues or reading.plan.settings.agent_from_text):
        issues.append(ValidationIssue((), "no step is defined: add one, for example step_1_hello:", severity="warning"))
    return _placed(issues, data, file)


def to_cache(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON can store it: its steps as loaded, its settings where they are no defaults."""
    steps = [[number, slug, data] for number, (slug, data) in plan.raw.items()]
    written = {key: value for key, value in plan.settings.asdict().items() if value != getattr(Settings, key)}
    settings = {key: _written(value) for key, value in written.items()}
    body: dict[str, Any] = {"file": plan.file, "settings": settings, "steps": steps}
    if plan.referring:
        body["referring"] = sorted(plan.referring & {*plan.raw})
    return {**body, "fixed": dict(plan.fixed)} if plan.fixed else body


def snapshot(plan: Plan, number: StepId, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return as `to_cache` a plan of one step, for a process that must not see later changes of the file.

    `fixed` are the values of its references.
    """
    return to_cache(plan.replace(raw={number: plan.raw[number]}, fixed=fixed))


def _written(value: Any) -> Any:
    """Return a setting as `build_settings` reads it."""
    if isinstance(value, Notifier):
        env = {"env": list(value.env)} if value.env else {}
        return {value.kind: value.target, "on": list(value.on), **env}
    return [_written(one) for one in value] if isinstance(value, tuple) else value


def from_cache(kept: Mapping[str, Any]) -> Plan:
    """Return the plan of `to_cache`; KeyError, TypeError or ValueError for anything else."""
    steps = {number: (slug, body) for number, slug, body in kept["steps"]}
    referring, fixed = frozenset(kept.get("referring", ())), dict(kept.get("fixed", {}))
    return Plan(kept["file"], build_settings(kept["settings"]), steps, referring, fixed)


class _Reading(Record):
    """As much of a plan as can be read, its issues, and the keys of the steps that cannot be built.

    `filled` has the steps with examples in place of references.
    """

    plan: Plan
    issues: list[ValidationIssue]
    broken: frozenset[str | int] = frozenset()
    filled: Raw | None = None


def _read(top: object, file: str) -> _Reading:
    if top is not None and not isinstance(top, dict):
        wrong = ValidationIssue((), f"must be a mapping of steps, got {quoted(top)}")
        return _Reading(Plan(file, Settings(), {}), [wrong])
    from executor.plan.filled_steps import with_examples
    from executor.plan.plan_rules import dependency_issues, key_of, read_steps
    from executor.plan.resource_rules import resource_issues
    from executor.plan.schema import schema_issues

    written: dict[str, Any] = top or {}
    raw, of_order = read_steps(written)
    filled, of_references, referring = with_examples(written, raw)
    body = {**written, **{key_of(number, filled[number][0]): filled[number][1] for number in referring}}
    doubted = {issue.path for issue in of_references}
    of_form = [issue for issue in schema_issues(body) if issue.path not in doubted]
    formless = {issue.path[0] for issue in (*of_form, *of_references)}
    inside = [*_rule_issues(body, filled, formless)]
    between = dependency_issues(filled, {issue.path[:2] for issue in of_form})
    broken = frozenset((*formless, *(issue.path[0] for issue in inside)))
    settings = Settings() if "settings" in broken else build_settings(body.get("settings", {}))
    apart = [] if "settings" in broken else resource_issues(filled, settings.capacity)
    issues = [*of_order, *of_references, *of_form, *inside, *between, *apart]
    return _Reading(Plan(file, settings, raw, referring), issues, broken, filled)


def _rule_issues(body: Mapping[str, Any], raw: Raw, formless: Collection[object]) -> Iterator[ValidationIssue]:
    """Yield the contradictions inside the settings and the steps whose form is right."""
    from executor.plan.plan_rules import key_of
    from executor.plan.step_rules import settings_issues, step_issues

    if "settings" in body and "settings" not in formless:
        yield from (issue.replace(path=("settings", *issue.path)) for issue in settings_issues(body["settings"]))
    for number, (slug, step) in raw.items():
        if not formless or key_of(number, slug) not in formless:
            for issue in step_issues(step):
                yield issue.replace(path=(key_of(number, slug), *issue.path))


def _none(_: Step, __: Settings) -> Iterable[ValidationIssue]:
    return ()


def _doubts_of_steps(
    reading: _Reading,
    read_script: Callable[[str], str | None],
    doubts: Callable[[Step, Settings], Iterable[ValidationIssue]],
) -> Iterator[ValidationIssue]:
    """Yield the doubts about steps that can be built, except at paths that have an error."""
    from executor.plan.lint.checks import lint
    from executor.plan.plan_rules import key_of
    from executor.plan.references import undeclared_needs

    plan = reading.plan
    wrong = {issue.path for issue in reading.issues}
    for number, (slug, body) in (reading.filled or {}).items():
        key = key_of(number, slug)
        if key not in reading.broken:
            step = build_step(number, slug, body)
            reads = number in plan.referring or step.condition
            metrics = undeclared_needs(plan.raw[number][1], step) if reads else ()
            found = (*lint(step, body, read_script=read_script), *metrics, *doubts(step, plan.settings))
            placed = (issue.replace(path=(key, *issue.path)) for issue in found)
            yield from (issue for issue in placed if issue.path not in wrong)


def _doubts_of_settings(
    plan: Plan, top: object, more: Callable[[Settings, object], Iterable[ValidationIssue]] | None
) -> Iterator[ValidationIssue]:
    from executor.plan.lint.checks import lint_settings

    written = top.get("settings") if isinstance(top, dict) else None
    found = (*lint_settings(plan.settings, written), *(more(plan.settings, written) if more else ()))
    yield from (issue.replace(path=("settings", *issue.path)) for issue in found)


def _placed(issues: Iterable[ValidationIssue], data: bytes, file: str) -> tuple[Problem, ...]:
    """Return the issues as problems in the order of the file."""
    from executor.plan.yaml_loader import positions

    places = positions(data)
    problems = [problem_of(issue, file, _place(issue.path, places)) for issue in issues]
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.col)))


def _place(path: Path, places: Mapping[Path, tuple[int, int]]) -> tuple[int, int]:
    """Return line and column of a path, or else of the nearest mapping or list around it."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (1, 1))
