"""The state of a step in the log, its form in JSON, and operations on the states of a plan."""

from __future__ import annotations

from operator import itemgetter

from executor.plan.step_ids import key_of, of_key
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.step_ids import StepId


class StandingAlert(Record):
    """An alert that stands: its key (monitor/rule) and the action of its monitor."""

    key: str
    action: str


class AcceptedChunk(Record):
    """A chunk that passed: its rows, their digest, the cost of its runs (USD), the fingerprint of their maker."""

    number: StepId
    rows: int
    sha256: str
    usd: float
    made_by: str


class BegunChunk(Record):
    """A chunk that ran: the fingerprint of the maker of its rows, the cost of its runs so far (USD)."""

    number: StepId
    made_by: str
    spent_usd: float


class AcceptedCell(Record):
    """A cell of a matrix whose MAIN exited 0: its run, its fingerprints, its counted criteria, its metrics as JSON.

    `judged_by` is empty until it has passed.
    """

    name: str
    task_id: str
    run: str
    made_by: str
    judged_by: str
    proven: int
    claimed: int
    place: int
    metrics: str


class StepState(Record):
    """The state of one step in the log.

    `verdict` is empty while a task is open (started, no verdict yet). `main_*` name the last MAIN that exited 0 and
    may be reused; `run_closed` is the last run whose end was logged; `hand_seen` says that a tick by hand was noted;
    times are the log's UTC strings, which sort; `asked_runner` is the runner that the command line named.
    `job` says that the newest task is a background job; it has the
    verdict started while it runs, `checkpoint` once its first one is there, and the `alerts` that stand.
    `passed_digest`, `passed_judged_by` and `passed_outputs` are fingerprints of MAIN, judges and outputs of the last
    task that passed.
    `chunks` were accepted, `chunks_begun` ran.
    `passed_place` and `main_place` are places in the log, counted over all steps: the clock may be set back.
    `older` are the last tasks that passed before `passed_task`. `lines` are fingerprints of the step's line as it was
    before each change of it; `line_lost` means that a run found no line. `proven`, `claimed` and `checks` are the
    counts of the last pass; `stood` are alerts (monitor/rule) that failed a job at its end. `rechecked` is the last
    recheck that passed, `recheck_full` True when it asked every criterion. `was` is the number under which the lines of
    the newest task are written when the step was renumbered since, else 0.
    `judges` names the snapshot of the step's judges at its brief, until it passes; `accepted` is the
    person who accepted a change of them, for the next pass, `passed_accepted` the one of the last pass. `uncontained`
    is True when an agent did the last pass and its shell was not contained. `params` are the values that the command
    line gave the newest task, `metrics` those of the last pass, both as JSON, empty for none; `metrics_read` were read
    from the result file of the newest task. `cells` of a matrix have run.
    """

    task_id: str = ""
    verdict: str = ""
    failed_in: str = ""
    reason: str = ""
    digest: str = ""
    test_digest: str = ""
    main_task: str = ""
    main_run: str = ""
    main_digest: str = ""
    main_at: str = ""
    run_closed: str = ""
    passed_at: str = ""
    ticked: bool = False
    note: str = ""
    hand_seen: bool = False
    passed_task: str = ""
    job: bool = False
    checkpoint: str = ""
    alerts: tuple[StandingAlert, ...] = ()
    asked_runner: str = ""
    chunks: tuple[AcceptedChunk, ...] = ()
    chunks_begun: tuple[BegunChunk, ...] = ()
    passed_digest: str = ""
    passed_judged_by: str = ""
    passed_outputs: str = ""
    passed_place: int = 0
    main_place: int = 0
    older: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    line_lost: bool = False
    proven: int = 0
    claimed: int = 0
    checks: int = 0
    stood: tuple[str, ...] = ()
    rechecked: str = ""
    recheck_full: bool = False
    was: StepId = 0
    judges: str = ""
    accepted: str = ""
    passed_accepted: str = ""
    uncontained: bool = False
    params: str = ""
    metrics: str = ""
    metrics_read: str = ""
    cells: tuple[AcceptedCell, ...] = ()


NEW = StepState()
FIELDS = list(StepState._fields)
TUPLES = [at for at, name in enumerate(FIELDS) if isinstance(getattr(StepState, name), tuple)]
RECORDS = [
    (FIELDS.index(name), kind)
    for name, kind in (
        ("alerts", StandingAlert),
        ("chunks", AcceptedChunk),
        ("chunks_begun", BegunChunk),
        ("cells", AcceptedCell),
    )
]
SHAPES = [kind._fields for _, kind in RECORDS]
_values = itemgetter(*FIELDS)


def of_task(states: Mapping[StepId, StepState], number: StepId, task_id: str) -> StepState:
    """Return the state of the step that a task belongs to: `number`, unless the step was renumbered since."""
    state = states.get(number, NEW)
    if state.task_id == task_id:
        return state
    return next((one for one in states.values() if one.task_id == task_id), state)


def last_place(states: Mapping[StepId, StepState]) -> int:
    """Return the highest place in the log that these states know."""
    known = [state.__dict__ for state in states.values()]  # a look at each, at three events of a step
    return max([one["passed_place"] for one in known] + [one["main_place"] for one in known], default=0)


def renumbered(states: Mapping[StepId, StepState], moves: Mapping[StepId, StepId]) -> dict[StepId, StepState]:
    """Return the states by their new numbers; `moves` has the old number of each new one.

    A step whose history moved away, and to which none came, is new.
    """
    left = {number: state for number, state in states.items() if number not in moves.values()}
    return {**left, **{new: _moved(states.get(old, NEW), old) for new, old in moves.items()}}


def _moved(state: StepState, old: StepId) -> StepState:
    return state.replace(was=state.was or old)


def packed(states: Mapping[StepId, StepState]) -> dict[str, Any]:
    """Return the names of the fields, then the values of each step by its number."""
    steps = {key_of(number): _row(state) for number, state in states.items()}
    return {"fields": FIELDS, "records": SHAPES, "steps": steps}


def _row(state: StepState) -> tuple[Any, ...]:
    values: tuple[Any, ...] = _values(state.__dict__)
    if not (state.alerts or state.chunks or state.chunks_begun or state.cells):
        return values  # almost all of thousands
    row = list(values)
    for at, kind in RECORDS:
        row[at] = [[getattr(one, name) for name in kind._fields] for one in row[at]]
    return tuple(row)


def unpacked(body: Mapping[str, Any]) -> dict[StepId, StepState]:
    """Return the states by step; ValueError, KeyError or TypeError for rows of another version or shape."""
    if body["fields"] != FIELDS or body["records"] != [list(names) for names in SHAPES]:
        raise ValueError("the states are of another version")
    return {of_key(key): _state_of(values) for key, values in body["steps"].items()}


def _state_of(values: list[Any]) -> StepState:
    for at in TUPLES:
        values[at] = tuple(values[at])
    if len(values) != len(FIELDS):
        raise ValueError("a state has other fields")
    for at, kind in RECORDS:
        if values[at]:
            values[at] = tuple(kind(*one) for one in values[at])
    state = object.__new__(StepState)  # its own way in checks each name, which thousands of states would feel
    state.__dict__.update(zip(FIELDS, values, strict=True))
    return state
