"""Disk space: the amount that checkpoints will take, and the wait for it when the disk is full."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from small_lm.errors import RETRY_LATER, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Projection:
    """Sizes in bytes: of all saves, of those kept, the peak while one is written, and free now."""

    keep_all: int
    kept: int
    peak: int
    free: int

    @property
    def saved_share(self) -> float:
        """The share of `keep_all` that is saved by removing; 0 without saves."""
        return max(0.0, 1 - self.kept / self.keep_all) if self.keep_all else 0.0

    @property
    def lacking(self) -> int:
        """The missing space in bytes."""
        return max(0, self.peak - self.free)

    def __str__(self) -> str:
        """Return the projection as one line of text."""
        room = f"; {size(self.lacking)} too little room: free some, or lower keep.last" if self.lacking else ""
        took = f"checkpoints take {size(self.kept)} ({self.saved_share:.0%} saved: all would be {size(self.keep_all)})"
        return f"{took}, {size(self.peak)} while one is written, {size(self.free)} free{room}"


def held(value: Any) -> int:
    """Return the size in bytes of all tensors in nested dicts, lists and tuples."""
    if isinstance(value, Mapping):
        return sum(map(held, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(held, value))
    return int(getattr(value, "nbytes", 0))


def size(count: float) -> str:
    """Return a size with three digits and a unit: 12.3 MB."""
    power = 0
    while count >= 999.5 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {UNITS[power]}"


def free(folder: Path) -> int:
    """Return the free bytes on the file system of a folder, which need not exist yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


@dataclass
class Alerts:
    """Alerts: written to stderr at once, to a .jsonl file as soon as the disk allows."""

    path: Path
    unwritten: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def alert(self, kind: str, text: str, step: int) -> None:
        """Print an alert, or its end, and append it to the file."""
        print(f"alert: {text}", file=sys.stderr, flush=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.lock:
            self.unwritten.append({"time": now, "alert": kind, "step": step, "text": text})
            self.write()

    def write(self) -> None:
        """Append the pending lines, whole or not at all; on a full disk they wait for the next alert."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.unwritten).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                before = os.fstat(file.fileno()).st_size
                if not is_whole(file.write, lines):
                    file.truncate(before)
                    return
        except OSError:
            return
        self.unwritten.clear()


def is_whole(write: Callable[[bytes], int | None], lines: bytes) -> bool:
    """Write the lines; return True if all of them were written."""
    try:
        return write(lines) == len(lines)
    except OSError:
        return False


@dataclass(frozen=True)
class Patience:
    """Time limits in seconds: wait for disk space, interval of its checks, wait for the second home at the end."""

    limit_s: float = 3600.0
    retry_s: float = 10.0
    home_limit_s: float = 300.0


@dataclass(frozen=True)
class DiskSpace:
    """Repeats an action until the disk has space for it."""

    folder: Path
    patience: Patience
    alerts: Alerts

    def repeat(self, act: Callable[[], None], step: int) -> None:
        """Repeat `act` until the disk has space; raise Trouble after too long. Other errors are raised at once."""
        began = time.monotonic()
        is_paused = False
        while not does_fit(act):
            if time.monotonic() - began > self.patience.limit_s:
                raise Trouble(f"step {step}: {self.description()} for too long: free some, then go on", RETRY_LATER)
            if not is_paused:
                pause = f"the training pauses and looks again every {self.patience.retry_s:g} s"
                self.alerts.alert("disk_full", f"step {step}: {self.description()}: free some; {pause}", step)
                is_paused = True
            time.sleep(self.patience.retry_s)
        if is_paused:
            waited = f"after {time.monotonic() - began:.0f} s"
            self.alerts.alert(
                "disk_full_over", f"step {step}: {self.folder} has room again {waited}, training goes on", step
            )

    def description(self) -> str:
        """Return the state of the disk in words."""
        return f"{self.folder} has no room for a checkpoint, {size(free(self.folder))} free"


def does_fit(act: Callable[[], None]) -> bool:
    """Call `act`; return False if the disk was full."""
    try:
        act()
    except OSError as error:
        if error.errno in FULL:
            return False
        raise
    return True
