"""Independent steps at the same time: each runs in a thread of its own, which the main thread starts."""

from __future__ import annotations

from executor.engine import apart
from executor.engine.order import Hold, Survey, written
from executor.engine.sequence import Sequence, is_running
from executor.engine.slots import Slots
from executor.engine.step import RunReport
from executor.errors import DoTasksError
from executor.plan.runner_choice import AGENTS
from executor.store.events import StepSkipped
from executor.store.fingerprint import runner_for
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from executor.engine.apart import Claim, Conflict
    from executor.engine.slots import Ended
    from executor.engine.step import RunOptions
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext

LOOK_S = 0.5  # between two looks at jobs, whose progress makes steps ready


class SideBySide(Sequence):
    """A sequence that begins every step that is ready, up to `jobs` at a time.

    A step that an agent does runs alone. After a step that does not pass none begins; those that run end as usual.
    """

    def __init__(self, context: RunContext, numbers: Iterable[StepId], how: RunOptions) -> None:
        context.begin_branches()
        super().__init__(context, numbers, how)
        self._slots = Slots(context, how.jobs, how)
        self._goes = True
        self._has_lone = False  # a step runs beside which no other may
        self._error: BaseException | None = None
        self._claims: dict[StepId, Claim] = {}  # of the steps that run
        self._living: tuple[object, dict[StepId, Claim]] = (None, {})  # of other processes, as of these states

    def reports(self) -> Iterator[RunReport]:
        """Run the steps; yield the report of each when it ends."""
        try:
            while self._slots.running or (self._goes and self._open):
                yield from self._watched(self.ended())
                self._begin_ready()
                yield from self._watched(self._next_reports())
        finally:
            self._slots.close()
        if self._error:
            raise self._error

    def _watched(self, found: Iterator[RunReport]) -> Iterator[RunReport]:
        """Yield reports; note one after which no step begins."""
        for report in found:
            self._goes = self._goes and self._goes_on(report)
            yield report

    def _next_reports(self) -> Iterator[RunReport]:
        if self._slots.running:
            ended = self._slots.next_end(LOOK_S if self._jobs else None)
            if ended:
                yield from self._taken(ended)
        elif self._goes and self._open:
            yield from self._turn()

    def _taken(self, ended: Ended) -> Iterator[RunReport]:
        self._claims.pop(ended.number)
        if ended.report and ended.number in self._open:
            yield from self._take(ended.number, ended.report)
        elif ended.report:  # the end of its job was reported meanwhile
            yield ended.report
        else:
            self._error = self._error or ended.error
            self._goes = False

    def _begin_ready(self) -> None:
        """Begin the steps that are ready, in order."""
        self._has_lone = self._has_lone and bool(self._slots.running)
        if not self._goes or self._context.interrupts.count or self._has_lone:
            return
        self._context.beside = frozenset(self._open)
        survey = Survey(self._context, self._context.survey_boxes(self._context.spec_bytes()), order=self._open)
        for number in [*self._open]:
            if self._slots.are_full or self._has_lone:
                return
            if number in self._slots.running or not self._is_next(number, survey):
                continue
            is_lone = self._is_lone(number)
            if self._slots.running and is_lone:
                return
            if not self._conflict(number):
                self._claim(number)
                self._slots.begin(number, self._claims[number].devices)
                self._has_lone = is_lone

    def _is_next(self, number: StepId, survey: Survey) -> bool:
        """Return True for a step to begin now: none of its dependencies remains in this run, and `Sequence` agrees.

        A dependency that is done may run again in this run: by --rerun, or after a dependency of its own ran again.
        """
        edges = written(self._context, number)
        if edges is not None:
            waits = any(edge.step in self._open for edge in edges)
        else:
            waits = self._open[0] != number and (self._how.rerun or not is_running(self._context, number))
        read = apart.steps_read(self._context.plan, number)
        waits = waits or any(str(one) in read for one in self._open if one != number)
        waits = waits or (number in self._held and self._conflict(number) is not None)
        return not waits and super()._is_next(number, survey)

    def _is_lone(self, number: StepId) -> bool:
        """Return True for a step that runs alone: its agent could change files that other steps read and write."""
        try:
            runner = runner_for(self._context, self._context.step(number)).runner
        except DoTasksError:  # the step itself reports it
            return False
        return runner in AGENTS and self._has_to_run(number)

    # What keeps steps apart

    def _claim(self, number: StepId) -> None:
        """Record the resources that a step is about to take."""
        claim = self._claim_of(number)
        if claim.amounts:
            devices = apart.choose_devices(self._context, number, claim, self._held_claims(number))
            claim = claim.replace(devices=devices)
        self._claims[number] = claim

    def _claim_of(self, number: StepId) -> Claim:
        try:
            return apart.claim_of(self._context.step(number))
        except DoTasksError:  # the step itself reports it
            return apart.Claim()

    def _held_claims(self, number: StepId) -> dict[StepId, Claim]:
        """Return the claims of the steps and jobs that run beside this step."""
        if self._living[0] is not self._context.states:
            self._living = (self._context.states, apart.living_claims(self._context))
        left_out = self._slots.running | {number}
        return {**{one: claim for one, claim in self._living[1].items() if one not in left_out}, **self._claims}

    def _conflict(self, number: StepId) -> Conflict | None:
        """Return the conflict that keeps a step from beginning now, None when it can begin or has nothing to run."""
        claim = self._claim_of(number)
        if not (claim.amounts or claim.names or claim.globs):
            return None
        capacity = self._context.plan.settings.capacity
        found = apart.unmeetable(self._context, number, claim) or apart.conflict_of(
            claim, self._held_claims(number), capacity
        )
        return found if found and self._has_to_run(number) else None

    def _take(self, number: StepId, report: RunReport | None = None) -> Iterator[RunReport]:
        """Run a step in this thread while no other step runs, unless a job holds a resource that it needs."""
        if report is None:
            report = self._apart_report(number)
        if report is None:
            self._claim(number)
            self._context.devices = self._claims.pop(number).devices
        yield from super()._take(number, report)

    def _apart_report(self, number: StepId) -> RunReport | None:
        """Return the report of a step that must wait for a resource of another step, None when it can run."""
        conflict = self._conflict(number)
        if conflict is None:
            return None
        box = self._context.boxes().get(number)
        title = box.title if box else self._context.plan.title(number)
        if conflict.holder == number:
            return RunReport(number, title, Outcome(Verdict.FAILED, conflict.what))
        why = f"it waits for the end of step {conflict.holder}, which holds {conflict.what}"
        self._context.journal.write(StepSkipped(reason=why), step=number)
        held_by = conflict.holder if is_running(self._context, conflict.holder) else 0
        return RunReport(number, title, Outcome(Verdict.WAITING, why), held_by=held_by)

    def _holds(self) -> dict[StepId, Hold]:
        """Return the steps that wait for nothing but jobs, or resources that jobs hold."""
        found = super()._holds()
        for number in self._held:
            conflict = self._conflict(number) if number in self._open and number not in found else None
            if conflict and is_running(self._context, conflict.holder):
                found[number] = Hold(conflict.holder, self._held[number].outcome.reason, until="the end")
        return found
