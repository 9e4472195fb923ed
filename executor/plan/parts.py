"""The parts of a plan by name, so that a change can be reported by its name."""

from __future__ import annotations

import json

from executor.plan.model import Settings
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from executor.plan.plan import Plan
    from executor.plan.step_ids import StepId

# Keys of a step, or of the settings, that judge nothing.
NO_JUDGES = frozenset(("title", "context", "resources", "exclusive"))
NO_JUDGES_OF_SETTINGS = frozenset(("version", "context", "notify", "max_parallel", "capacity", "max_output", "model"))
# Keys of MAIN that its fingerprint covers: of a step whose brief is out, a change of it has a message of its own.
OF_MAIN = frozenset(
    (
        *("objective", "script", "command", "args", "agent", "skills", "runner", "model", "inputs"),
        *("mode", "timeout", "retry", "on_lost", "test"),
    )
)


def parts_of(plan: Plan) -> dict[str, str]:
    """Return the parts that judge, by name (`step 1, success_criteria`), as text that no formatting changes."""
    return dict((*_of_settings(plan), *(row for number in plan.numbers for row in _of_step(plan, number))))


def _of_settings(plan: Plan) -> Iterator[tuple[str, str]]:
    for key, value in plan.settings.asdict().items():
        if key not in NO_JUDGES_OF_SETTINGS and value != getattr(Settings, key):
            yield f"settings, {key}", _text(value)


def _of_step(plan: Plan, number: StepId) -> Iterator[tuple[str, str]]:
    _, written = plan.raw[number]
    main = written.get("main")
    inner = main if isinstance(main, dict) else {}
    yield f"step {number}", ""
    for key, value in (*written.items(), *inner.items()):
        if value is not None and value is not inner and key not in NO_JUDGES:
            yield f"step {number}, {key}", _text(value)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def changed_parts(before: Mapping[str, str], now: Mapping[str, str], *, briefed: Collection[StepId] = ()) -> list[str]:
    """Return the names of the parts that differ; for a step that is new or gone, the step alone.

    `briefed` are steps whose brief is out.
    """
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    steps = {name: "new" if name in now else "gone" for name in names if name.startswith("step ") and ", " not in name}
    whole_steps = [f"{name} is {what}" for name, what in steps.items()]
    rest = [name for name in names if name not in steps and name.partition(", ")[0] not in steps]
    return [*whole_steps, *(name for name in rest if not _is_of_main(name, briefed))]


def _is_of_main(name: str, briefed: Collection[StepId]) -> bool:
    step, _, key = name.partition(", ")
    return key in OF_MAIN and step.removeprefix("step ") in map(str, briefed)
