"""The result of a check, a phase or a task, with its reason."""

from __future__ import annotations

from enum import StrEnum

from executor.system.records import Record


class Verdict(StrEnum):
    """The end of a check, a phase or a task; `invalid` is a plan in which validate found errors.

    `started`: a background job runs on; `alert`: an alert stands, or a job died.
    """

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    INVALID = "invalid"
    STARTED = "started"
    ALERT = "alert"


FINAL = frozenset({Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED})


class Outcome(Record):
    """A verdict, the reason for a person, and the evidence."""

    verdict: Verdict
    reason: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True for passed and skipped: the next phase may run."""
        return self.verdict in (Verdict.PASSED, Verdict.SKIPPED)


PASSED = Outcome(Verdict.PASSED)
