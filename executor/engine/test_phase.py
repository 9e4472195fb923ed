"""TEST: the step's script on minimal data, before MAIN may start."""

from __future__ import annotations

from executor.plan.test_support import knows_test
from executor.runners import command
from executor.runners.process_run import try_out
from executor.store import runs
from executor.store.events import TestFinished, TestSkipped, TestStarted, WarningRaised
from executor.store.project import script_path
from executor.system import safe_open
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task

MOST_TEXT = 1 << 20  # bytes of a script that are read


def sample(context: RunContext, task: Task) -> Outcome:
    """Run the test form under its own limit; its results are never evidence."""
    if task.decision.reuse_test:
        context.log(TestSkipped(status="passed", reason="passed before on the same MAIN"), task)
        return PASSED
    argv = command.sample_argv(context, task)
    if not argv:
        return _skip(context, task)
    main = task.step.main
    limit_s = main.sample.limit_s if main else 0.0
    shown = command.shown(argv, context.root)
    context.log(TestStarted(run="test", command=shown), task)
    outcome = _judge(context, task, try_out(context, task, argv=argv, limit_s=limit_s), shown)
    said = _ran_in_full(context, task)
    if said and outcome.verdict in (Verdict.PASSED, Verdict.TIMED_OUT):
        context.log(WarningRaised(phase="TEST", message=said), task)
    return outcome


def _ran_in_full(context: RunContext, task: Task) -> str:
    """Return what is said of a TEST whose script cannot have known that it was one, empty for another."""
    main = task.step.main
    if main is None or not main.script or main.sample.form != "default":
        return ""
    try:
        text = safe_open.read_start(script_path(context.project, main.script), MOST_TEXT).decode("utf-8", "replace")
    except OSError:  # TEST took it away, or it can be run and not read
        return ""
    if knows_test(text):
        return ""
    return f"{main.script} names no --test: it ran in full; add --test to it, or main.test, or test: none"


def try_first(context: RunContext, task: Task) -> Outcome:
    """Run TEST; an agent is shown how it failed and may mend it, or write the script that is not there yet."""
    script = task.step.main.script if task.step.main else ""
    if script and not script_path(context.project, script):
        context.log(TestSkipped(reason=f"{script} is not written yet: the agent may write it"), task)
        return PASSED
    outcome = sample(context, task)
    if outcome.verdict in (Verdict.FAILED, Verdict.TIMED_OUT) and not runs.stop_asked(context.root, task.task_id):
        context.log(WarningRaised(message="TEST did not pass: the agent is shown why, and may mend it"), task)
        return PASSED
    return outcome


def _skip(context: RunContext, task: Task) -> Outcome:
    main = task.step.main
    written = main is not None and main.sample.form == "none"
    if written:
        reason = "test: none in the definitions"
    elif main is None or not (main.script or main.command):
        reason = "nothing to try: neither a script nor a command"
    else:
        reason = "no test form: a command has none unless main.test gives one"
    context.log(TestSkipped(reason=reason), task)
    return Outcome(Verdict.SKIPPED, reason)


def _judge(context: RunContext, task: Task, run: Run, shown: str) -> Outcome:
    outcome, _ = command.outcome_of(run)
    hint = command.usage_hint(run.end, run.stderr, task.step.main.script if task.step.main else "")
    reason = f"{outcome.reason}{hint}"
    context.log(
        TestFinished(
            status=outcome.verdict,
            run="test",
            command=shown,
            exit_code=run.end.exit_code,
            duration_s=run.duration_s,
            output=run.output,
            output_file=run.output_file,
            reason=reason,
        ),
        task,
    )
    return Outcome(outcome.verdict, reason)
