"""Steps whose references are replaced: by values for a run, by examples for validation."""

from __future__ import annotations

from executor.plan.build import build_step
from executor.plan.condition import condition_issues
from executor.plan.matrix import matrix_issues
from executor.plan.params import declared, issues
from executor.plan.plan_rules import key_of
from executor.plan.references import examples, fill, in_main, mentions, reference_issues, unknown_params, unsafe_issues
from executor.plan.schema import schema_issues
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.issues import ValidationIssue
    from executor.plan.model import Settings, Step
    from executor.plan.params import Param
    from executor.plan.plan_rules import Raw
    from executor.plan.references import Lookup
    from executor.plan.step_ids import StepId

    Body = Mapping[str, Any]

AS_WRITTEN = ("command", "args", "objective")


def filled_step(number: StepId, slug: str, body: Body, *, look: Lookup | None, settings: Settings) -> Step:
    """Build a step with values in place of its references; without a lookup with examples."""
    filled = fill(body, look or examples(declared(settings.params)))
    main, work = body.get("main") or {}, in_main(body)
    return build_step(number, slug, filled.body, max_output=settings.max_output).replace(
        values={name: value for name, value in filled.used.items() if name in work},
        written={key: main[key] for key in AS_WRITTEN if key in main} if work else {},
        missing=filled.missing,
        unsafe=filled.unsafe,
    )


def with_examples(top: Body, raw: Raw) -> tuple[Raw, list[ValidationIssue], frozenset[StepId]]:
    """Return the steps with examples in place of references, the faults of those, and the steps that have some."""
    params = _declared(top)
    ids = [*map(str, raw)] if any("if" in body for _, body in raw.values()) else []
    found = [
        issue.replace(path=(key_of(number, slug), *issue.path))
        for number, (slug, body) in raw.items()
        for issue in (
            *unknown_params(body, params),
            *matrix_issues(body.get("main"), params),
            *condition_issues(body, str(number), ids),
        )
    ]
    referring = frozenset(number for number, (_, body) in raw.items() if mentions(body))
    if not referring or params is None:
        return raw, found, referring
    filled = dict(raw)
    for number in referring:
        slug, body = raw[number]
        one = fill(body, examples(params))
        filled[number] = (slug, one.body)
        faults = (*reference_issues(body, params, [*map(str, raw)]), *unsafe_issues(body, one.unsafe))
        found += [issue.replace(path=(key_of(number, slug), *issue.path)) for issue in faults]
    return filled, found, referring


def _declared(top: Body) -> dict[str, Param] | None:
    """Return the declared parameters, None where they are not valid."""
    settings = top.get("settings", {})
    written = settings.get("params") if isinstance(settings, dict) else None
    if not written:
        return {}
    if schema_issues({"settings": {"params": written}}) or [*issues(written)]:
        return None
    return declared(written)
