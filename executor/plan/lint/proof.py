"""Notes of steps whose tick would rest on an exit code, or on an agent's word, alone."""

from __future__ import annotations

from executor.plan.issues import ValidationIssue
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.model import Settings, Step


def lint_proof(step: Step, settings: Settings) -> Iterator[ValidationIssue]:
    """Return a note for a step that no check and no bound criterion proves."""
    main = step.main
    if main is None or main.chunks or _is_checked(step):
        return
    by_agent = bool(main.agent or not (main.script or main.command))
    alone = "the agent's word" if by_agent else "an exit code"
    how = "bind a criterion (file:, metric:, matches:, command:) or add a check to post_validation"
    strict = "; strict refuses it" if main.criteria and settings.strict else ""
    yield ValidationIssue(("main",), f"nothing but {alone} proves this step{strict}: {how}", severity="note")


def _is_checked(step: Step) -> bool:
    checks = any(check.kind != "prose" for check in step.post_validation)
    return checks or any(one.kind != "prose" for one in (step.main.criteria if step.main else ()))
