"""Check a ticked step again without its MAIN: POST, and the criteria that need no run folder."""

from __future__ import annotations

from executor.engine.post import post
from executor.engine.step import apply_stop
from executor.engine.verdict import marked_event
from executor.plan.runner_choice import AGENTS
from executor.plan.spec.spec_md import Mark, clean
from executor.store.events import StepRechecked
from executor.store.fingerprint import runner_for
from executor.store.task import Decision, Task
from executor.store.ticks import tick_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.model import Criterion, Step
    from executor.plan.spec.spec_md import Box
    from executor.store.context import RunContext
    from executor.system.outcome import Outcome

KEPT = ("proven", "claimed", "accepted")  # ticks with evidence in this log keep their mark


def is_checkable(step: Step) -> bool:
    """Return True for a step with a POST check, or a criterion that needs no result file of MAIN."""
    return any(check.kind != "prose" for check in step.post_validation) or any(map(_is_asked, _criteria(step)))


def recheck(context: RunContext, box: Box, task_id: str) -> Outcome:
    """Run POST and criteria of a ticked step under a task id of its own; log and mark the result.

    A tick that fails the recheck stays: its evidence may be on another machine.
    """
    step = context.step(box.number)
    asked = _without_main(step)
    task = Task(asked, task_id, "", Decision("run", "recheck"), title=box.title, began=context.now())
    runner = runner_for(context, step).runner
    task = task.replace(runner=runner if runner in AGENTS else task.runner)
    outcome = apply_stop(context, task, post(context, task))
    if context.interrupts.count:
        return outcome
    checks = sum(check.kind != "prose" for check in step.post_validation)
    fact = StepRechecked(
        status=outcome.verdict,
        proven=outcome.evidence.count("proven"),
        claimed=len(_criteria(step)) - len(_criteria(asked)),
        checks=checks,
        full=outcome.passed and len(_criteria(step)) == len(_criteria(asked)),
        of=box.mark.task_id if box.mark else "",
        reason=outcome.reason,
    )
    context.log(fact, task)
    context.journal.sync()
    if outcome.passed and tick_of(box, context.state(box.number)) not in KEPT:
        _mark(context, task, fact)
    return outcome


def _mark(context: RunContext, task: Task, fact: StepRechecked) -> None:
    """Show in SPEC.md that the step was rechecked, with the counts."""
    checks = "check" if fact.checks == 1 else "checks"
    counts = {"proven": fact.proven, "claimed": fact.claimed, checks: fact.checks}
    counted = [f"{count} {name}" for name, count in counts.items() if count]
    note = clean(", ".join([*counted, f"was {fact.of}"] if fact.of else counted))
    mark = Mark(kind="rechecked", task_id=task.task_id, time=context.local_time(), note=note)
    line = context.mark(task.step.number, state="x", mark=mark, task_id="")
    context.log(marked_event(line, status=fact.status, text="rechecked"), task)


def _criteria(step: Step) -> tuple[Criterion, ...]:
    return step.main.criteria if step.main else ()


def _is_asked(criterion: Criterion) -> bool:
    """Return True for a criterion that needs no file of MAIN's run folder."""
    reads_result = criterion.kind == "result" or (criterion.kind == "metric" and "file" not in (criterion.asks or {}))
    return criterion.kind != "prose" and not reads_result


def _without_main(step: Step) -> Step:
    """Return the step with only the criteria that a recheck asks, which accept files of any age."""
    criteria = tuple(one.replace(any_age=True) for one in _criteria(step) if _is_asked(one))
    return step.replace(main=step.main.replace(criteria=criteria)) if step.main else step
