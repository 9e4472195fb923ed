"""The check before anything runs: the judges of a briefed step must be as they were at its brief.

The comparison is loaded only where a brief may be out.
"""

from __future__ import annotations

from executor.system import user_state
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext


def distrust_caches(root: str) -> None:
    """Delete the caches when an agent with a brief may have written them."""
    if user_state.may_have_briefs(root):
        from executor.guard import brief_changes

        brief_changes.distrust_caches(root)


def refuse_changed(context: RunContext) -> None:
    """Raise PersonNeededError when a judge changed since the brief of a step, or when that is unknown."""
    if _concerns(context):
        from executor.guard import brief_changes

        brief_changes.refuse_changed(context)


def changed_meanwhile(context: RunContext) -> str:
    """Return in one line that judges changed while a brief is open, empty for none."""
    if not _concerns(context):
        return ""
    from executor.guard import brief_changes

    return brief_changes.changed_meanwhile(context)


def forget_settled(context: RunContext) -> None:
    """Delete the snapshots that no brief needs any more."""
    if _concerns(context):
        from executor.guard import brief_changes

        brief_changes.forget_settled(context)


def _concerns(context: RunContext) -> bool:
    return any(state.judges for state in context.states.values()) or user_state.may_have_briefs(context.root)
