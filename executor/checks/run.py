"""Checks side by side: each under its limit, each logged as it ends."""

from __future__ import annotations

import json
import math
import re

from executor.checks import kinds
from executor.checks.kinds import CheckResult
from executor.checks.start import start_of
from executor.monitoring.model import CHECK_LIMIT_S
from executor.store.events import CheckFinished
from executor.system import process
from executor.system.masking import MASK
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executor.plan.model import Check
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import ProcessResult


def check_all(context: RunContext, task: Task, *, phase: str, asked: Sequence[Check], fail_fast: bool) -> Outcome:
    """Run the checks, at most `max_parallel` at a time; with `fail_fast` the first failure cancels the rest."""
    return _Round(context, task, phase=phase, asked=asked, fail_fast=fail_fast).run() if asked else PASSED


class _Round:
    """One phase's checks and what became of them so far."""

    def __init__(self, context: RunContext, task: Task, *, phase: str, asked: Sequence[Check], fail_fast: bool) -> None:
        self._context = context
        self._task = task
        self._phase = phase
        self._fail_fast = fail_fast
        self._known = {self._token(at, check): check for at, check in enumerate(asked, 1)}
        self._waiting = list(self._known.items())
        self._watch = context.watch()
        self._env = context.environment(task)
        self._failures: list[str] = []
        self._worst = Verdict.PASSED
        serial = sum(self._is_alone(check) for check in asked)
        together = math.ceil((len(asked) - serial) / context.plan.settings.max_parallel)
        self._until = context.now() + CHECK_LIMIT_S * (together + serial)

    def run(self) -> Outcome:
        try:
            self._all()
        except BaseException:
            self._watch.kill_all()
            raise
        if not self._failures:
            return PASSED
        more = f" (and {len(self._failures) - 1} more)" if len(self._failures) > 1 else ""
        return Outcome(self._worst, f"{self._failures[0]}{more}", tuple(self._failures))

    def _all(self) -> None:
        while self._waiting or self._watch.running:
            self._start_some()
            if self._watch.running:
                for ended in self._watch.turn():
                    self._take(ended)
            self._give_up()

    def _start_some(self) -> None:
        while self._waiting and self._room_for(self._waiting[0][1]):
            token, check = self._waiting.pop(0)
            if kinds.in_process(check):
                self._answer_here(check)
            else:
                self._start(token, check)

    def _start(self, token: str, check: Check) -> None:
        self._context.check_new_files(self._task)
        command = self._command(token, check)
        self._context.trace(
            "start check",
            check=token.partition("/")[2],
            phase=self._phase,
            argv=" ".join(command.argv),
            limit_s=check.limit_s,
        )
        try:
            self._watch.add(process.start(command))
        except process.CannotStartError as error:
            fix = "mend settings.python, or the program's first line"
            self._note(check, Verdict.FAILED, CheckResult(ok=False, expected="a process", got=str(error), fix=fix))

    def _room_for(self, check: Check) -> bool:
        running = self._watch.running
        if not running or kinds.in_process(check):
            return True
        alone = self._is_alone(check) or any(self._is_alone(self._known[one.command.token]) for one in running)
        return not alone and len(running) < self._context.plan.settings.max_parallel

    def _is_alone(self, check: Check) -> bool:
        """Return True for a check beside which no other runs: one could steer the other, and hide how."""
        held = self._context.enclosure
        return not check.parallel or (held is not None and held.runs_code(check))

    def _command(self, token: str, check: Check) -> process.Command:
        argv, env = start_of(self._context, check, self._env)
        return process.Command(
            name=token,
            argv=argv,
            env=env,
            token=token,
            limit_s=check.limit_s,
            parallel=check.parallel,
            spill=self._context.folder(self._task, f"{token.split('/', 1)[1]}.log"),
        )

    def _token(self, at: int, check: Check) -> str:
        word = re.sub(r"[^\w.-]", "_", check.name)[:60]
        return f"{self._task.task_id}/{self._phase.partition('-')[0].lower()}.{at}.{word}"

    def _answer_here(self, check: Check) -> None:
        if check.kind == "prose":
            verdict = Verdict.FAILED if self._context.strict else Verdict.SKIPPED
            self._note(
                check,
                verdict,
                CheckResult(ok=False, expected="something to run", got="not runnable", fix="give it a command"),
            )
            return
        answer = kinds.env_set(check, self._env)
        self._note(check, Verdict.PASSED if answer.ok else Verdict.FAILED, answer)

    def _take(self, ended: ProcessResult) -> None:
        check = self._known[ended.name]
        left = self._context.check_new_files(self._task)
        ended = self._masked(ended)
        output = ended.output.decode("utf-8", "replace")
        verdict = ended.verdict
        if verdict in (Verdict.PASSED, Verdict.FAILED) and not ended.reason:
            answer = kinds.answer(check, exit_code=_code(ended), output=output)
            verdict = Verdict.PASSED if answer.ok else Verdict.FAILED
            answer = self._hinted(check, answer, output)
        else:
            answer = CheckResult(
                ok=False, expected="exit 0", got=ended.reason or str(verdict), fix=_FIXES.get(verdict, "")
            )
        if left and verdict == Verdict.PASSED:
            verdict, answer = (
                Verdict.FAILED,
                CheckResult(ok=False, expected="no file that steers a check", got=left, fix=_LEFT),
            )
        self._note(check, verdict, answer, ended)

    def _hinted(self, check: Check, answer: CheckResult, output: str) -> CheckResult:
        """Return an answer that adds what a contained check may have lacked."""
        hint = self._context.hint(check, output) if not answer.ok else ""
        return answer.replace(fix=f"{hint}; {answer.fix}") if hint else answer

    def _masked(self, ended: ProcessResult) -> ProcessResult:
        """Mask a long output in its file before its end is taken: a cut could leave the end of a secret."""
        if not (ended.output_file and self._context.masker):
            return ended
        self._context.mask_file(ended.output_file)
        return ended.replace(output=self._context.tail(ended.output_file).encode())

    def _note(self, check: Check, verdict: Verdict, answer: CheckResult, ended: ProcessResult | None = None) -> None:
        shown = CheckResult(ok=True) if verdict == Verdict.PASSED else answer
        self._context.log(
            CheckFinished(
                phase=self._phase,
                status=verdict,
                name=check.name,
                command=label(check),
                exit_code=ended.exit_code if ended else None,
                duration_s=ended.duration_s if ended else 0.0,
                output=ended.output.decode("utf-8", "replace") if ended else answer.got,
                output_file=self._context.relative(ended.output_file) if ended else "",
                expected=shown.expected,
                got=shown.got,
                fix=shown.fix,
            ),
            self._task,
        )
        self._count_failure(check, verdict, answer)

    def _count_failure(self, check: Check, verdict: Verdict, answer: CheckResult) -> None:
        if verdict in (Verdict.PASSED, Verdict.SKIPPED, Verdict.CANCELLED):
            return
        self._failures.append(f"{check.name}: expected {answer.expected}, got {answer.got}")
        self._worst = verdict if verdict == Verdict.INTERRUPTED else Verdict.FAILED
        if self._fail_fast or verdict == Verdict.INTERRUPTED:
            self._cancel(f"{check.name} failed")

    def _cancel(self, why: str) -> None:
        for one in self._watch.running:
            if not one.is_stopping:
                one.stop(Verdict.CANCELLED, f"cancelled: {why}")
        waiting, self._waiting = self._waiting, []
        for _, check in waiting:
            self._note(check, Verdict.CANCELLED, CheckResult(ok=False, expected="exit 0", got=f"cancelled: {why}"))

    def _give_up(self) -> None:
        if self._context.now() < self._until:
            return
        for one in self._watch.running:
            if not one.is_stopping:
                one.stop(Verdict.TIMED_OUT, "the phase ran out of time")
        waiting, self._waiting = self._waiting, []
        for _, check in waiting:
            self._note(
                check, Verdict.TIMED_OUT, CheckResult(ok=False, expected="a turn", got="the phase ran out of time")
            )


_LEFT = "have the code that it runs make no such file, or name it in outputs"
_FIXES = {
    Verdict.TIMED_OUT: "make it quicker, or raise its timeout (30 s at most)",
    Verdict.FAILED: "write less output",
}


def label(check: Check) -> str:
    """Return the text of a check in the log: its command, or its kind with its question."""
    if check.kind in ("command", "prose"):
        return str(check.asks)
    asks = check.asks if isinstance(check.asks, str) else json.dumps(check.asks, ensure_ascii=False, default=str)
    if check.kind == "url":  # as its answer: no password, no value of the query
        asks = re.sub(r"//[^/@\s]*@|(?<=[?&])[^&\s'\"]+", lambda found: _veiled(found[0]), asks)
    return f"{check.kind}: {asks}"


def _veiled(part: str) -> str:
    return f"//{MASK}@" if part.startswith("//") else f"{part.partition('=')[0]}={MASK}" if "=" in part else MASK


def _code(ended: ProcessResult) -> int | None:
    return -ended.signal if ended.signal else ended.exit_code
