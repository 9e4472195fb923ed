"""Monitors that saw nothing, told once after a grace and once at the end of the job."""

from __future__ import annotations

from executor.engine.verdict import BLIND
from executor.store.events import MonitorBlind
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.monitoring.scheduler import MonitorScheduler
    from executor.store.context import RunContext, Task
    from executor.supervisor.alert_actions import AlertActions

GRACE, END = "grace", "end"


class Blind:
    """Tells what the monitors of a job were to see and never saw; `told` are those of the log, as `when key`."""

    def __init__(
        self, context: RunContext, task: Task, rota: MonitorScheduler, acting: AlertActions, told: Iterable[str]
    ) -> None:
        self._context = context
        self._task = task
        self._rota = rota
        self._acting = acting
        self._told = {*told}

    def tell(self, now_s: float, began_s: float) -> None:
        """Tell people what was not seen within its grace, each once."""
        for key, reason in self._rota.miss(now_s, began_s, ended=False).items():
            if self._log(GRACE, key, reason):
                self._acting.tell("blind", f"monitor {key} sees nothing so far: {reason}", key=key)

    def at_end(self, now_s: float, began_s: float, *, passed: bool) -> tuple[str, ...]:
        """Tell what was not seen at all and return it as evidence; of a job that failed, what was told before."""
        missed = self._rota.miss(now_s, began_s, ended=True)
        kept = {key: reason for key, reason in missed.items() if passed or f"{GRACE} {key}" in self._told}
        for key, reason in kept.items():
            self._log(END, key, reason)
        return (f"{BLIND}{', '.join(kept)}",) if kept else ()

    def _log(self, when: str, key: str, reason: str) -> bool:
        """Log it unless the log has it; tell whether it had not."""
        if f"{when} {key}" in self._told:
            return False
        self._told.add(f"{when} {key}")
        self._context.log(MonitorBlind(key=key, reason=reason, when=when), self._task)
        return True
