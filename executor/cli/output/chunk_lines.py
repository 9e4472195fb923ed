"""How a chunk reads in the transcript."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING
from executor.system.text import one_line as brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Line = Mapping[str, Any]


def which(line: Line) -> str:
    """Return which one it is; nothing when MAIN is done in one piece."""
    return f", chunk {line['chunk']} of {line['chunks']}" if line.get("chunk") else ""


def rows(line: Line) -> str:
    """Return which one it was, with the rows that we counted."""
    return f"{which(line)}: {line['rows']:,} rows" if line.get("chunk") else ""


def outlook(line: Line) -> list[str]:
    """Return what is done and to come, a line or none."""
    return [f"[MAIN] · {brief(line['outlook'])}"] if line.get("outlook") else []
