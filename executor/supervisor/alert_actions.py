"""The alerts of a job: raised and cleared once each, with their actions and notices."""

from __future__ import annotations

import os
import time

from executor.monitoring import alerts
from executor.monitoring.model import Action
from executor.monitoring.notices import notify
from executor.store.events import AlertActed, AlertCleared, AlertRaised, NoticeSent
from executor.store.log_writer import timestamp
from executor.supervisor.history import JobHistory
from executor.supervisor.job_status import AlertStatus
from executor.system import process
from executor.system.records import TYPE_CHECKING, Record
from executor.system.shell.bash_command import SHELL
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from executor.monitoring.alerts import Alert
    from executor.monitoring.model import Memory, Monitor
    from executor.monitoring.monitor import Judged
    from executor.store.context import RunContext
    from executor.store.step_state import StandingAlert
    from executor.store.task import Task
    from executor.system.process import Command, ProcessResult

OUTPUT = 1000  # characters of the match or samples in an alert
COMMAND_LIMIT_S = 60.0
FOLLOWS = {
    "notify": "",
    "stop": "; the job is being stopped",
    "restart": "; the job is to be restarted",
    "command": "; its command is being run",
    "block": "; later steps wait",
}


class Ending(Record):
    """The end of a run by an alert; `action` is stop or restart."""

    action: str
    key: str
    reason: str
    monitor_action: Action = Action()

    @property
    def description(self) -> str:
        """The ending as a reason for people."""
        return f"{'stopped' if self.action == 'stop' else 'to be restarted'} by alert {self.key}: {self.reason}"


