"""MAIN in chunks: one run each, with its rows counted and its quality checked before the next begins."""

from __future__ import annotations

import os

from executor.checks.criteria import read_result
from executor.checks.run import check_all
from executor.plan.model import Main
from executor.runners import command
from executor.runners.made_of import note_task
from executor.runners.main_run import log_finished, log_lost, log_reused, log_started, run_main
from executor.runners.process_run import LaunchRequest, adopt, environment, launch
from executor.runners.row_file import counted, ready
from executor.store import log_reader, runs
from executor.store.chunk_state import spent_on
from executor.store.events import WarningRaised
from executor.store.fingerprint import fingerprint_rows as digest_of_rows
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.quantities import parse_number
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import duration

if TYPE_CHECKING:
    from executor.runners.main_run import Judged
    from executor.runners.process_run import Run
    from executor.runners.row_file import RowFile
    from executor.store.context import RunContext
    from executor.store.task import Task

MOST_USD = 1e12  # a higher number is not accepted as a cost


class Chunk(Record):
    """A part of the rows: `before` counts those of earlier chunks, `made_by` is `digest@first row`."""

    number: int
    count: int
    size: int
    before: int
    total: int
    path: str
    made_by: str


def in_chunks(context: RunContext, task: Task) -> Outcome:
    """Run the chunks that are not accepted yet, in order, until one fails."""
    return _Chunks(context, task).all()


def parts(context: RunContext, task: Task, main: Main) -> tuple[Chunk, ...]:
    """Return the chunks of a step."""
    state = context.state(task.step.number)
    known = (*(one.made_by for one in state.chunks), *(one.made_by for one in state.chunks_begun))
    recorded = tuple(one.rpartition("@")[0] for one in known if "@" in one)
    made_by = digest_of_rows(context, task.step.replace(main=main.replace(chunks=())), recorded)
    found: list[Chunk] = []
    before = 0
    for number, size in enumerate(main.chunks, 1):
        path = os.path.join(context.root, main.rows.replace("{chunk}", str(number)))
        found.append(Chunk(number, len(main.chunks), size, before, sum(main.chunks), path, f"{made_by}@{before}"))
        before += size
    return tuple(found)


