"""The state of a step in the log, its form in JSON, and operations on the states of a plan."""

from __future__ import annotations

from operator import itemgetter

from executor.plan.step_ids import id_of, in_plan, key_of, of_key, plan_of
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

    Times are the log's UTC strings, which sort. Places are positions in the log, counted over all steps: the clock may
    be set back. Texts in JSON are empty for none.

    The newest task: `verdict` is empty while it is open. `run_closed` is the last run whose end was logged. `job` is
    True for a background job: its verdict is `started` while it runs, `checkpoint` names its first checkpoint, `alerts`
    stand now, `stood` (monitor/rule) stood at its end and failed it. `asked_runner` and `params` (JSON) come from the
    command line. `metrics_read` (JSON) are of its result file. `was` is the number of the step in the lines of the
    task, when the step was renumbered since, else 0. `chunks` were accepted, `chunks_begun` have run, `cells` of a
    matrix have run.

    `main_*` describe the last MAIN that exited 0 and may be reused, `main_place` its place.

    The last pass: `passed_digest`, `passed_judged_by` and `passed_outputs` are fingerprints of MAIN, judges and
    outputs. `proven`, `claimed` and `checks` are counts, `metrics` (JSON) are those of the result file.
    `passed_accepted` is the person who accepted a change of its judges. `uncontained` is True when an agent did it
    without a contained shell. `older` are the last tasks that passed before `passed_task`. `rechecked` is the last
    recheck that passed, `recheck_full` is True when that asked every criterion.

    The line in SPEC.md: `lines` are its fingerprints before each change, `line_lost` is True when a run did not find
    it, `hand_seen` when a tick by hand was noted.

    The brief: `judges` names the snapshot of the step's judges until the step passes, `accepted` is the person who
    accepted a change of them, for the next pass.
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


ENVELOPE = ("event", "task_id", "timestamp", "status")
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
    """Return the state of the step that a task belongs to; it has another number when it was renumbered since."""
    state = states.get(number, NEW)
    if state.task_id == task_id:
        return state
    return next((one for one in states.values() if one.task_id == task_id), state)


def last_place(states: Mapping[StepId, StepState]) -> int:
    """Return the highest place in the log in these states."""
    known = [state.__dict__ for state in states.values()]  # each state is read, at three events of a step
    return max([one["passed_place"] for one in known] + [one["main_place"] for one in known], default=0)


def renumbered(states: Mapping[StepId, StepState], moves: Mapping[StepId, StepId]) -> dict[StepId, StepState]:
    """Return the states by their new numbers; `moves` has the old number of each new one.

    A step whose state moved to another number, and that received none, begins with an empty state.
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


def of_plan(states: Mapping[StepId, StepState], plan: str) -> dict[StepId, StepState]:
    """Return the states of the steps of one plan, by their ids."""
    return {id_of(key): state for key, state in states.items() if plan_of(key) == plan}


def key_of_line(line: Mapping[str, Any], plan: str | None) -> StepId | None:
    """Return the key of the step of a line; None for a line without one, and for one of another plan."""
    step, of_plan = line.get("step"), str(line.get("plan") or "")
    is_step = isinstance(step, (int, str)) and step != "" and all(isinstance(line.get(name), str) for name in ENVELOPE)
    if step is None or not is_step or plan not in (None, of_plan):
        return None
    return in_plan(step, of_plan) if plan is None else step
