"""The steps of one run, in the order in which they become ready."""

from __future__ import annotations

from executor.engine.order import ENDED_BADLY, Survey, blocking, hold, is_coming, starts_up, written
from executor.engine.step import RunOptions, RunReport, run_step
from executor.engine.step_facts import VERDICTS, decide_or_refuse
from executor.errors import DefinitionError, SpecError
from executor.store import log_reader, runs
from executor.store.events import StepSkipped
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.engine.order import Hold
    from executor.engine.waiting import LastRead
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext

GO_ON = (Verdict.PASSED, Verdict.STARTED, Verdict.SKIPPED)


def run_many(context: RunContext, numbers: Iterable[StepId], how: RunOptions) -> Iterator[RunReport]:
    """Run steps in order until one does not pass; with `keep_going` past failures too.

    A step that a job holds is put aside while others are ready. The end of a job of this run is a report of its own.
    """
    kind = Sequence
    kept_apart = any("exclusive" in (body.get("main") or ()) for _, body in context.plan.raw.values())
    if how.jobs > 1 or kept_apart or context.plan.settings.capacity:
        from executor.engine.side_by_side import SideBySide

        kind = SideBySide
    sequence = kind(context, numbers, how)
    yield from sequence.reports()
    yield from sequence.ended()


class Sequence:
    """The remaining steps of a run: those that are open, those that wait, and the jobs that run."""

    def __init__(self, context: RunContext, numbers: Iterable[StepId], how: RunOptions) -> None:
        self._context = context
        self._how = how
        self._open = [*numbers]
        self._held: dict[StepId, RunReport] = {}
        self._announced: set[tuple[StepId, StepId]] = set()
        self._idle_since_s: float | None = None
        running = [] if how.rerun else [number for number in self._open if is_running(context, number)]
        self._jobs = {number: context.state(number).task_id for number in running}

    def reports(self) -> Iterator[RunReport]:
        """Run step after step; yield the report of each."""
        while self._open:
            ended = [*self.ended()]
            yield from ended
            if any(not self._goes_on(report) for report in ended) or not self._open:
                return
            found = [*self._turn()]
            yield from found
            if any(not self._goes_on(report) for report in found):
                return

    def _goes_on(self, report: RunReport) -> bool:
        verdict = report.outcome.verdict
        return verdict in GO_ON or (self._how.keep_going and verdict != Verdict.INTERRUPTED)

    def ended(self) -> Iterator[RunReport]:
        """Yield the reports of jobs that have ended since; a job that failed is not started again by this run."""
        if not self._jobs:
            return
        from executor.engine.waiting import await_tick

        self._context.catch_up(*self._jobs.values())
        for number, task_id in [*self._jobs.items()]:
            state = self._context.state(number)
            lost_before_its_turn = state.verdict == "lost" and number in self._open
            if state.task_id != task_id or lost_before_its_turn:
                del self._jobs[number]
            elif state.verdict == "passed" or state.verdict in ENDED_BADLY:
                await_tick(self._context, number, task_id)
                del self._jobs[number]
                self._open = [one for one in self._open if one != number]
                yield _end_of(self._context, number, task_id)

    def _turn(self) -> Iterator[RunReport]:
        """Run the next step that is ready; when none is, wait, or report the steps that wait."""
        from executor.engine.waiting import LastRead

        seen = LastRead(self._context.spec_bytes(), self._context.states)
        survey = Survey(self._context, self._context.survey_boxes(seen.spec), order=self._open)
        number = next((one for one in self._open if self._is_next(one, survey)), None)
        holds = self._holds() if number is None else {}
        if holds:
            yield from self._waited(holds, seen)
        elif number is not None or seen == LastRead(self._context.spec_bytes(), self._context.states):
            yield from self._take(self._open[0] if number is None else number)

    def _is_next(self, number: StepId, survey: Survey) -> bool:
        """Return True for a step to take now: it is ready, has nothing to run, or will not become ready in this run."""
        if self._how.force:
            return True
        still = survey.missing(number)
        if written(self._context, number) is None and still:
            return is_running(self._context, number) and not self._how.rerun
        if not (still or blocking(self._context, number)) or not self._has_to_run(number):
            return True
        comes = all(one.step in self._open or is_coming(self._context, one.step) for one in still)
        is_of_jobs = comes and not any(one.step in self._open for one in still)
        return not comes or (is_of_jobs and number not in self._held)  # taken once, to report why it waits

    def _has_to_run(self, number: StepId) -> bool:
        how = self._how
        decision = decide_or_refuse(self._context, number, rerun=how.rerun, reopen_stale=how.reopen_stale)
        return decision.action in ("run", "skip")

    def _take(self, number: StepId, report: RunReport | None = None) -> Iterator[RunReport]:
        """Run a step that has no report yet; keep its report when a job holds it, else yield the report."""
        report = report or reported(self._context, number, self._how)
        if report.held_by:
            self._held[number] = report
            return
        held_by = self._held[number].held_by if number in self._held else 0
        state = self._context.state(held_by)
        if held_by and report.outcome.verdict == Verdict.WAITING and state.verdict in ENDED_BADLY:
            why = f"step {held_by}, which it waits for, {state.verdict}: {state.reason}"
            report = report.replace(outcome=Outcome(Verdict.FAILED, why))
        self._idle_since_s = None
        self._open.remove(number)
        if report.outcome.verdict == Verdict.STARTED:
            self._jobs[number] = report.task_id
        yield report

    def _holds(self) -> dict[StepId, Hold]:
        """Return the steps that wait for nothing but jobs, each with its hold."""
        found = {number: hold(self._context, number) for number in self._open if number in self._held}
        return {number: held for number, held in found.items() if held and held.job}

    def _waited(self, holds: dict[StepId, Hold], seen: LastRead) -> Iterator[RunReport]:
        """Wait for a change of the jobs that hold steps; report steps whose wait ended without a change."""
        from executor.engine.waiting import announce_wait, await_change, await_tick

        unshown = [held.job for held in holds.values() if self._context.state(held.job).verdict == "passed"]
        for job in unshown:
            await_tick(self._context, job, self._context.state(job).task_id)
        if unshown:
            return
        first, held = next(iter(holds.items()))
        now_s = self._context.now()
        self._idle_since_s = now_s if self._idle_since_s is None else self._idle_since_s
        until_s = self._idle_since_s + self._how.wait_s
        if now_s < until_s and (first, held.job) not in self._announced:
            self._announced.add((first, held.job))
            announce_wait(self._context, first, held)
        outcome = await_change(self._context, holds, seen, until_s=until_s)
        if not outcome.passed:
            yield from self._given_up(holds, outcome)

    def _given_up(self, holds: dict[StepId, Hold], outcome: Outcome) -> Iterator[RunReport]:
        """Yield the report of the first step that waits; when the time is over, of every step that waits."""
        late = outcome.verdict == Verdict.WAITING
        for at, number in enumerate(holds):
            if at and not late:
                return
            report = self._held[number]
            if not at and (self._how.wait_s or not late):
                reason = f"{outcome.reason} in {self._how.wait_s:g} s" if late else outcome.reason
                report = report.replace(outcome=outcome.replace(reason=reason))
                if late:
                    self._context.journal.write(StepSkipped(reason=reason), step=number)
            self._open.remove(number)
            yield report


