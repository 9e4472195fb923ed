"""The state of one step as the log tells it, with what holds between the states of a plan."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping


class StandingAlert(Record):
    """An alert that stands: its key (monitor/rule) and what its monitor asks for."""

    key: str
    action: str


class AcceptedChunk(Record):
    """A chunk that passed: its rows, their digest, what all its runs cost (US dollars), and what makes its rows."""

    number: int
    rows: int
    sha256: str
    usd: float
    made_by: str


class BegunChunk(Record):
    """A chunk that ran: what makes its rows, and what its runs cost so far (US dollars)."""

    number: int
    made_by: str
    spent_usd: float


class StepState(Record):
    """What the log says of one step.

    `verdict` is empty while a task is open (started, no verdict yet). `main_*` name the last MAIN that exited 0 and
    may be reused; `run_closed` is the last run whose end was logged; `hand_seen` says that a tick by hand was noted;
    times are the log's UTC strings, which sort; `asked_runner` is whom the command line named for the newest task.
    `job` says that the newest task is a background job; it has the
    verdict started while it runs, `checkpoint` once its first one is there, and the `alerts` that stand.
    `passed_digest`, `passed_judged_by` and `passed_outputs` are digests of what the last task that passed did, of what
    judged it, and of what it left.
    `chunks` were accepted, `chunks_begun` ran.
    `passed_place` and `main_place` are places in the log, counted over all steps: the clock may be set back.
    `older` are the last tasks that passed before `passed_task`. `lines` are fingerprints of the step's line as it was
    before each change of it; `line_lost` means that a run found no line. `proven`, `claimed` and `checks` are the
    counts of the last pass; `stood` are alerts (monitor/rule) that failed a job at its end. `rechecked` is the last
    recheck that passed, `recheck_full` True when it asked every criterion. `was` is the number under which the lines of
    the newest task are written when the step was renumbered since, else 0.
    `judges` names what was remembered of the step's judges when its brief was given, until it passes; `accepted` is the
    person who accepted a change of them, for the next pass, `passed_accepted` the one of the last pass. `uncontained`
    says that an agent did the last pass and nothing held its shell.
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
    was: int = 0
    judges: str = ""
    accepted: str = ""
    passed_accepted: str = ""
    uncontained: bool = False


NEW = StepState()


def of_task(states: Mapping[int, StepState], number: int, task_id: str) -> StepState:
    """Return the state of the step that a task belongs to: `number`, unless the step was renumbered since."""
    state = states.get(number, NEW)
    if state.task_id == task_id:
        return state
    return next((one for one in states.values() if one.task_id == task_id), state)


def last_place(states: Mapping[int, StepState]) -> int:
    """Return the highest place in the log that these states know."""
    return max((max(state.passed_place, state.main_place) for state in states.values()), default=0)


def renumbered(states: Mapping[int, StepState], moves: Mapping[int, int]) -> dict[int, StepState]:
    """Return the states by their new numbers; `moves` has the old number of each new one.

    A step whose history moved away, and to which none came, is new.
    """
    left = {number: state for number, state in states.items() if number not in moves.values()}
    return {**left, **{new: _moved(states.get(old, NEW), old) for new, old in moves.items()}}


def _moved(state: StepState, old: int) -> StepState:
    return state.replace(was=state.was or old)