class _Chunks:
    """The chunks of one task."""

    def __init__(self, context: RunContext, task: Task) -> None:
        self._context = context
        self._task = task
        self._main = task.step.main or Main()
        self._chunks = parts(context, task, self._main)
        self._costs = self._accepted()

    def all(self) -> Outcome:
        decision = self._task.decision
        log_lost(self._context, self._task)
        if decision.main == "reuse":
            return self._reuse()
        if len(self._costs) == len(self._chunks):  # POST needs a run of this task
            del self._costs[self._chunks[-1].number]
        left = [chunk for chunk in self._chunks if chunk.number not in self._costs]
        outcome = self._adopt(left) if decision.main == "adopt" else PASSED
        for chunk in left:
            if outcome.passed and chunk.number not in self._costs:
                self._ready(chunk)  # before any run: a quality check may read every file
        for chunk in left:
            if not self._goes_on(outcome):
                return outcome
            if chunk.number not in self._costs:
                outcome = run_main(self._context, self._task, _ChunkRunner(self, chunk))
        return self._all_there() if outcome.passed else outcome

    def _goes_on(self, outcome: Outcome) -> bool:
        asked_to_end = self._context.interrupts.count or runs.stop_asked(self._context.root, self._task.task_id)
        return outcome.passed and not asked_to_end

    def _accepted(self) -> dict[int, float]:
        """Return the cost of each accepted chunk with an unchanged file, by number."""
        state = self._context.state(self._task.step.number)
        known = {one.number: one for one in state.chunks}
        found: dict[int, float] = {}
        for chunk in self._chunks:
            one = known.get(chunk.number)
            is_same = one is not None and (one.rows, one.made_by) == (chunk.size, chunk.made_by)
            if one and is_same and counted(chunk.path).sha256 == one.sha256:
                found[chunk.number] = one.usd
        return found

    def _all_there(self) -> Outcome:
        """Check all chunks once more and return the outcome: a later one may have written into an earlier file."""
        accepted = self._accepted()
        changed = [chunk for chunk in self._chunks if chunk.number not in accepted]
        if not changed:
            return PASSED
        where, number = self._context.relative(changed[0].path), changed[0].number
        anew = f"do-tasks --step {self._task.step.number} --rerun"
        why = f"{where} is not what chunk {number} left there; put it back, or make all anew: {anew}"
        return Outcome(Verdict.FAILED, why)

    def _reuse(self) -> Outcome:
        there = self._all_there()
        if there.passed:
            log_reused(self._context, self._task)
        return there

    def _adopt(self, left: list[Chunk]) -> Outcome:
        """Adopt the run of an earlier executor; end it when its chunk is no longer needed."""
        run = self._task.decision.main_run
        lines = log_reader.task_lines(self._context.root, self._task.task_id)
        begun = [line for line in lines if line.get("event") == "MainStarted" and line.get("run") == run]
        number, made_by = (begun[-1].get("chunk"), begun[-1].get("made_by")) if begun else (0, "")
        chunk = next((one for one in left if (one.number, one.made_by) == (number, made_by)), None)
        if chunk is None:
            self._context.end_strays(self._task, run)
            return PASSED
        return run_main(self._context, self._task, _ChunkRunner(self, chunk), adopting=run)

    def adopt(self, chunk: Chunk, run: str) -> Judged:
        """Watch a run of a chunk to its end that an earlier executor began, and judge it."""
        done = adopt(self._context, self._task, run=run, limit_s=self._main.limit_s)
        return self._judge(chunk, run, done)

    def start(self, chunk: Chunk) -> Judged:
        """Begin a run of a chunk, watch it to its end and judge it."""
        context, task = self._context, self._task
        context.catch_up()
        kept = self._ready(chunk)
        run = runs.next_main(context.root, task.task_id)
        note_task(context, task, run)
        environ = environment(context, task, run, **self._variables(chunk, kept))
        argv = command.main_argv(context, task)
        request = LaunchRequest(run, argv, lambda pid: self._note(chunk, run, pid), environ=environ)
        return self._judge(chunk, run, launch(context, task, request, limit_s=self._main.limit_s), kept)

    def _ready(self, chunk: Chunk) -> int:
        """Prepare the file of a chunk for appending; return the number of rows that it keeps."""
        kept, aside = ready(chunk.path, most=chunk.size, keeps_rows=self._is_begun(chunk))
        if aside:
            where, now = map(self._context.relative, (chunk.path, aside))
            self._context.log(WarningRaised(message=f"{where} was not of this chunk; it is now {now}"), self._task)
        return kept

    def _is_begun(self, chunk: Chunk) -> bool:
        """Return True for rows that were begun as this chunk, or accepted as this chunk when it was shorter."""
        state = self._context.state(self._task.step.number)
        which = (chunk.number, chunk.made_by)
        if any((one.number, one.made_by) == which for one in state.chunks_begun):
            return True
        shas = [one.sha256 for one in state.chunks if (one.number, one.made_by) == which]
        return counted(chunk.path).sha256 in shas

    def _variables(self, chunk: Chunk, kept: int) -> dict[str, str]:
        values = {
            "CHUNK": chunk.number,
            "OFFSET": chunk.before + kept,
            "SIZE": chunk.size - kept,
            "TOTAL": chunk.total,
            "ROWS": chunk.path,
            "CHECKPOINT_EVERY": self._main.checkpoint_every,
        }
        return {f"DO_TASKS_{name}": str(value) for name, value in values.items()}

    def _note(self, chunk: Chunk, run: str, pid: int) -> None:
        fields = {"chunk": chunk.number, "chunks": chunk.count, "made_by": chunk.made_by}
        log_started(self._context, self._task, run, pid, **fields)

    def _judge(self, chunk: Chunk, run: str, done: Run, kept: int = 0) -> Judged:
        """Judge a chunk by exit code, rows and quality; log its end, which accepts it when it passed."""
        context, task = self._context, self._task
        found = counted(chunk.path)
        outcome, failure = self._verdict(chunk, done, found)
        usd = _usd(read_result(os.path.join(context.folder(task, run), "result.json")).metrics)
        if outcome.passed:
            begun = context.state(task.step.number).chunks_begun
            self._costs[chunk.number] = usd + spent_on(begun, chunk.number, chunk.made_by)
        judged = log_finished(
            context,
            task,
            run,
            done,
            (outcome, failure),
            chunk=chunk.number,
            chunks=chunk.count,
            rows=found.rows,
            sha256=found.sha256,
            made_by=chunk.made_by,
            usd=usd,
            outlook=self._outlook(chunk, found.rows - kept, done.duration_s) if outcome.passed else "",
        )
        context.catch_up()
        return judged

    def _verdict(self, chunk: Chunk, done: Run, found: RowFile) -> tuple[Outcome, str]:
        outcome, failure = command.outcome_of(done)
        if not outcome.passed:
            return outcome, failure
        if (found.rows, found.whole) != (chunk.size, found.size):
            return Outcome(Verdict.FAILED, _miscounted(self._context, chunk, found)), "rows"
        asked = self._main.quality_check
        outcome = check_all(self._context, self._task, phase="MAIN", asked=asked, fail_fast=False)
        return outcome, "" if outcome.passed else "quality"

    def _outlook(self, chunk: Chunk, made: int, took_s: float) -> str:
        """Return rows and costs so far, and the estimates of the rest by the pace of this chunk."""
        there = sum(one.size for one in self._chunks if one.number in self._costs)
        left, spent = chunk.total - there, sum(self._costs.values())
        parts = [f"{there:,} of {chunk.total:,} rows"]
        if spent:
            parts.append(f"${spent:,.2f} so far" + (f", about ${spent / there * left:,.2f} to come" if left else ""))
        if left and made > 0:
            parts.append(f"about {duration(took_s / made * left)} left")
        return "; ".join(parts)


class _ChunkRunner(Record):
    """The runner of one chunk."""

    chunks: _Chunks
    chunk: Chunk

    def start(self) -> Judged:
        """Begin a run of the chunk, watch it to its end and judge it."""
        return self.chunks.start(self.chunk)

    def adopt(self, run: str) -> Judged:
        """Watch a run of the chunk to its end that an earlier executor began, and judge it."""
        return self.chunks.adopt(self.chunk, run)


def _usd(metrics: object) -> float:
    usd = parse_number(metrics.get("usd")) if isinstance(metrics, dict) else None
    return float(usd) if usd is not None and 0 <= usd < MOST_USD else 0.0


def _miscounted(context: RunContext, chunk: Chunk, found: RowFile) -> str:
    half = " and a half one" if found.whole != found.size else ""
    return (
        f"chunk {chunk.number} of {chunk.count}: {context.relative(chunk.path)} holds {found.rows:,} whole rows{half},"
        f" {chunk.size:,} were wanted"
    )
