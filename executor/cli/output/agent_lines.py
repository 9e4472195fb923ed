"""How an agent at work reads in the transcript."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING
from executor.system.text import one_line as brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Line = Mapping[str, Any]


def turn(line: Line) -> list[str]:
    """One turn: what it called, what it said, which calls failed."""
    said = [f"       | {brief(line['said'])}"] if line["said"] else []
    head = f"[MAIN] · turn {line['turn']}: {brief('; '.join(line['calls'])) or 'no call'}"
    return [head, *said, *(f"       ✗ {brief(text)}" for text in line["failed"])]


def retried(line: Line) -> list[str]:
    """Another attempt: after a failure, or because POST sent the work back."""
    if line["failure"] == "judged":
        return [f"[MAIN] ✗ sent back to the agent: {brief(line.get('reason') or '')}"]
    return [f"[MAIN] trying again in {line['wait_s']}s ({line['failure']}): {line['run']}"]


def restored(line: Line) -> list[str]:
    """What was put back."""
    lost = [f"       could not be put back: {text}" for text in line["lost"]]
    return [f"[MAIN] ✗ the agent changed what judges it; put back: {', '.join(line['paths'])}", *lost]
