"""Times what a step pays to remember what was there before MAIN, in the interpreter that do-tasks runs on."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 1000
SIZES = {"100 bytes": 100, "16 KiB": 16 * 1024, "100 kB, compared by samples": 100_000}
FLOOR = "stat and read of 1,000 x 16 KiB"


def filled(folder: Path, size: int, files: int) -> str:
    """Make files of random bytes and return the glob that finds them."""
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}.pt").write_bytes(os.urandom(size))
    return str(folder / "*")


def read_all(folder: Path) -> None:
    """Look at each file as bare Python would."""
    for entry in os.scandir(folder):
        entry.stat()
        with open(entry.path, "rb") as file:
            file.read()


def rows(root: Path, files: int = FILES) -> dict[str, Callable[[], object]]:
    """Return what takes turns: the floor, nothing to remember, and each size."""
    remember = importlib.import_module("executor.checks.evidence").remember
    record = str(root / "before.json")
    globs = {name: filled(root / str(size), size, files) for name, size in SIZES.items()}
    globs = {"nothing there": str(root / "none" / "*"), **globs}
    known = {
        name: partial(remember, record, [glob], row_patterns=frozenset(), adds=False, made_before={}, tested_ns=0)
        for name, glob in globs.items()
    }
    return {FLOOR: partial(read_all, root / str(SIZES["16 KiB"])), **known}


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of wall and CPU of one time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(rounds: int) -> None:
    """Print JSON: for each row its rounds as [wall_s, cpu_s]."""
    with tempfile.TemporaryDirectory() as folder:
        living = rows(Path(folder))
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in living}
        for turn in range(rounds + 1):
            for name, work in living.items():
                cost = spent(work)
                costs[name] += [cost] if turn else []
    sys.stdout.write(json.dumps({"costs": costs, "notes": []}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
