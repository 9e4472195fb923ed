"""POST: every check to its end, then each success criterion on fresh evidence."""

from __future__ import annotations

import json
import os

from executor.checks import criteria, kinds
from executor.checks.run import check_all
from executor.checks.start import start_of
from executor.engine.verdict import NOTE
from executor.plan.runner_choice import AGENTS, STARTED_AGENTS
from executor.runners.evidence_before import looked, record_of
from executor.store import log_reader, runs
from executor.store.events import CriterionJudged, ResultRead
from executor.system import files, process, safe_open
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.checks.criteria import CriterionResult
    from executor.plan.model import Check, Criterion
    from executor.store.context import RunContext
    from executor.store.task import Task

NOTE_IN_TICK = 60  # characters of a result's note that a tick shows
BEFORE_CHECKS = "before_checks.json"  # in the run's folder: the files of evidence before the first check


class EvidenceBefore(Record):
    """The result file and the answers of criteria at the end of an agent's MAIN, before the first check of POST."""

    result: criteria.Result
    answers: Mapping[int, kinds.CheckResult]


def main_folder(context: RunContext, task: Task) -> str:
    """Return the folder of the MAIN that counts: this task's newest, or the one it reuses."""
    decision = task.decision
    if decision.main == "reuse":
        return runs.run_folder(context.root, decision.main_task, decision.main_run)
    return context.folder(task, runs.newest_main(context.root, task.task_id))


def post(context: RunContext, task: Task) -> Outcome:
    """Run all checks, none cancelled by another's failure, then judge the criteria.

    After an agent the checks are contained, and the criteria answered before them: a check's output is no evidence.
    """
    if task.runner not in AGENTS:
        return _post(context, task, None)
    from executor.guard.contained_checks import contained_checks

    with contained_checks(context, task) as held:
        if held and held.refusal:
            return Outcome(Verdict.FAILED, held.refusal)
        _record_before_checks(context, task)
        before = _evidence_before(context, task)
        try:
            outcome = _post(context, task, before)
        finally:
            _disown_outputs(context, task)
            steered = held.check_after_all(task) if held else ""
    return Outcome(Verdict.FAILED, steered) if steered and outcome.passed else outcome


def _record_before_checks(context: RunContext, task: Task) -> None:
    """Record the files of evidence before the first check; the record of an earlier round is kept."""
    globs = _evidence_globs(context, task)
    path = os.path.join(main_folder(context, task), BEFORE_CHECKS)
    if not globs or os.path.exists(path):
        return
    from executor.checks import evidence

    found = looked(lambda: evidence.look(globs), globs)
    files.replace(path, json.dumps(found).encode("utf-8", "surrogateescape"))


def _disown_outputs(context: RunContext, task: Task) -> None:
    """Add files that appeared since the first check to the record of before MAIN: they are no evidence."""
    folder = main_folder(context, task)
    path = os.path.join(folder, BEFORE_CHECKS)
    was, globs = safe_open.read_record(path), _evidence_globs(context, task)
    if not (was and globs):
        return
    from executor.checks import evidence

    record = record_of(context, task, folder)
    context.evidence[record] = looked(lambda: evidence.taken_over(record, was, evidence.look(globs)), globs)
    os.unlink(path)


