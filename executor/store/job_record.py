"""The record of a job held against the log: its checks are those that it was begun with."""

from __future__ import annotations

import os

from executor.store import log_reader, runs
from executor.system import files

LENGTH = 32  # hex digits of a digest


def digest(root: str, task_id: str) -> str:
    """Return the digest of a job's record as it lies there, empty when it cannot be read."""
    try:
        data = files.read(os.path.join(root, runs.JOBS, task_id, "job.json"))
    except OSError:
        return ""
    return files.digest(data)[:LENGTH] if data else ""


def is_as_logged(root: str, task_id: str) -> bool:
    """Return True when the record is the one that the log knows; older logs know none, and any will do."""
    logged = [str(line["record"]) for line in log_reader.task_lines(root, task_id) if line.get("record")]
    return not logged or logged[-1] == digest(root, task_id)
