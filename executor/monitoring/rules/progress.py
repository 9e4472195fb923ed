"""The progress of a training at one look: steps, rows, bytes."""

from __future__ import annotations

import re
from binascii import crc32

from executor.monitoring.rules.columns import is_loss
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.monitoring.model import Memory, Sample
    from executor.monitoring.rules.columns import Row

GREW = 3  # growths of the step after which the file counts as one with steps
KNOWN_ROWS = 64
_CLOCKS = re.compile(
    r"(?i)(^|[^a-z])(time|times|elapsed|eta|since|wait|waited|waiting|timeout|after|in|for|s|ms|sec|secs|seconds"
    r"|min|minutes|h|hours?|uptime|duration|timestamp|ts|date|clock|pid|attempt|retry|heartbeat)($|[^a-z])"
)


def has_moved(memory: Memory, reading: Sample, done: float | None) -> bool:
    """Return True when a look shows progress.

    A changed step is progress, forward or back. With the same step new rows are progress: any row in a file whose step
    never grew, else rows of a loss with a step and rows with new values, clocks left out. So a line that a hung process
    repeats is no progress. Bytes count where there was neither a step nor a row.
    """
    before = memory.get("done")
    if done is not None and done != before:
        memory["grew"] = memory.get("grew", 0) + (before is not None and done > before)
        _learn(memory, reading.rows)
        return True
    if reading.rows:
        memory["rows"] = True
        return _any_news(memory, reading.rows)
    return bool(reading.bytes) and done is None and before is None and not memory.get("rows")


def _any_news(memory: Memory, rows: tuple[Row, ...]) -> bool:
    if memory.get("grew", 0) < GREW:
        return True
    has_loss = any("step" in row and any(map(is_loss, row)) for row in rows)
    return _learn(memory, rows) or has_loss


def _learn(memory: Memory, rows: tuple[Row, ...]) -> bool:
    """Record the values of the newest rows; return True when a row has new ones."""
    known = memory.get("known", [])
    marks = dict.fromkeys(_checksum(row) for row in rows[-KNOWN_ROWS:])
    new = [one for one in marks if one not in known]
    memory["known"] = [*known, *new][-KNOWN_ROWS:]
    return bool(new)


def _checksum(row: Row) -> int:
    """Return a checksum of a row without its clocks."""
    cells = (f"{name}={value:.6g}" for name, value in sorted(row.items()) if not _CLOCKS.search(name))
    return crc32(" ".join(cells).encode("utf-8", "replace"))
