"""Times whole process trees in turn, so that noise falls on all alike."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

RUN_LIMIT_S = 120.0
LEAST_ROUNDS = 3
ORPHAN_LIMIT_S = 5.0
PR_SET_CHILD_SUBREAPER = 36
NOT_INHERITED = ("PYTHON", "DO_TASKS", "VIRTUAL_ENV", "CLAUDE", "MAKE", "MFLAGS", "INVOKE", "NOX", "DOIT")

# A child's peak starts at its parent's, through vfork; so a bare interpreter stands between, and prints the peak.
PEAK_PROBE = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


class BenchError(Exception):
    """A run that cannot be counted: it failed, hung or left a process alive."""


def nothing() -> None:
    """Prepare nothing before a run."""


@dataclass(frozen=True)
class Sample:
    """One run of a tree: seconds of wall and CPU (user and system, of all its processes), peak of its largest one."""

    wall_s: float
    cpu_s: float
    peak_mib: float = 0.0


@dataclass(frozen=True)
class Row:
    """One command to time; `prepare` is not timed; `given_s` is wall time that no tool could save."""

    name: str
    argv: Sequence[str]
    folder: Path
    prepare: Callable[[], None] = nothing
    units: int = 1
    given_s: float = 0.0


@dataclass(frozen=True)
class Series:
    """The samples of one row, read per unit and in seconds."""

    name: str
    samples: tuple[Sample, ...]
    units: int = 1
    given_s: float = 0.0

    @property
    def wall_s(self) -> float:
        return (statistics.median(sample.wall_s for sample in self.samples) - self.given_s) / self.units

    @property
    def wall_min_s(self) -> float:
        return (min(sample.wall_s for sample in self.samples) - self.given_s) / self.units

    @property
    def cpu_s(self) -> float:
        return statistics.median(sample.cpu_s for sample in self.samples) / self.units

    @property
    def cpu_min_s(self) -> float:
        return min(sample.cpu_s for sample in self.samples) / self.units

    @property
    def peak_mib(self) -> float:
        return statistics.median(sample.peak_mib for sample in self.samples)


def adopt_orphans() -> None:
    """Make this process the parent of detached grandchildren, so that their CPU is counted too."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def environment() -> dict[str, str]:
    """Return our environment without what would speak to a tool under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}


def timed(argv: Sequence[str], folder: Path, limit_s: float = RUN_LIMIT_S) -> Sample:
    """Run once with no input and no visible output; raise BenchError for a run that failed or outlived its limit."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        argv,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    in_time = _ended(child.pid, limit_s)
    wall_s = time.perf_counter() - begun
    if not in_time:
        os.killpg(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or not in_time:
        raise BenchError(f"{_said(argv)}: exit {child.returncode}" if in_time else f"{_said(argv)}: over {limit_s:g} s")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime + _orphans_cpu_s(argv))


def peak(argv: Sequence[str], folder: Path) -> Sample:
    """Run once; return the peak RSS of the tree's largest process. Peaks under a bare interpreter's read as its own."""
    probe = [sys.executable, "-I", "-S", "-c", PEAK_PROBE, *argv]
    told = subprocess.run(
        probe,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_LIMIT_S,
    ).stdout.split()
    if len(told) != 2 or told[0] != "0":
        raise BenchError(f"{_said(argv)}: exit {told[0] if told else '?'}")
    return Sample(0.0, 0.0, int(told[1]) / 1024)


def interleave(rows: Iterable[Row], rounds: int, cap_s: float) -> tuple[list[Series], list[str]]:
    """Time A B C, A B C ...; the first round warms the caches and is not counted.

    No round begins after `cap_s`, but three are always made, without the rows that have used a third of `cap_s`. A row
    that fails is left out, with a note; one that is slow beyond its first run is shown by that run.
    """
    living = list(rows)
    runs: dict[str, list[Sample]] = {row.name: [] for row in living}
    notes: list[str] = []
    begun = time.perf_counter()
    for turn in range(rounds + 1):
        if turn > LEAST_ROUNDS and time.perf_counter() - begun > cap_s:
            break
        for row in tuple(living):
            if sum(sample.wall_s for sample in runs[row.name]) > cap_s / 3:
                continue
            try:
                runs[row.name].append(_one(row))
            except (BenchError, OSError) as trouble:
                living.remove(row)
                notes.append(f"{row.name} is left out: {trouble}")
    return [Series(row.name, _counted(runs[row.name]), row.units, row.given_s) for row in living], notes


def _counted(runs: list[Sample]) -> tuple[Sample, ...]:
    return tuple(runs[1:] or runs)


def _one(row: Row) -> Sample:
    row.prepare()
    os.sync()  # so that a row's own fsync does not pay for its neighbour's pages
    return timed(row.argv, row.folder)


def _ended(pid: int, limit_s: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], limit_s)[0])
    finally:
        os.close(handle)


def _orphans_cpu_s(argv: Sequence[str]) -> float:
    """Reap what a run has detached; those processes end within moments or spoil the next row."""
    spent_s = 0.0
    deadline = time.monotonic() + ORPHAN_LIMIT_S
    while time.monotonic() < deadline:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return spent_s
        spent_s += usage.ru_utime + usage.ru_stime if pid else 0.0
        if not pid:
            time.sleep(0.001)
    raise BenchError(f"{_said(argv)}: left a process alive")


def _said(argv: Sequence[str]) -> str:
    return " ".join([os.path.basename(argv[0]), *argv[1:]])[:120]
