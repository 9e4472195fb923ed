"""The start of a job: alive for ALIVE_S, and each criterion with `at: start` met."""

from __future__ import annotations

from executor.engine.post import answer_of, criterion_check
from executor.monitoring.model import path_of
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.checks.kinds import CheckResult
    from executor.plan.model import Check, Criterion
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.process import Command, ProcessResult

ALIVE_S = 2.0
FIRST_WAIT_S = 0.5
MOST_WAIT_S = 5.0


class Startup:
    """The start of a run: its unmet criteria and the time of their next check."""

    def __init__(self, context: RunContext, task: Task, *, began_s: float) -> None:
        self._context = context
        self._task = task
        main = task.step.main
        self._pending: dict[str, Criterion] = {}
        self._asked: dict[str, Check] = {}
        self._answers: list[tuple[Criterion, CheckResult]] = []
        self._left = list(task.step.start_criteria)
        self._alive_s = began_s + ALIVE_S
        self._limit_s = began_s + (main.limit_s if main else 0.0)
        self._next_s = began_s + FIRST_WAIT_S
        self._wait_s = FIRST_WAIT_S

    def due_s(self) -> float:
        """Return the monotonic time at which something is due."""
        if self._pending:
            return self._limit_s
        return self._alive_s if not self._left else min(self._next_s, self._limit_s)

    def start(self, now_s: float) -> list[Command]:
        """Return the checks to start now, one process for each unmet criterion."""
        if self._pending or now_s < self._next_s:
            return []
        self._wait_s = min(MOST_WAIT_S, self._wait_s * 2)
        self._next_s = now_s + self._wait_s
        commands = []
        for criterion in self._left:
            check, command = criterion_check(self._context, self._task, criterion, asks=_first_of(criterion))
            self._pending[command.name], self._asked[command.name] = criterion, check
            commands.append(command)
        return commands

    def take(self, ended: ProcessResult) -> dict[str, Any] | None:
        """Record the result of a check; return the new status of the start."""
        criterion = self._pending.pop(ended.name)
        answer = answer_of(self._asked[ended.name], ended)
        self._answers = [*(one for one in self._answers if one[0] != criterion), (criterion, answer)]
        if answer.ok:
            self._left = [one for one in self._left if one != criterion]
        return self.shown()

    def settled(self, now_s: float) -> bool:
        """Return True once the job counts as started."""
        met = not self._left and now_s >= self._alive_s
        return met or now_s >= self._limit_s

    def pending(self) -> tuple[str, ...]:
        """Return the texts of the unmet criteria."""
        return tuple(one.text for one in self._left)

    def shown(self) -> dict[str, Any] | None:
        """Return the unmet criteria with their last results, None without any."""
        unmet = [(one.text, answer) for one, answer in self._answers if one in self._left]
        rows = [{"criterion": text, "expected": answer.expected, "got": answer.got} for text, answer in unmet]
        return {"unmet": rows, "until_s": self._limit_s} if rows else None


def _first_of(criterion: Criterion) -> object:
    """Return the check of a criterion on checkpoints: the first one is there; None for others."""
    return None if criterion.at else {"path": path_of(criterion.asks), "dir_ok": True}
