"""POST: every check to its end, then each success criterion on fresh evidence."""

from __future__ import annotations

import os

from executor.checks import criteria, kinds
from executor.checks.run import check_all
from executor.checks.start import start_of
from executor.engine.main import main_folder, result_path
from executor.engine.verdict import NOTE
from executor.plan.runner_choice import AGENTS, OURS
from executor.runners.evidence_before import record_of
from executor.store import log_reader, runs
from executor.store.events import CriterionJudged, ResultRead
from executor.system import process
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.records import TYPE_CHECKING, Record

NOTE_IN_TICK = 60  # characters of a result's note that a tick has room for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.checks.criteria import CriterionResult
    from executor.plan.model import Check, Criterion
    from executor.store.context import RunContext
    from executor.store.task import Task


class Seen(Record):
    """What was there when an agent's MAIN had ended, before any check: what a check writes is no evidence."""

    result: criteria.Result
    answers: Mapping[int, kinds.CheckResult]


def post(context: RunContext, task: Task) -> Outcome:
    """Run all checks, none cancelled by another's failure, then judge the criteria.

    Where an agent did the work they are contained.
    """
    if task.runner not in AGENTS:
        return _post(context, task)
    from executor.engine import check_outputs
    from executor.guard.contained_checks import contained_checks

    with contained_checks(context, task) as held:
        if held and held.refusal:
            return Outcome(Verdict.FAILED, held.refusal)
        check_outputs.begin(context, task)
        seen = _seen(context, task)
        try:
            outcome = _post(context, task, seen)
        finally:
            check_outputs.end(context, task)
            steered = held.check_after_all(task) if held else ""
    return Outcome(Verdict.FAILED, steered) if steered and outcome.passed else outcome


def _post(context: RunContext, task: Task, seen: Seen | None = None) -> Outcome:
    answered = _answered_at_start(context, task)
    asked = [check for check in task.step.post_validation if context.masker.mask(check.name) not in answered]
    checked = check_all(context, task, phase="POST", asked=asked, fail_fast=False)
    return _judge_all(context, task, seen) if checked.passed else checked


def _seen(context: RunContext, task: Task) -> Seen:
    written = task.step.main.criteria if task.step.main and began_ns(context, task) else ()
    answers = {at: _asked(context, task, one) for at, one in enumerate(written) if criteria.wants_fresh(one)}
    if task.step.post_validation:
        answers = {at: answer if answer.ok else _before_checks(answer) for at, answer in answers.items()}
    return Seen(criteria.read_result(result_path(context, task)), answers)


def _answered_at_start(context: RunContext, task: Task) -> set[str]:
    """Return the checks that passed right after a job's start; one that was never asked there is asked at the end."""
    early = {context.masker.mask(one.name) for one in task.step.post_validation if one.when == "start"}
    if not (early and task.step.is_job):
        return set()
    lines = log_reader.task_lines(context.root, task.task_id)
    passed = {str(line.get("name")) for line in lines if line.get("phase") == "POST" and line.get("status") == "passed"}
    return early & passed


def _before_checks(answer: kinds.CheckResult) -> kinds.CheckResult:
    said = "it was asked when MAIN had ended: what a check writes is no evidence"
    return answer.replace(fix="; ".join(filter(None, (answer.fix, said))))


def _judge_all(context: RunContext, task: Task, seen: Seen | None) -> Outcome:
    result = seen.result if seen else criteria.read_result(result_path(context, task))
    if result.written:
        run = os.path.basename(main_folder(context, task))
        note = context.masker.mask(result.note or result.trouble)[:OUTPUT_TAIL]
        context.log(ResultRead(run=run, metrics=criteria.in_a_line(result.metrics), note=note), task)
    main = task.step.main
    answers = seen.answers if seen else {}
    written = main.criteria if main else ()
    standings = [_judge(context, task, one, result, answers.get(at)) for at, one in enumerate(written)]
    counts = tuple(standing.kind for standing in standings)
    if "unproven" in counts:
        first = standings[counts.index("unproven")]
        text = main.criteria[counts.index("unproven")].text if main else ""
        return Outcome(Verdict.FAILED, f"criterion {text!r}: {first.evidence}", counts)
    if context.strict and "claimed" in counts:
        text = main.criteria[counts.index("claimed")].text if main else ""
        return Outcome(Verdict.FAILED, f"strict: criterion {text!r} is only claimed; bind it to a check", counts)
    note = context.masker.mask(result.note)  # before it is cut: half of a secret is not known as one
    said = [f"{NOTE}{note[:NOTE_IN_TICK]}"] if note.strip() else []
    return PASSED.replace(evidence=(*counts, *said))


