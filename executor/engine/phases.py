"""The phases of a step in their order: PRE-FLIGHT, TEST, MAIN, POST. SPEC always follows; see `verdict`."""

from __future__ import annotations

from executor.checks.run import check_all
from executor.engine.condition import why_unknown
from executor.engine.post import post
from executor.plan.limits import rounds_of
from executor.plan.model import Main
from executor.plan.runner_choice import STARTED_AGENTS
from executor.plan.test_support import knows_test
from executor.runners import command
from executor.runners.main_run import log_lost, log_reused, run_main
from executor.runners.process_run import try_out
from executor.store import log_reader, runs
from executor.store.events import CheckFinished, MainRetried, TestFinished, TestSkipped, TestStarted, WarningRaised
from executor.store.project import script_path
from executor.store.step_values import missing_metric
from executor.system import safe_open
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.runners.main_run import MainRunner
    from executor.store.context import RunContext
    from executor.store.task import Task

    Phase = tuple[str, Callable[[RunContext, Task], Outcome]]

MOST_TEXT = 1 << 20  # bytes of a script that are read


def phases_of(task: Task) -> tuple[Phase, ...]:
    """Return the phases of a task with their names; modules that only some steps need are imported here."""
    step = task.step
    if step.is_job and task.decision.main != "reuse":  # a job that exited 0 is judged again, not started again
        from executor.runners.background import background
        from executor.runners.monitor_preflight import watchable

        first, last = ("PRE-FLIGHT", preflight), ("BACKGROUND", background)  # its supervisor does the rest
        return (first, ("PRE-FLIGHT", watchable), ("TEST", sample), last)
    if step.main and step.main.chunks:
        from executor.runners.chunked import in_chunks

        return (("PRE-FLIGHT", preflight), ("TEST", sample), ("MAIN", in_chunks), ("POST", post))
    if step.main and step.main.matrix:
        from executor.engine.matrix import in_cells  # each cell has its own POST

        return (("PRE-FLIGHT", preflight), ("TEST", sample), ("MAIN", in_cells))
    if task.runner == "host":
        from executor.runners.host import host

        return (("PRE-FLIGHT", preflight), ("TEST", sample_for_agent), ("HOST", host))  # `resume` does the rest
    if task.runner in STARTED_AGENTS:
        first = ("PRE-FLIGHT", preflight)
        return (first, ("PRE-FLIGHT", check_agent), ("TEST", sample_for_agent), *ROUND)
    return (("PRE-FLIGHT", preflight), ("TEST", sample), *ROUND)


def preflight(context: RunContext, task: Task) -> Outcome:
    """Run the PRE-FLIGHT checks side by side; the first failure cancels the rest."""
    lacking = _missing_metric(context, task)
    if lacking:
        return Outcome(Verdict.FAILED, lacking)
    error = context.env_trouble(task)
    if not error:
        return check_all(context, task, phase="PRE-FLIGHT", asked=task.step.pre_flight, fail_fast=True)
    failed = CheckFinished(
        phase="PRE-FLIGHT",
        status="failed",
        name="env_file",
        command=f"env_file: {', '.join(task.step.main.env_file) if task.step.main else ''}",
        expected="env files that can be read",
        got=error,
        fix="write the file, or mend the line; see: do-tasks validate",
    )
    context.log(failed, task)
    return Outcome(Verdict.FAILED, error)


def _missing_metric(context: RunContext, task: Task) -> str:
    """Log the first reference to a metric that is not recorded; return the reason, empty when all are."""
    name, why = missing_metric(context, task.step)
    if not name and task.step.condition:
        name, why = "if", why_unknown(context, task.step.number)
    if not why:
        return ""
    failed = CheckFinished(phase="PRE-FLIGHT", status="failed", name=name, command=name, got=why)
    context.log(failed.replace(expected="a metric that the log has recorded"), task)
    return f"{name}: {why}"


def check_agent(context: RunContext, task: Task) -> Outcome:
    """Check, before any process starts, that the agent can be started; log the result."""
    from executor.runners import agent_setup

    error = agent_setup.misfit(context, task)
    checked = CheckFinished(phase="PRE-FLIGHT", status="passed", name="agent", command=f"runner {task.runner}")
    if error is None:
        context.log(checked, task)
        return PASSED
    context.log(checked.replace(status="failed", expected=error.expected, got=error.got, fix=error.fix), task)
    return Outcome(Verdict.FAILED, f"agent: expected {error.expected}, got {error.got}")