def _evidence_globs(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return the globs of the step's evidence, () when nothing was recorded before MAIN."""
    from executor.checks import evidence

    return evidence.globs(task.step) if record_of(context, task, main_folder(context, task)) else ()


def _evidence_before(context: RunContext, task: Task) -> EvidenceBefore:
    written = task.step.main.criteria if task.step.main and began_ns(context, task) else ()
    answers = {at: _answer(context, task, one) for at, one in enumerate(written) if criteria.wants_fresh(one)}
    if task.step.post_validation:
        reason = "it was asked when MAIN had ended: what a check writes is no evidence"
        failed = {at: answer for at, answer in answers.items() if not answer.ok}
        noted = {at: answer.replace(fix="; ".join(filter(None, (answer.fix, reason)))) for at, answer in failed.items()}
        answers |= noted
    return EvidenceBefore(_result(context, task), answers)


def _post(context: RunContext, task: Task, before: EvidenceBefore | None) -> Outcome:
    passed = _passed_at_start(context, task)
    asked = [check for check in task.step.post_validation if context.masker.mask(check.name) not in passed]
    checked = check_all(context, task, phase="POST", asked=asked, fail_fast=False)
    return _judge_all(context, task, before) if checked.passed else checked


def _passed_at_start(context: RunContext, task: Task) -> set[str]:
    """Return the checks with `when: start` that passed at the start of a job; the others are asked at its end."""
    early = {context.masker.mask(one.name) for one in task.step.post_validation if one.when == "start"}
    if not (early and task.step.is_job):
        return set()
    lines = log_reader.task_lines(context.root, task.task_id)
    passed = {str(line.get("name")) for line in lines if line.get("phase") == "POST" and line.get("status") == "passed"}
    return early & passed


def _result(context: RunContext, task: Task) -> criteria.Result:
    return criteria.read_result(os.path.join(main_folder(context, task), "result.json"))


def _judge_all(context: RunContext, task: Task, before: EvidenceBefore | None) -> Outcome:
    result = before.result if before else _result(context, task)
    if result.written:
        run = os.path.basename(main_folder(context, task))
        note = context.masker.mask(result.note or result.trouble)[:OUTPUT_TAIL]
        context.log(ResultRead(run=run, metrics=criteria.in_a_line(result.metrics), note=note), task)
    written = task.step.main.criteria if task.step.main else ()
    answers = before.answers if before else {}
    judged = [_judge(context, task, one, result, answers.get(at)) for at, one in enumerate(written)]
    counts = tuple(one.kind for one in judged)
    if "unproven" in counts:
        at = counts.index("unproven")
        return Outcome(Verdict.FAILED, f"criterion {written[at].text!r}: {judged[at].evidence}", counts)
    if context.strict and "claimed" in counts:
        text = written[counts.index("claimed")].text
        return Outcome(Verdict.FAILED, f"strict: criterion {text!r} is only claimed; bind it to a check", counts)
    note = context.masker.mask(result.note)  # before it is cut: half a secret would not be recognised
    noted = [f"{NOTE}{note[:NOTE_IN_TICK]}"] if note.strip() else []
    return PASSED.replace(evidence=(*counts, *noted))


def _judge(
    context: RunContext, task: Task, criterion: Criterion, result: criteria.Result, known: kinds.CheckResult | None
) -> CriterionResult:
    """Judge a criterion and log it; `known` is its answer from before the checks."""
    answer = None
    if criterion.kind == "prose":
        judged = criteria.judge_prose(criterion, result, exited_0=task.runner == "command")
    elif criteria.wants_fresh(criterion) and not began_ns(context, task):
        why = f"when MAIN began is no longer on record; run: do-tasks --step {task.step.number} --rerun"
        judged = criteria.CriterionResult("unproven", why)
    else:
        answer = known or _answer(context, task, criterion)
        got = answer.got or answer.expected
        judged = criteria.CriterionResult(
            "proven" if answer.ok else "unproven", got if answer.ok else f"expected {answer.expected}, got {got}"
        )
    judged = judged.replace(evidence=context.masker.mask(judged.evidence))
    event = CriterionJudged(
        status="failed" if judged.kind == "unproven" else "passed",
        criterion=criterion.text,
        standing=judged.kind,
        evidence=judged.evidence[:OUTPUT_TAIL],
    )
    if answer:
        event = event.replace(expected=answer.expected, got=answer.got, fix=answer.fix)
    context.log(event, task)
    return judged


def _answer(context: RunContext, task: Task, criterion: Criterion) -> kinds.CheckResult:
    """Run the check that a criterion is bound to, as a child under the usual limit."""
    check, command = criterion_check(context, task, criterion)
    watch = context.watch()
    context.check_new_files(task)
    watch.add(process.start(command))
    ended: list[process.ProcessResult] = []
    while not ended:
        ended = watch.turn()
    context.check_new_files(task)
    answer = answer_of(check, ended[0])
    hint = context.hint(check, ended[0].output.decode("utf-8", "replace")) if not answer.ok else ""
    return answer.replace(fix="; ".join(filter(None, (hint, answer.fix))))


def began_ns(context: RunContext, task: Task) -> int:
    """Return the start of the judged work (ns), 0 when unknown; rounds and chunks count from the first run."""
    chunked = task.step.main and task.step.main.mode == "chunked"
    first = context.folder(task, "main.1") if chunked or task.runner in STARTED_AGENTS else ""
    return (runs.began_ns(first) if first else 0) or runs.began_ns(main_folder(context, task))


def criterion_check(
    context: RunContext, task: Task, criterion: Criterion, *, asks: object = None
) -> tuple[Check, process.Command]:
    """Return the check that a criterion is bound to, with its process; `asks` replaces the arguments of the check."""
    folder = main_folder(context, task)
    before = context.relative(record_of(context, task, folder)) if criteria.wants_fresh(criterion) else ""
    check = criteria.as_check(
        criterion if asks is None else criterion.replace(asks=asks),
        result_path=context.relative(os.path.join(folder, "result.json")),
        began_ns=began_ns(context, task),
        before=before,
    )
    number = task.step.main.criteria.index(criterion) + 1 if task.step.main else 0
    argv, env = start_of(context, check, context.environment(task))
    name = f"criterion.{number}"
    return check, process.Command(name=name, argv=argv, env=env, token=f"{task.task_id}/{name}", limit_s=check.limit_s)


def answer_of(check: Check, ended: process.ProcessResult) -> kinds.CheckResult:
    """Return the answer of an ended check; a failed one with the reason when it did not end by itself."""
    if ended.reason:
        return kinds.CheckResult(ok=False, expected="an answer", got=ended.reason, fix="make the check quicker")
    output = ended.output.decode("utf-8", "replace")
    return kinds.answer(check, exit_code=-ended.signal if ended.signal else ended.exit_code, output=output)
