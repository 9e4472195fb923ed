"""The phases of a step in their order; SPEC follows them always."""

from __future__ import annotations

from executor.engine.main import main
from executor.engine.post import post
from executor.engine.preflight import preflight
from executor.engine.test_phase import sample, try_first
from executor.plan.runner_choice import OURS
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.outcome import Outcome

    Phase = tuple[str, Callable[[RunContext, Task], Outcome]]

FIRST = (("PRE-FLIGHT", preflight), ("TEST", sample))
PHASES = (*FIRST, ("MAIN", main), ("POST", post))


def phases_of(task: Task) -> tuple[Phase, ...]:
    """Return the phases of a task, by how its MAIN is done and by whom."""
    step = task.step
    if step.is_job and task.decision.main != "reuse":  # a job that exited 0 is judged again, not started again
        return job_phases()
    if step.main and step.main.chunks:
        return chunk_phases()
    return host_phases() if task.runner == "host" else agent_phases() if task.runner in OURS else PHASES


def job_phases() -> tuple[Phase, ...]:
    """Return those of a background job: its supervisor does the rest. What only jobs need is loaded for jobs."""
    from executor.runners.background import background
    from executor.runners.monitor_preflight import watchable

    checked, tried = FIRST
    return (checked, ("PRE-FLIGHT", watchable), tried, ("BACKGROUND", background))


def chunk_phases() -> tuple[Phase, ...]:
    """Return those of a step whose MAIN is done chunk by chunk."""
    from executor.runners.chunked import in_chunks

    return (*FIRST, ("MAIN", in_chunks), ("POST", post))


def host_phases() -> tuple[Phase, ...]:
    """Return those of a step whose MAIN the agent that called us does: `resume` does the rest."""
    from executor.runners.host import host

    return (("PRE-FLIGHT", preflight), ("TEST", try_first), ("HOST", host))


def agent_phases() -> tuple[Phase, ...]:
    """Return those of a step whose MAIN an agent does that we start; what POST finds may send it back."""
    from executor.engine.agent_rounds import FIRST_OF_AGENTS, ROUND

    return (*FIRST_OF_AGENTS, *ROUND)
