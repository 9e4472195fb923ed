"""The history of a job by its log, with the acts that a dead supervisor began and did not finish."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Line = Mapping[str, Any]

ENDING = ("stop", "restart")
RESTARTED_AS, JOB_ENDED = "restarted as", "the job ended"  # reasons of cleared alerts without a notice of recovery
UNNOTIFIED = (RESTARTED_AS, JOB_ENDED)


class JobHistory(Record):
    """The history of a job.

    - `closed`: the last run whose end is logged, with its status, failure class, reason and exit code
    - `next_run`: the run announced after it and not started
    - `ending`: action, key and reason of an alert's ending that was begun and not finished
    - `pending_actions`: keys of alerts raised without their action; `pending_notices`: notices not sent
    - `restarts`: restarts asked for by alerts, by key; `retries`: restarts by `retry`
    - `blind`: `when key` of the monitors and rules reported as blind
    """

    closed: str = ""
    closed_status: str = ""
    closed_class: str = ""
    closed_reason: str = ""
    closed_code: int | None = None
    next_run: str = ""
    ending: tuple[str, ...] = ()
    pending_actions: tuple[str, ...] = ()
    restarts: Mapping[str, int] = {}
    retries: int = 0
    pending_notices: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()


def job_history(lines: Iterable[Line]) -> JobHistory:
    """Return the history of a job from its lines in the log, oldest first."""
    history = JobHistory()
    for line in lines:
        read = _READ.get(str(line.get("event")))
        history = read(history, line) if read else history
    return history


def _finished(history: JobHistory, line: Line) -> JobHistory:
    return history.replace(
        closed=line["run"],
        closed_status=line["status"],
        closed_class=line.get("failure", ""),
        closed_reason=line.get("reason", ""),
        closed_code=line.get("exit_code"),
        next_run="",
    )


def _retried(history: JobHistory, line: Line) -> JobHistory:
    by_alert = line.get("failure", "").startswith("alert ")
    return history.replace(next_run=line["run"], ending=(), retries=history.retries + (not by_alert))


def _started(history: JobHistory, line: Line) -> JobHistory:
    return history.replace(next_run="", ending=())


def _raised(history: JobHistory, line: Line) -> JobHistory:
    history = history.replace(pending_notices=(*history.pending_notices, f"alert {line['key']}"))
    if line.get("action") in ("", "notify"):
        return history
    return history.replace(pending_actions=(*history.pending_actions, line["key"]))


def _acted(history: JobHistory, line: Line) -> JobHistory:
    key, action = line["key"], line["action"]
    history = history.replace(pending_actions=tuple(one for one in history.pending_actions if one != key))
    if line["status"] != "started":
        return history
    if action == "restart":
        history = history.replace(restarts={**history.restarts, key: history.restarts.get(key, 0) + 1})
    return history.replace(ending=(action, key, line["reason"])) if action in ENDING else history


def _cleared(history: JobHistory, line: Line) -> JobHistory:
    if not line.get("reason", "").startswith(UNNOTIFIED):
        history = history.replace(pending_notices=(*history.pending_notices, f"recovered {line['key']}"))
    return history.replace(pending_actions=tuple(one for one in history.pending_actions if one != line["key"]))


def _notice_sent(history: JobHistory, line: Line) -> JobHistory:
    return history.replace(pending_notices=tuple(one for one in history.pending_notices if one != line["notice"]))


def _blind(history: JobHistory, line: Line) -> JobHistory:
    return history.replace(blind=(*history.blind, f"{line['when']} {line['key']}"))


_READ = {
    "MainStarted": _started,
    "MainFinished": _finished,
    "MainRetried": _retried,
    "AlertRaised": _raised,
    "AlertActed": _acted,
    "AlertCleared": _cleared,
    "NoticeSent": _notice_sent,
    "MonitorBlind": _blind,
}
