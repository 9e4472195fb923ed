"""Output to a terminal or a pipe: lines that never block a run, a progress bar, JSON documents."""

from __future__ import annotations

import os
import select
import time
from _thread import allocate_lock

from executor.system.text import WIDTH, escaped_json, joined_lines

COLORS = {"✓": "32", "✗": "31", "–": "33", "?": "33"}
PATIENCE_S = 1.0
BAR = 24  # columns of a progress bar at most
WAITING_EVERY_S = 60.0


class Screen:
    """Standard output that never blocks a run: text that it does not take yet is kept, and dropped at the end."""

    def __init__(self, fd: int = 1, *, color: bool | None = None) -> None:
        self._fd = fd
        self.live = os.isatty(fd) and not os.environ.get("CI")
        self.color = self.live and "NO_COLOR" not in os.environ if color is None else color
        self._pending = b""
        self._bar = False
        self._lock = allocate_lock()  # steps that run side by side print here
        self.waits = Waiting(self)

    def print(self, *texts: str) -> None:
        """Print lines in one write."""
        with self._lock:
            self._clear_bar()
            self._pending += "".join(f"{self._painted(text)}\n" for text in texts).encode("utf-8", "replace")
            self._push(0.0)

    def bar(self, done: int, total: int) -> None:
        """Draw a progress bar that the next line replaces, on a terminal only."""
        if self.live and total > 0:
            self.passing(progress_bar(done, total, columns(self._fd)))

    def passing(self, text: str) -> None:
        """Print a line that the next one replaces."""
        shown = joined_lines(text)[: columns(self._fd) - 1]
        with self._lock:
            self._pending += f"\r\x1b[K{shown}".encode("utf-8", "replace")
            self._bar = True
            self._push(0.0)

    def close(self) -> None:
        """Write the pending text, for at most PATIENCE_S."""
        self._clear_bar()
        self._push(PATIENCE_S)

    def _clear_bar(self) -> None:
        if self._bar:
            self._pending += b"\r\x1b[K"
            self._bar = False

    def _painted(self, text: str) -> str:
        if not self.color:
            return text
        for mark, code in COLORS.items():
            text = text.replace(f" {mark} ", f" \x1b[{code}m{mark}\x1b[0m ", 1)
        return text

    def _push(self, patience_s: float) -> None:
        until = time.monotonic() + patience_s
        try:
            while self._pending and self._takes(max(0.0, until - time.monotonic())):
                self._pending = self._pending[os.write(self._fd, self._pending[:4096]) :]
        except OSError:
            self._pending = b""

    def _takes(self, wait_s: float) -> bool:
        return bool(select.select([], [self._fd], [], wait_s)[1])


class Waiting:
    """The line that shows the wait for a job's start: replaced on a terminal, else printed at most once a minute."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last = ""
        self._next_s = 0.0

    def __call__(self, what: str, until: str) -> None:
        """Show the wait and the time that is left."""
        if self._screen.live:
            self._screen.passing(f"       {what}, {until}")
        elif what != self._last and time.monotonic() >= self._next_s:
            self._last, self._next_s = what, time.monotonic() + WAITING_EVERY_S
            self._screen.print(f"[BACKGROUND] · {what}, {until}")


def terminal_size(fd: int = 1) -> os.terminal_size:
    """Return the columns and lines of a terminal, 0 for what is unknown."""
    try:
        return os.get_terminal_size(fd)
    except OSError:
        return os.terminal_size((0, 0))


def columns(fd: int) -> int:
    """Return the width of a terminal in columns."""
    return terminal_size(fd).columns or WIDTH


def print_json(body: object) -> None:
    """Print a JSON document in one line; control characters are escaped."""
    from json import dumps

    print(escaped_json(dumps(body, ensure_ascii=False)), flush=True)


def progress_bar(done: int, total: int, columns: int) -> str:
    """Return a bar narrower than `columns`: a line that wraps could not be erased."""
    numbers = f"{done}/{total}"
    size = min(BAR, columns - len(numbers) - 11)
    filled = size * max(0, min(done, total)) // total
    bar = f"[{'#' * filled}{'.' * (size - filled)}] " if size > 3 else ""
    return f"       {bar}{numbers}"[: columns - 1]
