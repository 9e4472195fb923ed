"""A bar of progress on one line."""

from __future__ import annotations

import os

from executor.system.text import WIDTH

BAR = 24


def columns(fd: int) -> int:
    """Return how wide a terminal is."""
    try:
        return os.get_terminal_size(fd).columns or WIDTH
    except OSError:
        return WIDTH


def progress(done: int, total: int, columns: int) -> str:
    """Return a bar that fits: one that wraps is a line that nothing takes back."""
    told = f"{done}/{total}"
    size = min(BAR, columns - len(told) - 11)
    filled = size * max(0, min(done, total)) // total
    bar = f"[{'#' * filled}{'.' * (size - filled)}] " if size > 3 else ""
    return f"       {bar}{told}"[: columns - 1]
