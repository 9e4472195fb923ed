"""What a job's lines in the log say was begun and not ended: a supervisor may have died in the middle."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Line = Mapping[str, Any]

ENDING = ("stop", "restart")
AGAIN, OVER = "restarted as", "the job ended"  # why an alert is over that nobody recovered from: nobody is told
CLOSES = (AGAIN, OVER)


class JobHistory(Record):
    """Where a job stands by its log.

    `closed` is the last run whose end is logged, with its status, class and reason; `next_run` the one that was to
    follow it. `act` is the ending that was begun and not seen through, as (action, key, reason); `unheeded` are alerts
    that were raised and not acted on, `untold` the notices that nobody was sent. `restarts` counts, by key, those
    that an alert asked for. `blind` are, as `when key`, the monitors and rules that were told
    to see nothing.
    """

    closed: str = ""
    closed_status: str = ""
    closed_class: str = ""
    closed_reason: str = ""
    closed_code: int | None = None
    next_run: str = ""
    act: tuple[str, ...] = ()
    unheeded: tuple[str, ...] = ()
    restarts: Mapping[str, int] = {}
    retries: int = 0
    untold: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()


def past(lines: Iterable[Line]) -> JobHistory:
    """Return where a job stands after its lines, oldest first."""
    stand = JobHistory()
    for line in lines:
        read = _READ.get(str(line.get("event")))
        stand = read(stand, line) if read else stand
    return stand


def _finished(stand: JobHistory, line: Line) -> JobHistory:
    return stand.replace(
        closed=line["run"],
        closed_status=line["status"],
        closed_class=line.get("failure", ""),
        closed_reason=line.get("reason", ""),
        closed_code=line.get("exit_code"),
        next_run="",
    )


def _retried(stand: JobHistory, line: Line) -> JobHistory:
    by_alert = line.get("failure", "").startswith("alert ")
    return stand.replace(next_run=line["run"], act=(), retries=stand.retries + (not by_alert))


def _started(stand: JobHistory, line: Line) -> JobHistory:
    return stand.replace(next_run="", act=())


def _raised(stand: JobHistory, line: Line) -> JobHistory:
    stand = stand.replace(untold=(*stand.untold, f"alert {line['key']}"))
    if line.get("action") in ("", "notify"):
        return stand
    return stand.replace(unheeded=(*stand.unheeded, line["key"]))


def _acted(stand: JobHistory, line: Line) -> JobHistory:
    key, action = line["key"], line["action"]
    stand = stand.replace(unheeded=tuple(one for one in stand.unheeded if one != key))
    if line["status"] != "started":
        return stand
    if action == "restart":
        stand = stand.replace(restarts={**stand.restarts, key: stand.restarts.get(key, 0) + 1})
    return stand.replace(act=(action, key, line["reason"])) if action in ENDING else stand


def _cleared(stand: JobHistory, line: Line) -> JobHistory:
    if not line.get("reason", "").startswith(CLOSES):
        stand = stand.replace(untold=(*stand.untold, f"recovered {line['key']}"))
    return stand.replace(unheeded=tuple(one for one in stand.unheeded if one != line["key"]))


def _told(stand: JobHistory, line: Line) -> JobHistory:
    return stand.replace(untold=tuple(one for one in stand.untold if one != line["notice"]))


def _blind(stand: JobHistory, line: Line) -> JobHistory:
    return stand.replace(blind=(*stand.blind, f"{line['when']} {line['key']}"))


_READ = {
    "MainStarted": _started,
    "MainFinished": _finished,
    "MainRetried": _retried,
    "AlertRaised": _raised,
    "AlertActed": _acted,
    "AlertCleared": _cleared,
    "NoticeSent": _told,
    "MonitorBlind": _blind,
}
