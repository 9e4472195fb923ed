"""The effort of a task by its lines of the log: hours, tokens, and the criteria that were proven."""

from __future__ import annotations

from datetime import datetime

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Line = Mapping[str, Any]

LEAST_H = 0.0001  # of work that took any time
DIGITS = 4


class Effort(Record):
    """`hours` and `tokens` of all runs of MAIN, 0 where neither was counted; `proven` are the texts of criteria."""

    hours: float = 0.0
    tokens: int = 0
    proven: frozenset[str] = frozenset()

    def places(self, criteria: Iterable[str]) -> tuple[int, ...]:
        """Return the places of the proven criteria among those of the plan, from 1."""
        return tuple(at for at, text in enumerate(criteria, 1) if _plain(text) in self.proven)


def effort_of(lines: Sequence[Line]) -> Effort:
    """Return the effort of a task. The hours of a host's work run from its first brief to the last line."""
    seconds = sum(_number(line.get("duration_s")) for line in lines if line.get("event") == "MainFinished")
    seconds = seconds or _since_brief(lines)
    tokens: dict[str, int] = {}
    standing: dict[str, str] = {}
    for line in lines:
        if line.get("event") == "AgentTurned":
            run = str(line.get("run"))
            tokens[run] = max(tokens.get(run, 0), int(_number(line.get("tokens"))))
        if line.get("event") == "CriterionJudged":
            standing[_plain(str(line.get("criterion")))] = str(line.get("standing"))
    hours = max(LEAST_H, round(seconds / 3600, DIGITS)) if seconds else 0.0
    return Effort(hours, sum(tokens.values()), frozenset(text for text, kind in standing.items() if kind == "proven"))


def _since_brief(lines: Sequence[Line]) -> float:
    """Return the seconds from the first brief to the last line, 0 without a brief."""
    given = next((line for line in lines if line.get("event") == "BriefGiven"), None)
    try:
        times = [datetime.fromisoformat(str(line.get("timestamp"))) for line in (given, lines[-1]) if line]
    except ValueError:
        return 0.0
    return max(0.0, (times[1] - times[0]).total_seconds()) if len(times) > 1 else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _plain(text: str) -> str:
    return " ".join(text.split())
