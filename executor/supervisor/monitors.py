"""The monitors of a job as its supervisor runs them, and the report of those that saw nothing."""

from __future__ import annotations

from executor.checks.start import argv_of
from executor.engine.verdict import BLIND
from executor.monitoring.command_monitors import MonitorCommands
from executor.monitoring.scheduler import MonitorScheduler, default_monitors
from executor.store.events import MonitorBlind
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from executor.monitoring.model import Monitor
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.supervisor.alert_actions import AlertActions

GRACE, END = "grace", "end"


def scheduler_of(context: RunContext, task: Task, kept: Mapping[str, Any]) -> MonitorScheduler:
    """Return the schedule of the monitors of a job, with their memory `kept` by name."""
    monitors = task.step.background
    defaults = default_monitors(monitors, task.step.checkpoints)
    return MonitorScheduler(monitors, defaults, kept, _commands(context, task), context.masker.mask)


def _commands(context: RunContext, task: Task) -> MonitorCommands:
    """Return the commands of a job's monitors: each gets only the secrets that it names."""

    def argv(monitor: Monitor) -> tuple[str, ...]:
        return argv_of(context, monitor.replace(kind="call" if monitor.kind == "call" else "command"))

    def environment(allow: tuple[str, ...]) -> dict[str, str]:
        return context.without_secrets(task, allow=allow)

    folder = context.folder(task, "monitors")
    return MonitorCommands(task.task_id, folder, context.masker, argv=argv, environment=environment)


class BlindMonitors:
    """The monitors of a job that saw nothing; each is reported once after its grace and once at the end of the job.

    `reported` are the reports in the log, each as `when key`.
    """

    def __init__(
        self,
        context: RunContext,
        task: Task,
        scheduler: MonitorScheduler,
        actions: AlertActions,
        reported: Iterable[str],
    ) -> None:
        self._context = context
        self._task = task
        self._scheduler = scheduler
        self._actions = actions
        self._reported = {*reported}

    def report(self, now_s: float, began_s: float) -> None:
        """Notify people of each monitor that saw nothing within its grace."""
        for key, reason in self._scheduler.miss(now_s, began_s, ended=False).items():
            if self._log(GRACE, key, reason):
                self._actions.notify("blind", f"monitor {key} sees nothing so far: {reason}", key=key)

    def at_end(self, now_s: float, began_s: float, *, passed: bool) -> tuple[str, ...]:
        """Log the monitors that never saw anything and return them as evidence.

        Of a failed job only those that were reported before.
        """
        missed = self._scheduler.miss(now_s, began_s, ended=True)
        kept = {key: reason for key, reason in missed.items() if passed or f"{GRACE} {key}" in self._reported}
        for key, reason in kept.items():
            self._log(END, key, reason)
        return (f"{BLIND}{', '.join(kept)}",) if kept else ()

    def _log(self, when: str, key: str, reason: str) -> bool:
        """Log a report unless the log has it; return True when it was logged now."""
        if f"{when} {key}" in self._reported:
            return False
        self._reported.add(f"{when} {key}")
        self._context.log(MonitorBlind(key=key, reason=reason, when=when), self._task)
        return True