def sample(context: RunContext, task: Task) -> Outcome:
    """Run TEST, the step's script on minimal data, under its own limit; its results are never evidence."""
    main = task.step.main or Main()
    argv = () if task.decision.reuse_test else command.sample_argv(context, task)
    if not argv:
        return _skip_test(context, task, main)
    shown = command.shown(argv, context.root)
    context.log(TestStarted(run="test", command=shown), task)
    run = try_out(context, task, argv=argv, limit_s=main.sample.limit_s)
    outcome, _ = command.outcome_of(run)
    outcome = Outcome(outcome.verdict, f"{outcome.reason}{command.usage_hint(run.end, run.stderr, main.script)}")
    finished = TestFinished(
        status=outcome.verdict,
        run="test",
        command=shown,
        exit_code=run.end.exit_code,
        duration_s=run.duration_s,
        output=run.output,
        output_file=run.output_file,
        reason=outcome.reason,
    )
    context.log(finished, task)
    if outcome.verdict in (Verdict.PASSED, Verdict.TIMED_OUT) and _ignores_test(context, main):
        message = f"{main.script} names no --test: it ran in full; add --test to it, or main.test, or test: none"
        context.log(WarningRaised(phase="TEST", message=message), task)
    return outcome


def _skip_test(context: RunContext, task: Task, main: Main) -> Outcome:
    if task.decision.reuse_test:
        context.log(TestSkipped(status="passed", reason="passed before on the same MAIN"), task)
        return PASSED
    if main.sample.form == "none":
        reason = "test: none in the definitions"
    elif not (main.script or main.command):
        reason = "nothing to try: neither a script nor a command"
    else:
        reason = "no test form: a command has none unless main.test gives one"
    context.log(TestSkipped(reason=reason), task)
    return Outcome(Verdict.SKIPPED, reason)


def _ignores_test(context: RunContext, main: Main) -> bool:
    """Return True for a script that cannot know that it was run as TEST."""
    if not main.script or main.sample.form != "default":
        return False
    try:
        text = safe_open.read_start(script_path(context.project, main.script), MOST_TEXT).decode("utf-8", "replace")
    except OSError:  # TEST took it away, or it can be run and not read
        return False
    return not knows_test(text)


def sample_for_agent(context: RunContext, task: Task) -> Outcome:
    """Run TEST; an agent may correct the failure in MAIN, or write a script that does not exist yet."""
    script = task.step.main.script if task.step.main else ""
    if script and not script_path(context.project, script):
        context.log(TestSkipped(reason=f"{script} is not written yet: the agent may write it"), task)
        return PASSED
    outcome = sample(context, task)
    if outcome.verdict in (Verdict.FAILED, Verdict.TIMED_OUT) and not runs.stop_asked(context.root, task.task_id):
        context.log(WarningRaised(message="TEST did not pass: the agent is shown why, and may mend it"), task)
        return PASSED
    return outcome


def main(context: RunContext, task: Task) -> Outcome:
    """Reuse, adopt or run MAIN; run it again for the classes that `retry` names."""
    log_lost(context, task)
    if task.decision.main == "reuse":
        changed = _judges_changed(context, task)
        if changed:
            return Outcome(Verdict.FAILED, changed)
        log_reused(context, task)
        return PASSED
    adopting = task.decision.main_run if task.decision.main == "adopt" else ""
    return run_main(context, task, _runner(context, task), adopting=adopting)


def _runner(context: RunContext, task: Task) -> MainRunner:
    if task.runner == "command":
        from executor.runners.command_run import CommandRunner

        return CommandRunner(context, task)
    from executor.runners.agent_run import AgentRunner

    return AgentRunner(context, task)


def _judges_changed(context: RunContext, task: Task) -> str:
    """Return the changes that the agent of this task made to its judges, in words; empty for a command."""
    if task.runner == "command":
        return ""
    from executor.guard.agent_baseline import describe_earlier_changes

    return describe_earlier_changes(context, task)


ROUND: tuple[Phase, ...] = (("MAIN", main), ("POST", post))


def start_round(context: RunContext, task: Task, outcome: Outcome) -> bool:
    """Log that the agent gets the failure of POST to correct, and return True; False when no round is left."""
    if outcome.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return False
    from executor.runners.agent_launch import SENT_BACK

    lines = log_reader.task_lines(context.root, task.task_id)
    ended = {line.get("run") for line in lines if line.get("event") == "MainFinished" and line["status"] == "passed"}
    if len(ended) >= rounds_of(task.step.main, context.plan.settings):
        return False
    run = runs.next_main(context.root, task.task_id)
    context.log(MainRetried(run=run, failure=SENT_BACK, reason=outcome.reason), task)
    return True
