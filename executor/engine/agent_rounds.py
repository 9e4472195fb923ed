"""The phases of a step whose MAIN is done by an agent: POST may send it back to MAIN."""

from __future__ import annotations

from executor.engine.main import main
from executor.engine.post import post
from executor.engine.preflight import preflight
from executor.engine.test_phase import try_first
from executor.plan.limits import rounds_of
from executor.runners import agent_setup
from executor.runners.agent_launch import SENT_BACK
from executor.store import log_reader, runs
from executor.store.events import CheckFinished, MainRetried
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.task import Task


def check_setup(context: RunContext, task: Task) -> Outcome:
    """Check, before any process starts, that the agent can be started; log the result."""
    wrong = agent_setup.misfit(context, task)
    checked = CheckFinished(phase="PRE-FLIGHT", status="passed", name="agent", command=f"runner {task.runner}")
    if wrong is None:
        context.log(checked, task)
        return PASSED
    context.log(checked.replace(status="failed", expected=wrong.expected, got=wrong.got, fix=wrong.fix), task)
    return Outcome(Verdict.FAILED, f"agent: expected {wrong.expected}, got {wrong.got}")


FIRST_OF_AGENTS = (("PRE-FLIGHT", preflight), ("PRE-FLIGHT", check_setup), ("TEST", try_first))
ROUND = (("MAIN", main), ("POST", post))


def sent_back(context: RunContext, task: Task, outcome: Outcome) -> bool:
    """Log that the agent gets what POST found, and return True; False when its rounds are used up."""
    if outcome.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return False
    lines = log_reader.task_lines(context.root, task.task_id)
    handed_in = {
        line.get("run") for line in lines if line.get("event") == "MainFinished" and line["status"] == "passed"
    }
    if len(handed_in) >= rounds_of(task.step.main, context.plan.settings):
        return False
    run = runs.next_main(context.root, task.task_id)
    context.log(MainRetried(run=run, failure=SENT_BACK, reason=outcome.reason), task)
    return True
