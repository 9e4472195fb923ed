"""A plan: the steps of one file, each built when it is asked for.

What parses and judges a file is imported where it is used: a plan from the cache needs none of it.
"""

from __future__ import annotations

from executor.errors import DefinitionError, Problem
from executor.monitoring.model import Notifier
from executor.plan.build import build_settings, build_step, title_of
from executor.plan.issues import ValidationIssue, ValidationIssueError, not_defined, problem_of
from executor.plan.model import Settings
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path
    from executor.plan.model import Step
    from executor.plan.structure import Raw


class Plan(Record):
    """The steps of one file; `raw` is number -> (name, data as loaded), ascending."""

    file: str
    settings: Settings
    raw: Raw

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the defined steps, ascending."""
        return tuple(self.raw)

    def defines(self, number: int) -> bool:
        """Tell whether the step is defined."""
        return number in self.raw

    def gated(self, number: int) -> bool:
        """Tell whether the step has written dependencies; builds nothing."""
        return bool(self.raw[number][1].get("depends_on"))

    def places(self, number: int) -> bool:
        """Return True when `depends_on` is written, if only as `[]`; without it the step's place in order counts."""
        return self.raw[number][1].get("depends_on") is not None

    def title(self, number: int) -> str:
        """Return the written title, else the words of the step's key; builds nothing."""
        return title_of(*self._entry(number))

    def step(self, number: int) -> Step:
        """Build one step; DefinitionError, without a line, when its data is wrong or the number unknown."""
        slug, data = self._entry(number)
        try:
            return build_step(number, slug, data, max_output=self.settings.max_output)
        except ValidationIssueError as wrong:
            raise DefinitionError(problem_of(wrong.flaw, self.file)) from None

    def _entry(self, number: int) -> tuple[str, Mapping[str, Any]]:
        if number not in self.raw:
            raise DefinitionError(Problem(self.file, not_defined(number, self.numbers)))
        return self.raw[number]


def read_plan(data: bytes, *, file: str) -> Plan:
    """Return the plan of a file whose structure holds; what stands inside its steps is not looked at.

    Raises DefinitionError with all problems at once, each with line and column.
    """
    from executor.plan.yaml_loader import load

    plan, flaws = _read(load(data, file=file), file)
    if flaws:
        raise DefinitionError(*_placed(flaws, data, file))
    return plan


def validate(
    data: bytes,
    *,
    file: str,
    read_script: Callable[[str], str | None],
    doubts: Callable[[Step, Settings], Iterable[ValidationIssue]] | None = None,
    of_settings: Callable[[Settings, object], Iterable[ValidationIssue]] | None = None,
) -> tuple[Problem, ...]:
    """Return every error and warning by line: form, structure, and checks that cannot fail.

    `read_script` gives the text of a script by the name in the plan, None when it is missing; `doubts` tells what the
    caller knows of a step, by path inside it, `of_settings` the same of the settings and of how they are written.
    """
    from executor.plan.yaml_loader import load

    try:
        top = load(data, file=file)
    except DefinitionError as wrong:
        return wrong.problems
    plan, flaws = _read(top, file)
    if isinstance(top, dict):
        flaws += _first_told(_form_flaws(top), flaws)
    inside = [flaw for flaw in flaws if len(flaw.path) > 1 and flaw.path[1] != "depends_on"]
    flaws += _first_told(_flaws_inside(plan, inside, read_script, doubts or _none), flaws)
    flaws += _doubts_of_settings(plan, top, of_settings)
    if not plan.raw and not flaws:
        flaws.append(ValidationIssue((), "no step is defined: add one, for example step_1_hello:", severity="warning"))
    return _placed(flaws, data, file)


def to_cache(plan: Plan) -> dict[str, Any]:
    """Return what JSON can keep of a plan: its steps as loaded, its settings where they are no defaults."""
    steps = [[number, slug, data] for number, (slug, data) in plan.raw.items()]
    written = {key: value for key, value in plan.settings.asdict().items() if value != getattr(Settings, key)}
    settings = {key: _written(value) for key, value in written.items()}
    return {"file": plan.file, "settings": settings, "steps": steps}


