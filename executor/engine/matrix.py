"""MAIN in cells: one run, followed by POST, for each combination of the values of a matrix."""

from __future__ import annotations

from executor.engine.post import post
from executor.plan.matrix import cells_of
from executor.runners.command_run import CommandRunner
from executor.runners.main_run import log_lost, run_main
from executor.store import fingerprint_recipes, log_reader, runs
from executor.store.events import CellFinished
from executor.store.fingerprint import fingerprint_parts
from executor.store.step_values import params_of
from executor.system.outcome import PASSED, Outcome
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.matrix import Cell
    from executor.store.context import RunContext
    from executor.store.step_state import AcceptedCell
    from executor.store.task import Task


def in_cells(context: RunContext, task: Task) -> Outcome:
    """Run the cells that have not passed yet, in order, until one fails."""
    main, number = task.step.main, task.step.number
    log_lost(context, task)
    adopted = _adopted_cell(context, task)
    evidence: list[str] = []
    for cell in cells_of(main.matrix if main else {}, params_of(context)):
        with context.cell(number, cell.values):
            outcome = _Cell(context, task, cell).passed(adopting=adopted == cell.name)
        if not outcome.passed:
            return outcome.replace(reason=f"{number}[{cell.name}]: {outcome.reason}")
        if context.interrupts.count or runs.stop_asked(context.root, task.task_id):
            return PASSED  # the caller says how it was ended
        evidence += outcome.evidence
    return PASSED.replace(evidence=tuple(evidence))


def _adopted_cell(context: RunContext, task: Task) -> str:
    """Return the cell of the run that an earlier executor left, empty when there is none to adopt."""
    if task.decision.main != "adopt":
        return ""
    lines = log_reader.task_lines(context.root, task.task_id)
    run = task.decision.main_run
    begun = [line for line in lines if line.get("event") == "MainStarted" and line.get("run") == run]
    return str(begun[-1].get("cell", "")) if begun else ""


class _Cell:
    """One cell, while the context has its values."""

    def __init__(self, context: RunContext, task: Task, cell: Cell) -> None:
        self._context = context
        self._cell = cell
        step = context.step(task.step.number)
        main = step.main
        alone = step.replace(main=main.replace(matrix=None)) if main else step
        digest = context.make(alone, "command").digest
        self._task = task.replace(step=step, digest=digest)
        self._judged_by = fingerprint_parts(fingerprint_recipes.judges(step, strict=context.strict)).digest

    def passed(self, *, adopting: bool) -> Outcome:
        """Return the outcome of the cell: the recorded one, a new judgement, or that of an adopted or new run."""
        context, task = self._context, self._task
        known = self._known()
        if known and known.judged_by == self._judged_by:
            return PASSED.replace(evidence=("proven",) * known.proven + ("claimed",) * known.claimed)
        if known:
            again = task.decision.replace(main="reuse", main_task=known.task_id, main_run=known.run)
            return self._judged(task.replace(decision=again), known.task_id, known.run)
        if adopting and not self._is_same_run():
            context.end_strays(task, task.decision.main_run)
            adopting = False
        runner = CommandRunner(context, task, fields={"cell": self._cell.name, "made_by": task.digest})
        outcome = run_main(context, task, runner, adopting=task.decision.main_run if adopting else "")
        if not outcome.passed or context.interrupts.count:
            return outcome
        new = task.replace(decision=task.decision.replace(main="run"))
        return self._judged(new, task.task_id, runs.newest_main(context.root, task.task_id))

    def _known(self) -> AcceptedCell | None:
        """Return the record of this cell; None without a run under these values, or when a dependency ran after it."""
        context, step = self._context, self._task.step
        found = (one for one in context.state(step.number).cells if one.name == self._cell.name)
        known = next((one for one in found if one.made_by == self._task.digest), None)
        newest = max((context.state(edge.step).main_place for edge in step.depends_on), default=0)
        return known if known and known.place > newest else None

    def _is_same_run(self) -> bool:
        return runs.newest_status(self._context.root, self._task.task_id).digest == self._task.digest

    def _judged(self, task: Task, task_id: str, run: str) -> Outcome:
        """Run POST on the run of the cell, and record its end."""
        outcome = post(self._context, task)
        finished = CellFinished(
            status=outcome.verdict,
            cell=self._cell.name,
            main_task=task_id,
            run=run,
            made_by=task.digest,
            judged_by=self._judged_by,
            reason=outcome.reason,
            proven=outcome.evidence.count("proven"),
            claimed=outcome.evidence.count("claimed"),
        )
        self._context.log(finished, task)
        self._context.journal.sync()
        return outcome
