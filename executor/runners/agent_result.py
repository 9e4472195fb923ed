"""The outcome of an agent's run, by its result event, its exit code, and whether do-tasks ended it."""

from __future__ import annotations

from executor.guard.file_state import list_in_words
from executor.runners import command
from executor.system.outcome import Outcome, Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.agent_events import Closed
    from executor.system.run_records import Exit

MOST_REASON = 500
_WORDS = {
    "turns": "its turns are used up",
    "usd": "its US dollars are used up",
    "rate_limit": "the service has no room for it",
    "denied": "the service does not let it in",
    "interrupted": "somebody interrupted it",
}
_NEXT = {
    "turns": "raise limits.turns, or split the step",
    "usd": "raise limits.usd, or split the step",
    "denied": "look at the credentials",
}


def judge(
    closed: Closed | None, end: Exit, *, verdict: Verdict | None, reason: str, stderr: str
) -> tuple[Outcome, str]:
    """Return the outcome of an agent's run and its retry class: timeout, oom, rate_limit, exit:N or the kind of end.

    A result event without success fails with any exit code: Claude Code exits 0 when SIGINT stops a tool.
    """
    died = command.judge(end, verdict=verdict, reason=reason, stderr=stderr, output="")
    if verdict is not None:
        return died
    if closed is None:
        return died if end.exit_code else (Outcome(Verdict.FAILED, _no_result(end, stderr)), "exit:0")
    if not closed.ok:
        return Outcome(Verdict.FAILED, _reason(closed)), closed.kind
    if end.exit_code == 0:
        return Outcome(Verdict.PASSED, _denied(closed)), ""
    return died


def _no_result(end: Exit, stderr: str) -> str:
    if end.signal:
        return command.killed_by(end.signal)
    last = command.last_line(stderr)
    return f"it ended without a last word{last and f': {last}'}; see its stdout.log and stderr.log"


def _reason(closed: Closed) -> str:
    """Return the cause of an agent's failure, the next move, and the denied calls."""
    reason = " ".join(closed.text.split()) or _WORDS.get(closed.kind, f"it ended with {closed.kind}")
    then = _NEXT.get(closed.kind, "")
    parts = [reason[:MOST_REASON], "" if "limits." in reason else then, _denied(closed)]
    return "; ".join(filter(None, parts))


def _denied(closed: Closed) -> str:
    """Return the calls that Claude Code's rules refused, empty without any."""
    return f"not allowed: {list_in_words(dict.fromkeys(closed.denials))}" if closed.denials else ""
