"""Alerts: raised once when a condition holds, cleared once when it no longer does."""

from __future__ import annotations

import re

from executor.monitoring.model import NO_OPINION, WELL, RuleResult
from executor.monitoring.rules.stats import lasting
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Match, Pattern
    from typing import Protocol

    from executor.monitoring.model import Memory, Monitor

    class Searcher(Protocol):
        """A pattern, or an object that searches with one."""

        def search(self, text: str, /) -> Match[str] | None: ...


SHOWN_CHARS = 200
TWICE = 2
RUINOUS = ("nan", "divergence")  # rules whose standing alert makes the result of a job worthless
_PARTS = re.compile(
    r"(?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\])"  # an escape or a class: no alternative begins in it
    r"|(?P<opens>^|\||\((?:\?(?::|P<\w+>))?)\s*(?P<word>nan|inf)\s*(?=$|[|)])",
    re.IGNORECASE | re.DOTALL,
)
EXPLAINS = {  # consequences of one cause: only the alert of the cause is raised
    "stall": ("checkpoint_age", "throughput_drop"),
    "nan": ("divergence", "plateau", "overfit", "checkpoint_age"),
    "divergence": ("plateau", "overfit"),
    "disk_hours_left": ("checkpoint_age",),
}
_WORDS = {"nan": r"\bnan\b", "inf": r"\binf(?:inity)?\b"}


class Alert(Record):
    """A raised alert: its output or samples, its action, and its start in monotonic seconds."""

    key: str
    output: str
    samples: tuple[float, ...]
    action: str
    since_s: float


def apply(
    standing: Mapping[str, Alert],
    key: str,
    judgement: RuleResult,
    *,
    action: str,
    now_s: float,
    excused: Memory | None = None,
) -> tuple[dict[str, Alert], str]:
    """Return the standing alerts after a result, and the change: "raised", "cleared" or "" for none.

    An alert that another one explains is not raised. `excused` remembers it: it stays unraised when the other alert
    ends, until its own condition has ended once.
    """
    excused = {} if excused is None else excused
    if judgement.stands is False:
        excused.pop(key, None)
        return {other: one for other, one in standing.items() if other != key}, "cleared" if key in standing else ""
    if not judgement.stands or key in standing:
        return dict(standing), ""
    cause = excused.get(key) or _cause(standing, key)
    if cause:
        excused[key] = cause
        return dict(standing), ""
    return {**standing, key: Alert(key, judgement.text, judgement.samples, action, now_s)}, "raised"


def failing_alerts(keys: Iterable[str], monitors: Iterable[Monitor]) -> list[str]:
    """Return the alerts (monitor/rule) of RUINOUS rules, which fail a job that ends while they stand."""
    noted = {monitor.name for monitor in monitors if monitor.at_end == "note"}
    named = [(key, *key.rpartition("/")[::2]) for key in keys]
    return [key for key, monitor, rule in named if rule in RUINOUS and monitor not in noted]


def _cause(standing: Mapping[str, Alert], key: str) -> str:
    """Return the key of a standing alert that explains this one, empty without one."""
    kind = key.rpartition("/")[2]
    return next((other for other in standing if kind in EXPLAINS.get(other.rpartition("/")[2], ())), "")


def match(pattern: str) -> Pattern[str]:
    """Return the expression of `alert_on`: case does not count, and a bare nan or inf is a word.

    So "finance" and "info" do not match, "-inf", "loss=NaN" and "Infinity" do.

    Raises:
        ValueError: the pattern is no regular expression, or matches an empty text.
    """
    try:
        found = re.compile(_PARTS.sub(_as_word, pattern), re.IGNORECASE | re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as wrong:
        raise ValueError(f"alert_on is no regular expression: {wrong}; write words, such as error|failed|nan") from None
    if found.search(""):
        raise ValueError("alert_on finds something even where there is nothing: take out the empty alternative, or *")
    return found


def _as_word(part: re.Match[str]) -> str:
    return part["opens"] + _WORDS[part["word"].lower()] if part["word"] else part[0]


def judge_output(pattern: Searcher, text: str, exit_code: int | None) -> RuleResult:
    """Return the result of a command's stdout: a match stands with any exit code.

    Without a match exit code 0 is well; a failure, or no exit code, gives no opinion.
    """
    found = pattern.search(text)
    if found:
        return RuleResult(stands=True, text=f"{_cut(found[0])!r} in {_cut(_line_of(text, found.start()))!r}")
    return WELL if exit_code == 0 else NO_OPINION


def _line_of(text: str, at: int) -> str:
    """Return the line around an offset; a carriage return begins a line too, as in progress bars."""
    begin = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    ends = [end for end in (text.find("\n", at), text.find("\r", at)) if end >= 0]
    begin = max(begin, at - SHOWN_CHARS // 2)
    return text[begin : min(ends, default=len(text))].strip()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def judge_check(memory: Memory, exit_code: int | None) -> RuleResult:
    """Return the result of a check: two failures in a row stand, one pass ends them; None (timed out) is a failure."""
    memory["failures"] = 0 if exit_code == 0 else memory.get("failures", 0) + 1
    if memory["failures"] >= TWICE:
        how = "did not end" if exit_code is None else f"exit {exit_code}"
        return RuleResult(stands=True, text=f"failed {memory['failures']} times in a row: {how}")
    return NO_OPINION if memory["failures"] else WELL


def judge_alert(exit_code: int | None, output: str) -> RuleResult:
    """Return the result of an alert command: it stands on exit 0 with output, and shows the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return RuleResult(stands=True, text=_cut(lines[-1])) if exit_code == 0 and lines else WELL


def judge_blind(grace_s: float | None, there: bool, now_s: float, began_s: float) -> RuleResult:  # noqa: FBT001 - a fact
    """Return the result of `grace`: it stands when the monitor has seen nothing for so long since the start."""
    if grace_s is None:
        return NO_OPINION
    if there:
        return WELL
    waited_s = now_s - began_s
    text = f"nothing to see for {lasting(waited_s)} since the start"
    return RuleResult(stands=True, text=text) if waited_s >= grace_s else NO_OPINION
