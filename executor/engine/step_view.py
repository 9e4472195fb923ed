"""The facts about a step that the rules of `decide` ask for."""

from __future__ import annotations

from functools import cached_property

from executor.store.changes import only_judges
from executor.store.ticks import begun_again, tick_of
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.errors import Problem
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.step_state import StepState
    from executor.system.run_records import RunStatus


class MainView(Record):
    """The facts about MAIN that decide how a step that is not done runs.

    `state` is the step's state as it counts now: fingerprints by the newest recipe, without alerts that no longer fail
    the step, failed in POST when only its judges changed. `seen` is the newest run on disk, `fingerprint` of MAIN as it
    is written now, `dependency_place` the place in the log of the newest MAIN of a dependency. `problem` is the reason
    why the step cannot run as it is written.
    """

    state: StepState
    seen: RunStatus
    fingerprint: str
    is_job: bool = False
    by_agent: bool = False
    on_lost: str = "rerun"
    dependency_place: int = 0
    problem: Problem | None = None

    @property
    def is_closed(self) -> bool:
        """Return True when the log has the end of the newest run."""
        return self.state.run_closed == f"{self.state.task_id}/{self.seen.run}"

    @property
    def has_unlogged_run(self) -> bool:
        """Return True when the newest run was started, and neither its end nor a stop is in the log."""
        is_closed = self.is_closed or self.state.verdict == "cancelled"
        return self.seen.status not in ("none", "never_ran") and not is_closed

    @property
    def has_no_open_run(self) -> bool:
        """Return True when no run was started, or the log has the end of the newest one."""
        return self.seen.status in ("none", "never_ran") or self.is_closed

    @property
    def is_same(self) -> bool:
        """Return True when the newest run has the present fingerprint of MAIN."""
        return (self.seen.digest or self.state.digest) == self.fingerprint

    @property
    def is_job_without_verdict(self) -> bool:
        """Return True for a job that was started here and has no verdict yet."""
        is_undecided = self.is_job and self.state.verdict in ("", "started")
        return is_undecided and self.seen.status in ("alive", "exited", "lost")

    def is_out_of_reach(self, *, must_rerun: bool) -> bool:
        """Return True while a run of another host, container or folder may live; a rerun ignores another folder's."""
        places = ("elsewhere", "orphan") if must_rerun else ("elsewhere", "orphan", "foreign")
        return self.seen.status in places and self.has_unlogged_run

    @property
    def is_unfinished(self) -> bool:
        """Return True for a task that stopped before its verdict, or failed in PRE-FLIGHT with a run that may live."""
        if self.state.verdict in ("", "started", "interrupted", "lost"):
            return True
        return self.has_unlogged_run and self.state.failed_in == "PRE-FLIGHT"

    @property
    def reason_to_repeat(self) -> str:
        """Return the reason why a MAIN that exited 0 does not count any more, empty while it counts."""
        if not self.state.main_task:
            return "MAIN has not passed yet"
        if self.state.stood:
            return f"alert {self.state.stood[0]} stood at its end"
        if self.state.main_digest != self.fingerprint:
            return "what MAIN does has changed since"
        return "a step it depends on ran later" if self.dependency_place > self.state.main_place else ""

    @property
    def repeats_after_failure(self) -> str:
        """Return the reason why MAIN runs again after a verdict other than passed, empty when POST alone runs."""
        return "the agent begins anew" if self.by_agent else self.reason_to_repeat

    @property
    def is_reusable(self) -> bool:
        """Return True when a MAIN that exited 0 counts, and no newer run of the task exists."""
        ended_unlogged = self.seen.status == "exited" and self.has_unlogged_run
        has_newer = ended_unlogged and self.state.main_task == self.state.task_id
        return not (has_newer or self.seen.status == "alive" or self.reason_to_repeat)

    @property
    def lacks_records(self) -> bool:
        """Return True for a task that was started and has no run on disk."""
        return self.seen.status == "none" and self.state.verdict in ("started", "lost")

    @property
    def asks_after_loss(self) -> bool:
        """Return True for a lost run of a step whose plan says `on_lost: ask`."""
        return self.on_lost == "ask" and "lost" in (self.seen.status, self.state.verdict)


class StepView(Record):
    """The facts about a step that the rules decide from, collected once for a decision.

    `state` is the state in the log. `is_enough` is False for a tick that strict does not accept, `is_of_other_work`
    True for a tick that a renumbered step brought to another MAIN. `newer_dependency` is a step that it depends on and
    that passed later, 0 for none. `changed` lists the changes since it passed that open it again.
    """

    box: Box
    state: StepState
    read_main: Callable[[], MainView]
    read_older_verdict: Callable[[], dict[str, Any]]
    rerun: bool = False
    is_enough: bool = True
    is_of_other_work: bool = False
    newer_dependency: StepId = 0
    changed: tuple[str, ...] = ()
    read_skip: Callable[[], str] = str

    @cached_property
    def skip_why(self) -> str:
        """Return the reason to skip the step by its condition, empty for none and while a task of it is open."""
        is_open_task = self.state.task_id and self.state.verdict in ("", "started", "interrupted", "lost")
        return "" if is_open_task else self.read_skip()

    @cached_property
    def main(self) -> MainView:
        """Return the facts about MAIN, read when a rule asks for them."""
        return self.read_main()

    @cached_property
    def older_verdict(self) -> dict[str, Any]:
        """Return the last verdict that the whole log has on the task of a tick from elsewhere, {} for none."""
        is_asked = self.tick == "elsewhere" and self.box.mark is not None and self.box.mark.kind == "passed"
        return self.read_older_verdict() if is_asked else {}

    @property
    def task_id(self) -> str:
        """Return the task in the suffix of the step's line."""
        return self.box.mark.task_id if self.box.mark else ""

    @property
    def tick(self) -> str:
        """Return the kind of the tick, empty for an open box."""
        return tick_of(self.box, self.state)

    @property
    def is_ticked(self) -> bool:
        """Return True for a tick of the newest task, unless the step was asked for again."""
        return self.box.state == "x" and not self.rerun and not begun_again(self.box, self.state)

    @property
    def needs_recheck(self) -> bool:
        """Return True for a tick that strict does not accept, but would accept after a recheck."""
        return not self.is_enough and (self.tick in ("elsewhere", "rechecked") or self.is_of_other_work)

    @property
    def is_done(self) -> bool:
        """Return True for a tick that counts: nothing opens the step again, and strict accepts it."""
        opened_again = self.changed or (self.newer_dependency and self.state.passed_at)
        return self.is_ticked and self.is_enough and not opened_again

    @property
    def failed_before(self) -> bool:
        """Return True when the whole log has another verdict than passed for the tick's task."""
        return bool(self.older_verdict) and self.older_verdict["event"] != "StepPassed"

    @property
    def is_open(self) -> bool:
        """Return True for an open box of a step that was not asked for again."""
        return self.box.state != "x" and not self.rerun

    @property
    def is_started_elsewhere(self) -> bool:
        """Return True for a line that shows a started job of which this log has no event, as in a clone."""
        mark, state = self.box.mark, self.state
        is_started = self.box.state == "~" and mark is not None and mark.kind == "started"
        return is_started and not state.task_id and not state.verdict

    @property
    def must_rerun(self) -> bool:
        """Return True when MAIN must run again: by --rerun, after a newer run of a dependency, or when MAIN changed."""
        return self.rerun or bool(self.newer_dependency) or not only_judges(self.changed)
