"""Before anything runs: what judges a step whose brief is out must be as it was at the brief.

What compares is loaded only where a brief may be out.
"""

from __future__ import annotations

from executor.system import state_home
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext


def distrust_caches(root: str) -> None:
    """Throw away caches that an agent outside may have written, while a brief is out."""
    if state_home.may_remember(root):
        from executor.guard import briefed_judges

        briefed_judges.distrust_caches(root)


def refuse_changed(context: RunContext) -> None:
    """Raise PersonWantedError when what judges a step changed since its brief, or when nobody can tell."""
    if _concerns(context):
        from executor.guard import briefed_judges

        briefed_judges.refuse_changed(context)


def changed_meanwhile(context: RunContext) -> str:
    """Return that what judges changed while a brief is out, for a job that has ended; empty when it did not."""
    if not _concerns(context):
        return ""
    from executor.guard import briefed_judges

    return briefed_judges.changed_meanwhile(context)


def settle(context: RunContext) -> None:
    """Forget what was remembered when no brief needs it any more."""
    if _concerns(context):
        from executor.guard import briefed_judges

        briefed_judges.forget_settled(context)


def _concerns(context: RunContext) -> bool:
    return any(state.judges for state in context.states.values()) or state_home.may_remember(context.root)
