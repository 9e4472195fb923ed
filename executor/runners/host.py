"""MAIN by the agent that called do-tasks: it gets a brief, and the task waits for `resume`."""

from __future__ import annotations

import json
import os
import shlex

from executor.checks import evidence
from executor.checks.criteria import wants_fresh
from executor.guard import brief_changes, brief_snapshot, person
from executor.plan.limits import rounds_of
from executor.plan.model import Main
from executor.runners import brief, commit
from executor.runners.agent_setup import brief_for
from executor.runners.evidence_before import remember
from executor.runners.process_run import outlast_the_tick
from executor.store import claude_files, log_reader, runs
from executor.store.events import BriefGiven
from executor.system import files
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.roles import Skill
    from executor.store.context import RunContext
    from executor.store.task import Task


def host(context: RunContext, task: Task) -> Outcome:
    """Write the brief and return WAITING; the step is reserved by the log, not by a lock."""
    skills, trouble = _skills(context, task)
    if trouble:
        return Outcome(Verdict.FAILED, trouble)
    remember(context, task)
    run = runs.next_main(context.root, task.task_id)
    runs.new_run(context.root, task.task_id, run)
    if task.step.main and any(map(wants_fresh, task.step.main.criteria)):
        outlast_the_tick()
    commit.remember(context, task, run)
    _write(context, task, run, skills)
    return _wait(context, task, run, "")


def ask(context: RunContext, task: Task, run: str, reason: str) -> Outcome:
    """Write the brief again, with the failure that POST found."""
    skills, _ = _skills(context, task)  # without a skill that was removed since: the work is kept
    _write(context, task, run, skills, found=reason)
    return _wait(context, task, run, reason)


def _skills(context: RunContext, task: Task) -> tuple[tuple[Skill, ...], str]:
    main = task.step.main or Main()
    named = main.agent or claude_files.USUAL_ROLE
    listed = claude_files.listed(context.root, agent=named, skills=main.skills)
    return claude_files.skills_of(context.root, listed)


def _write(context: RunContext, task: Task, run: str, skills: tuple[Skill, ...], found: str = "") -> None:
    folder = context.folder(task, run)
    result = context.relative(os.path.join(folder, "result.json"))
    finish = brief.finish_of("host", result_path=result)
    made = brief_for(context, task, skills, limits=brief.NO_LIMITS, finish=finish).replace(found=found)
    files.replace(os.path.join(folder, "brief.md"), context.masker.mask(brief.text(made)).encode())
    body = context.masker.mask_all(brief.as_json(made))
    files.replace(os.path.join(folder, "brief.json"), json.dumps(body, ensure_ascii=False).encode())


def _wait(context: RunContext, task: Task, run: str, reason: str) -> Outcome:
    """Log that the task waits; `reason` is the failure that POST found."""
    path = context.relative(os.path.join(context.folder(task, run), "brief.md"))
    judges, givers = brief_changes.ensure_snapshot(context, task), person.brief_recipients()
    brief_snapshot.add_recipients(judges, givers)
    given = BriefGiven(run=run, runner="host", brief=path, reason=reason, judges=judges, givers=givers)
    before = brief_changes.digest_of_file(evidence.record(context.root, task.task_id, task.digest))
    context.log(given.replace(before=before, asked=shlex.join(context.invocation.selection)), task)
    context.journal.sync()
    return Outcome(Verdict.WAITING, reason or "its brief is out")


def rounds_left(context: RunContext, task: Task) -> int:
    """Return the number of times that the task may still be sent back."""
    given = [line for line in log_reader.task_lines(context.root, task.task_id) if line.get("event") == "BriefGiven"]
    return rounds_of(task.step.main, context.plan.settings) - len(given)
