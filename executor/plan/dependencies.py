"""The rule by which a step may start: the order of the plan, or its written dependencies."""

from __future__ import annotations

from executor.plan.model import Edge
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from executor.plan.step_ids import StepId


class Standing(Record):
    """Progress of a step: it is `done` (its tick counts), its job is `started`, its first `checkpoint` is there."""

    done: bool = False
    started: bool = False
    checkpoint: bool = False

    def reached(self, until: str) -> bool:
        """Return True when a step that waits for `until` may start."""
        return self.done or (self.started and (until == "started" or (until == "first_checkpoint" and self.checkpoint)))


def missing(
    written: tuple[Edge, ...] | None, *, before: Iterable[StepId], stand: Callable[[StepId], Standing]
) -> tuple[Edge, ...]:
    """Return the dependencies that a step still waits for; none when it is ready.

    `written` are its edges as `depends_on` has them; they alone count. Without (None) each step of `before`, which are
    the earlier ones in order, must be done or a started job; the first that is neither is returned.
    """
    if written is not None:
        return tuple(edge for edge in written if not stand(edge.step).reached(edge.until))
    first = next((number for number in before if not stand(number).reached("started")), None)
    return () if first is None else (Edge(first, "started"),)