def snapshot(plan: Plan, number: int) -> dict[str, Any]:
    """Return as `to_cache` a plan of one step, for who must not see what becomes of the file."""
    return to_cache(plan.replace(raw={number: plan.raw[number]}))


def _written(value: Any) -> Any:
    """Return a setting as `build_settings` reads it."""
    if isinstance(value, Notifier):
        env = {"env": list(value.env)} if value.env else {}
        return {value.kind: value.target, "on": list(value.on), **env}
    return [_written(one) for one in value] if isinstance(value, tuple) else value


def from_cache(kept: Mapping[str, Any]) -> Plan:
    """Return the plan of `to_cache`; KeyError, TypeError or ValueError for anything else."""
    try:
        settings = build_settings(kept["settings"])
    except ValidationIssueError as wrong:
        raise ValueError(wrong.flaw.message) from None
    return Plan(kept["file"], settings, {number: (slug, data) for number, slug, data in kept["steps"]})


def _read(top: object, file: str) -> tuple[Plan, list[ValidationIssue]]:
    """Return as much of a plan as can be read, with what is wrong."""
    if top is not None and not isinstance(top, dict):
        return Plan(file, Settings(), {}), [ValidationIssue((), f"must be a mapping of steps, got {quoted(top)}")]
    from executor.plan.structure import structure_of

    body: dict[str, Any] = top or {}
    structure = structure_of(body)
    flaws = list(structure.flaws)
    settings = Settings()
    try:
        settings = build_settings(body.get("settings"))
    except ValidationIssueError as wrong:
        flaws.append(wrong.flaw)
    return Plan(file, settings, structure.raw), flaws


def _form_flaws(top: object) -> list[ValidationIssue]:
    from executor.plan.schema import schema_flaws

    return schema_flaws(top)


def _first_told(found: Iterable[ValidationIssue], told: Iterable[ValidationIssue]) -> list[ValidationIssue]:
    """Return those found at paths of which nothing was told."""
    paths = {flaw.path for flaw in told}
    return [flaw for flaw in found if flaw.path not in paths]


def _none(_: Step, __: Settings) -> Iterable[ValidationIssue]:
    return ()


def _flaws_inside(
    plan: Plan,
    told: Iterable[ValidationIssue],
    read_script: Callable[[str], str | None],
    doubts: Callable[[Step, Settings], Iterable[ValidationIssue]],
) -> Iterator[ValidationIssue]:
    """Tell what is wrong inside the steps of which nothing was told yet, and what is doubtful in them."""
    from executor.plan.lint.checks import lint
    from executor.plan.structure import key_of

    told_of = {flaw.path[0] for flaw in told if flaw.path}
    for number, (slug, body) in plan.raw.items():
        key = key_of(number, slug)
        if key in told_of:
            continue
        try:
            step = build_step(number, slug, body)
        except ValidationIssueError as wrong:
            yield wrong.flaw
            continue
        found = (*lint(step, body, read_script=read_script), *doubts(step, plan.settings))
        yield from (flaw.replace(path=(key, *flaw.path)) for flaw in found)


def _doubts_of_settings(
    plan: Plan, top: object, more: Callable[[Settings, object], Iterable[ValidationIssue]] | None
) -> Iterator[ValidationIssue]:
    from executor.plan.lint.checks import lint_settings

    written = top.get("settings") if isinstance(top, dict) else None
    found = (*lint_settings(plan.settings, written), *(more(plan.settings, written) if more else ()))
    yield from (flaw.replace(path=("settings", *flaw.path)) for flaw in found)


def _placed(flaws: Iterable[ValidationIssue], data: bytes, file: str) -> tuple[Problem, ...]:
    """Return the flaws as problems in the order of the file."""
    from executor.plan.yaml_loader import positions

    places = positions(data)
    problems = [problem_of(flaw, file, _place(flaw.path, places)) for flaw in flaws]
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.col)))


def _place(path: Path, places: Mapping[Path, tuple[int, int]]) -> tuple[int, int]:
    """Return where a path stands, or else the nearest mapping or list around it."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (1, 1))
