"""What a tool answers."""

from __future__ import annotations

from executor.system.records import Record


class ToolResult(Record):
    """The text that the model reads; `failed` marks it as an error there."""

    text: str
    failed: bool = False
