"""MAIN: the one thing a step does, run once, adopted or reused when it was done before."""

from __future__ import annotations

import os
import random

from executor.plan.model import Main
from executor.runners import command
from executor.runners.made_of import note_task
from executor.runners.process_run import LaunchRequest, adopt, launch
from executor.store import runs
from executor.store.events import MainAdopted, MainFinished, MainLost, MainRetried, MainReused, MainStarted
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.process_run import Run
    from executor.store.context import RunContext, Task

MOST_WAIT_S = 60.0
FINAL = frozenset(("stopped", "tampered", "unfit", "spent", "left"))  # by a person, the agent; it would again


def main(context: RunContext, task: Task) -> Outcome:
    """Reuse, adopt or run MAIN; tried again for the classes that `retry` names."""
    decision = task.decision
    if decision.main == "reuse":
        offended = _offended(context, task)
        if offended:
            return Outcome(Verdict.FAILED, offended)
        context.log(MainReused(main_task=decision.main_task, run=decision.main_run, why=decision.why), task)
        return PASSED
    if decision.lost_run:
        context.log(MainLost(run=decision.lost_run, reason="its process is gone and left no exit code"), task)
    spec = task.step.main or Main()
    outcome, classes = _adopt(context, task, spec) if decision.main == "adopt" else _attempt(context, task, spec)
    for tried in range(1, spec.retry.attempts):
        if outcome.passed or not is_retried(classes, spec):
            break
        if not wait(context, task, classes[0], tried):
            return Outcome(Verdict.INTERRUPTED, context.interrupts.name)
        outcome, classes = _attempt(context, task, spec)
    return outcome


def _offended(context: RunContext, task: Task) -> str:
    """Return what an agent that did this task changed of what judges it; a command is never asked."""
    if task.runner == "command":
        return ""
    from executor.guard.agent import offended_before

    return offended_before(context, task)


def _attempt(context: RunContext, task: Task, spec: Main) -> tuple[Outcome, tuple[str, ...]]:
    if task.runner != "command":
        from executor.runners.agent_run import attempt

        return attempt(context, task, spec)
    run = runs.next_main(context.root, task.task_id)
    argv = command.main_argv(context, task)
    note_task(context, task, run)
    errand = LaunchRequest(run, argv, lambda pid: note_started(context, task, run, pid))
    done = launch(context, task, errand, limit_s=spec.limit_s)
    return judge(context, task, run, done)


def note_started(context: RunContext, task: Task, run: str, pid: int, *, record: str = "") -> None:
    """Log that MAIN is about to be let go, and make it survive a power cut; `record` is the digest of a job's."""
    spec = task.step.main or Main()
    started = MainStarted(
        run=run,
        command=command.shown(command.main_argv(context, task), context.root),
        runner="command",
        pid=pid,
        objective=spec.objective or task.title,
        limit_s=spec.limit_s,
        record=record,
    )
    context.log(started, task)
    context.journal.sync()


def _adopt(context: RunContext, task: Task, spec: Main) -> tuple[Outcome, tuple[str, ...]]:
    run = task.decision.main_run
    seen = runs.look_at(context.root, task.task_id, run)
    context.log(MainAdopted(run=run, pid=seen.pid, why=task.decision.why), task)
    if task.runner != "command":
        from executor.runners.agent_run import adopted

        return adopted(context, task, run, spec)
    return judge(context, task, run, adopt(context, task, run=run, limit_s=spec.limit_s))


def judge(context: RunContext, task: Task, run: str, done: Run) -> tuple[Outcome, tuple[str, ...]]:
    """Log the end of a run; return its outcome with the classes that `retry` may name it by."""
    outcome, failure = command.judge(
        done.end, verdict=done.verdict, reason=done.reason, stderr=done.long_stderr, output=done.long_stdout
    )
    if outcome.passed and done.left:
        outcome, failure = Outcome(Verdict.FAILED, _left(done)), "left"
    context.log(ended(run, done, outcome, failure), task)
    context.journal.sync()
    return outcome, (failure, f"exit:{done.end.exit_code}")


def _left(done: Run) -> str:
    """Return why a job that ended well at once is no success."""
    more = f" and {len(done.left) - 1} more" if len(done.left) > 1 else ""
    said = f"MAIN ended in {done.duration_s:.1f} s and left a process running: {done.left[0]}{more}"
    return f"{said}; drop the `&`: do-tasks detaches it itself"


def ended(run: str, done: Run, outcome: Outcome, failure: str) -> MainFinished:
    """Return the fact that a run ended, as it was judged."""
    return MainFinished(
        status=outcome.verdict,
        run=run,
        exit_code=done.end.exit_code,
        signal=done.end.signal,
        duration_s=done.duration_s,
        output=done.output,
        output_file=done.output_file,
        failure=failure,
        reason=outcome.reason,
    )


def is_retried(classes: tuple[str, ...], spec: Main) -> bool:
    """Tell whether `retry` names one of the classes of a failure; some are never tried again."""
    return FINAL.isdisjoint(classes) and any(one in spec.retry.on for one in (*classes, "any"))


def wait(context: RunContext, task: Task, failure: str, tried: int) -> bool:
    """Wait before the next attempt, longer each time; tell whether nobody interrupted it."""
    wait_s = min(MOST_WAIT_S, 2.0**tried) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
    run = runs.next_main(context.root, task.task_id)
    context.log(MainRetried(run=run, failure=failure, wait_s=round(wait_s, 1)), task)
    return context.interrupts.sleep(wait_s) and not runs.stop_asked(context.root, task.task_id)


def result_path(context: RunContext, task: Task) -> str:
    """Return where the MAIN that counts wrote its result file."""
    return os.path.join(main_folder(context, task), "result.json")


def main_folder(context: RunContext, task: Task) -> str:
    """Return the folder of the MAIN that counts: this task's newest, or the one it reuses."""
    decision = task.decision
    if decision.main == "reuse":
        return runs.run_folder(context.root, decision.main_task, decision.main_run)
    return context.folder(task, runs.newest_main(context.root, task.task_id))
