"""One attempt at a step, with the decision that began it."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.plan.model import Step


class Decision(Record):
    """The decision about a step.

    `action`: done, tick (passed before, only the tick is missing), run, attend (a background job without a verdict),
    wait (its brief is out, `resume` has not come), ask (lost, with `on_lost: ask`), elsewhere, back (its line is as it
    was before its tick: a person decides), skip (its condition is not met), recheck (strict does not accept its tick),
    refused (it cannot run as it is written).
    `main`: run, reuse (exited 0 before), adopt (alive, or ended without a watcher).
    `stop_run` is a run that is alive and must end first. `by_hand` is `opened` (a person opened the box) or `rerun`:
    then earlier runs do not count.
    """

    action: str
    why: str
    task_id: str = ""
    main: str = "run"
    main_task: str = ""
    main_run: str = ""
    lost_run: str = ""
    stop_run: str = ""
    reuse_test: bool = False
    by_hand: str = ""
    digest: str = ""


class Task(Record):
    """One attempt at a step, from PRE-FLIGHT to verdict."""

    step: Step
    task_id: str
    digest: str
    decision: Decision
    title: str = ""
    began: float = 0.0
    runner: str = "command"