def _judge(
    context: RunContext, task: Task, criterion: Criterion, result: criteria.Result, known: kinds.CheckResult | None
) -> CriterionResult:
    if criterion.kind == "prose":
        standing = criteria.judge_prose(criterion, result, exited_0=task.runner == "command")
        standing = standing.replace(evidence=context.masker.mask(standing.evidence))
        context.log(_judged(criterion, standing), task)
        return standing
    if criteria.wants_fresh(criterion) and not began_ns(context, task):
        why = f"when MAIN began is no longer on record; run: do-tasks --step {task.step.number} --rerun"
        context.log(_judged(criterion, criteria.CriterionResult("unproven", why)), task)
        return criteria.CriterionResult("unproven", why)
    return _proven(context, task, criterion, known or _asked(context, task, criterion))


def _asked(context: RunContext, task: Task, criterion: Criterion) -> kinds.CheckResult:
    """Run the bound check as a child under the usual limit."""
    check, asked = question(context, task, criterion)
    watch = context.watch()
    context.check_new_files(task)
    watch.add(process.start(asked))
    ended: list[process.ProcessResult] = []
    while not ended:
        ended = watch.turn()
    context.check_new_files(task)
    answer = checks_answer(check, ended[0])
    hint = context.hint(check, ended[0].output.decode("utf-8", "replace")) if not answer.ok else ""
    return answer.replace(fix="; ".join(filter(None, (hint, answer.fix))))


def began_ns(context: RunContext, task: Task) -> int:
    """Return when the work began that is judged, 0 when that is not known; a task's rounds or chunks are one work."""
    chunked = task.step.main and task.step.main.mode == "chunked"
    first = context.folder(task, "main.1") if chunked or task.runner in OURS else ""
    return (runs.began_ns(first) if first else 0) or runs.began_ns(main_folder(context, task))


def question(
    context: RunContext, task: Task, criterion: Criterion, *, asks: object = None
) -> tuple[Check, process.Command]:
    """Return the check that proves a bound criterion, with the process that asks it; `asks` instead of what it says."""
    result = context.relative(result_path(context, task))
    fresh = criteria.wants_fresh(criterion)
    before = context.relative(record_of(context, task, main_folder(context, task))) if fresh else ""
    asked_so = criterion if asks is None else criterion.replace(asks=asks)
    check = criteria.as_check(asked_so, result_path=result, began_ns=began_ns(context, task), before=before)
    number = task.step.main.criteria.index(criterion) + 1 if task.step.main else 0
    argv, env = start_of(context, check, context.environment(task))
    asked = process.Command(
        name=f"criterion.{number}",
        argv=argv,
        env=env,
        token=f"{task.task_id}/criterion.{number}",
        limit_s=check.limit_s,
    )
    return check, asked


def checks_answer(check: Check, ended: process.ProcessResult) -> kinds.CheckResult:
    """Return the answer of an ended check, its own words when it did not end by itself."""
    if ended.reason:
        return kinds.CheckResult(ok=False, expected="an answer", got=ended.reason, fix="make the check quicker")
    output = ended.output.decode("utf-8", "replace")
    return kinds.answer(check, exit_code=-ended.signal if ended.signal else ended.exit_code, output=output)


def _proven(context: RunContext, task: Task, criterion: Criterion, check: kinds.CheckResult) -> CriterionResult:
    said = check.got or check.expected
    standing = criteria.CriterionResult(
        "proven" if check.ok else "unproven",
        context.masker.mask(f"expected {check.expected}, got {said}" if not check.ok else said),
    )
    context.log(_judged(criterion, standing).replace(expected=check.expected, got=check.got, fix=check.fix), task)
    return standing


def _judged(criterion: Criterion, standing: CriterionResult) -> CriterionJudged:
    return CriterionJudged(
        status="failed" if standing.kind == "unproven" else "passed",
        criterion=criterion.text,
        standing=standing.kind,
        evidence=standing.evidence[:OUTPUT_TAIL],
    )