class AlertActions:
    """The standing alerts of a job and the commands that they start."""

    def __init__(
        self,
        context: RunContext,
        task: Task,
        past: JobHistory,
        *,
        reached: Callable[[], float | None],
        is_stuck: Callable[[], bool],
    ) -> None:
        self._context = context
        self._task = task
        self._past = past
        self._reached = reached
        self._is_stuck = is_stuck
        self._restarts = dict(past.restarts)
        self._allowed = {one.name: one.env for one in task.step.background}
        self._sent: dict[str, tuple[str, Any]] = {}
        self.standing: Mapping[str, Alert] = {}
        self.since: dict[str, str] = {}
        self.excused: Memory = {}
        self.ending: Ending | None = None
        self._commands: list[Command] = []

    @property
    def restarts(self) -> int:
        """The number of restarts by alerts."""
        return sum(self._restarts.values())

    def take_commands(self) -> list[Command]:
        """Return the commands to start, each once."""
        commands, self._commands = self._commands, []
        return commands

    def restore(self, standing: Iterable[StandingAlert], kept: Mapping[str, Any]) -> None:
        """Restore the alerts that stand by the log; `kept` has output and time of each by key."""
        for one in standing:
            seen = kept.get(one.key, {})
            self._stand(one.key, str(seen.get("output", "")), one.action, since=str(seen.get("since", "")))

    def _stand(self, key: str, output: str, action: str, *, since: str) -> None:
        self.standing = {
            **self.standing,
            key: alerts.Alert(key=key, output=output, samples=(), action=action, since_s=time.monotonic()),
        }
        self.since[key] = since

    def resume_unfinished(self, monitors: Mapping[str, Monitor]) -> None:
        """Do once the actions and notices that an earlier supervisor logged and did not finish."""
        past, self._past = self._past, JobHistory()
        for key in past.pending_actions:
            monitor = monitors.get(key.rpartition("/")[0])
            if monitor and key in self.standing:
                self._act(key, monitor.action, self.standing[key].output)
        for notice in past.pending_notices:
            kind, _, key = notice.partition(" ")
            output = self.standing[key].output if key in self.standing else "it is over"
            self.notify(kind, f"{key}: {output}", key=key)

    def shown(self) -> tuple[AlertStatus, ...]:
        """Return the standing alerts for the status file."""
        return tuple(
            AlertStatus(key, one.output, self.since.get(key, ""), one.action) for key, one in self.standing.items()
        )

    def apply(self, judged: Judged) -> bool:
        """Raise or clear an alert by the result of a rule; return True when one was."""
        key = judged.key
        action = Action() if judged.judgement.notify_only else judged.monitor.action
        text = self._context.masker.mask(clean_control(judged.judgement.text))[:OUTPUT]
        judgement = judged.judgement.replace(text=text)
        self.standing, change = alerts.apply(
            self.standing, key, judgement, action=action.kind, now_s=time.monotonic(), excused=self.excused
        )
        if change == "raised":
            self.since[key] = timestamp(time.time())
            raised = AlertRaised(key=key, output=text, samples=judgement.samples, action=action.kind)
            self._context.log(raised, self._task)
            self.notify("alert", f"{key}: {text}{FOLLOWS[action.kind]}", key=key)
            self._act(key, action, text)
        elif change == "cleared":
            self._cleared(key, text or "the condition no longer holds")
        return bool(change)

    def clear_all(self, why: str) -> None:
        """Clear all alerts without a notice."""
        for key in self.standing:
            self._context.log(AlertCleared(key=key, reason=why), self._task)
        self.standing = {}

    def _cleared(self, key: str, why: str) -> None:
        self._context.log(AlertCleared(key=key, reason=why), self._task)
        self.notify("recovered", f"{key}: {why}", key=key)

    def _act(self, key: str, action: Action, text: str) -> None:
        if action.kind in ("stop", "restart"):
            self._end(key, action, text)
        elif action.kind == "command":
            self._log(key, "command", "started", action.command)
            self._run(key, action, self._allowed.get(key.rpartition("/")[0], ()))
        elif action.kind == "block":
            self._log(key, "block", "passed", "later steps wait until it is over")

    def _end(self, key: str, action: Action, text: str) -> None:
        if self.ending:
            return
        wanted, why = action.kind, text
        if wanted == "restart":
            refusal = self._restart_refusal(key, action)
            wanted, why = ("stop", f"{text}; {refusal}") if refusal else (wanted, why)
        if wanted == "restart":
            self._restarts[key] = self._restarts.get(key, 0) + 1
        self._log(key, wanted, "started", why)
        self.ending = Ending(wanted, key, why, action)

    def _restart_refusal(self, key: str, action: Action) -> str:
        """Return the reason against another restart, empty when one is allowed."""
        before = self._restarts.get(key, 0)
        if before >= action.attempts:
            return f"restarted {'once' if before == 1 else f'{before} times'} before, which is all that is allowed"
        if before and self._is_stuck():
            return "the last restart has saved no new checkpoint"
        return ""

    def resume_ending(self, act: tuple[str, ...], monitors: Mapping[str, Monitor]) -> None:
        """Continue an ending that an earlier supervisor began."""
        action, key, reason = act
        monitor = monitors.get(key.rpartition("/")[0])
        self.ending = Ending(action, key, reason, monitor.action if monitor else Action())

    def _log(self, key: str, action: str, status: str, reason: str) -> None:
        at = self._reached()
        self._context.log(AlertActed(status=status, key=key, action=action, reason=reason, at=at), self._task)

    def _run(self, key: str, action: Action, allowed: tuple[str, ...]) -> None:
        """Queue the command of an action; it gets only the secrets that its monitor names."""
        number = len(self._sent) + 1
        name = f"act.{number}"
        environment = self._context.without_secrets(self._task, allow=allowed)
        command = process.Command(
            name=name,
            argv=(*SHELL, action.command),
            env={**environment, "DO_TASKS_KEY": key, "DO_TASKS_MESSAGE": self.standing[key].output},
            token=f"{self._task.task_id}/{name}",
            limit_s=COMMAND_LIMIT_S,
        )
        self._sent[name] = ("command", key)
        self._commands.append(command)

    def notify(self, kind: str, message: str, *, key: str = "") -> None:
        """Queue a notice for each notifier that asks for it, logged before it is sent."""
        notifiers = self._context.plan.settings.notify
        if not notifiers:
            return
        step = self._task.step.number
        whole = f"{os.path.basename(self._context.root)}: step {step}, {self._task.title}: {message}"
        notice = notify.Notice(kind, self._context.masker.mask(whole), self._task.task_id, step, key)
        named = self._context.named_secrets(self._task)
        asked = (*named.urls, *(name for one in notifiers for name in one.env))
        environ = self._context.environment_with(self._task, asked)
        found = notify.commands(notifiers, notice, environ=environ, filed=named.filed)
        for command in found:
            number = len(self._sent) + 1
            name = f"notify.{number}"
            label = f"{kind} {key}".strip()
            self._context.log(NoticeSent(status="started", notice=label, to=command.name), self._task)
            self._sent[name] = (label, command.name)
            self._commands.append(command.replace(name=name, token=f"{self._task.task_id}/{name}"))

    def take(self, ended: ProcessResult) -> None:
        """Log the end of a notifier or of an action's command; neither fails the job."""
        label, receiver = self._sent[ended.name]
        text = ended.reason or self._context.masker.mask(ended.output.decode("utf-8", "replace")).strip()[-OUTPUT:]
        if label == "command":
            self._log(receiver, "command", str(ended.verdict), text)
        else:
            self._context.log(NoticeSent(status=ended.verdict, notice=label, to=receiver, reason=text), self._task)
