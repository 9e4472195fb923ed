"""The folder of a trial, `trial_<uuid>`: made for the original, used again by each of its retries."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPORT, METRICS, ABOUT, LOCK = "evaluation_report.json", "metrics.jsonl", "trial.json", "running.lock"


def trial_uuid(study_uuid: str, number: int) -> str:
    """Return the name of the original trial with this number: the same each time, so that nothing must be written."""
    return str(uuid.uuid5(uuid.UUID(study_uuid), str(number)))


@dataclass(frozen=True)
class TrialFolder:
    """The paths of one trial below the output folder."""

    output: Path
    name: str  # the uuid

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.output / f"trial_{self.name}"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The evaluation report."""
        return self.path / REPORT

    def about(self) -> dict[str, Any]:
        """Return the facts of the trial: number, config, study, and state once it ended; {} for a new one."""
        path = self.path / ABOUT
        return dict(files.read_json(path)) if path.is_file() else {}

    def write_about(self, **fields: Any) -> None:
        """Add facts of the trial."""
        files.write_json(self.path / ABOUT, {**self.about(), **fields})

    def epochs(self) -> list[dict[str, Any]]:
        """Return the figures of the epochs that are done, one row for each, the oldest first, without damaged lines."""
        path = self.path / METRICS
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
        rows = {row["epoch"]: row for row in map(_row, lines) if row}
        return [rows[epoch] for epoch in sorted(rows)]

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Append the figures of one epoch; a line that a crash cut off is ended first."""
        path = self.path / METRICS
        with path.open("ab+") as log:
            size = log.seek(0, os.SEEK_END)
            is_torn = size > 0 and os.pread(log.fileno(), 1, size - 1) != b"\n"
            if is_torn:
                log.truncate(_end_of_lines(path))
            log.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            log.flush()
            os.fsync(log.fileno())

    def lock(self) -> int:
        """Return a descriptor that holds the trial, -1 if a living process of this machine has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return take(self.path / LOCK)

    def is_running(self) -> bool:
        """Return True if a living process of this machine trains it."""
        if not (self.path / LOCK).is_file():
            return False
        held = take(self.path / LOCK)
        if held >= 0:
            os.close(held)
        return held < 0


def _row(line: bytes) -> dict[str, Any]:
    """Return a line of figures, {} for anything else."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) and isinstance(row.get("epoch"), int) else {}


def _end_of_lines(path: Path) -> int:
    content = path.read_bytes()
    return content.rfind(b"\n") + 1


def take(path: Path) -> int:
    """Return a descriptor that locks the file, -1 if another process has it; the lock ends with the process."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return -1
    return fd


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file inside the `with` block; wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def every(output: Path) -> list[TrialFolder]:
    """Return the folders of all trials that began."""
    found = [path.parent.name.removeprefix("trial_") for path in output.glob(f"trial_*/{ABOUT}")]
    return [TrialFolder(output, name) for name in sorted(found)]


def find(output: Path, name: str) -> TrialFolder:
    """Return a trial by its uuid or the beginning of it; raise Trouble for none and for several."""
    name = name.removeprefix("trial_")
    fitting = [one for one in every(output) if one.name.startswith(name)] if name else []
    exact = [one for one in fitting if one.name == name]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    known = ", ".join(one.name[:8] for one in every(output)[:8]) or "none"
    what = f"{len(fitting)} trials begin with {name!r}" if fitting else f"no trial {name!r}"
    raise Trouble(f"{what} in {output}; there are: {known}", USAGE)