def is_running(context: RunContext, number: StepId) -> bool:
    """Return True for a step whose job runs, or was started and has no verdict yet."""
    state = context.state(number)
    if not runs.is_job(context.root, state.task_id):
        return False
    return state.verdict == "started" or (not state.verdict and starts_up(context.root, state))


def reported(context: RunContext, number: StepId, how: RunOptions) -> RunReport:
    """Run a step and return its report; with `keep_going` a broken definition or SPEC.md is an ordinary failure."""
    try:
        return run_step(context, number, how)
    except (DefinitionError, SpecError) as error:
        if not how.keep_going:
            raise
        box = context.boxes().get(number)
        title = box.title if box else context.plan.title(number)
        return RunReport(number, title, Outcome(Verdict.FAILED, str(error)))


def _end_of(context: RunContext, number: StepId, task_id: str) -> RunReport:
    """Return the report of a job that has its verdict."""
    state = context.state(number)
    box = context.boxes().get(number)
    ends = [line for line in log_reader.task_lines(context.root, task_id) if line.get("event") in VERDICTS]
    lasted_s = float(ends[-1].get("duration_s") or 0) if ends else 0.0
    outcome = Outcome(Verdict(state.verdict), state.reason if state.verdict != "passed" else "")
    return RunReport(number, box.title if box else context.plan.title(number), outcome, task_id, duration_s=lasted_s)
