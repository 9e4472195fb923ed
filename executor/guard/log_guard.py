"""A copy of the log before an agent's work, and the removal of forged lines after it."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256

from executor.errors import MachineError
from executor.guard import protect
from executor.guard.file_state import CHANGED, FILE, LINK, LOST, Change, state_of
from executor.guard.restore import TAKEN
from executor.plan.step_ids import is_task_of
from executor.store import log_reader, project
from executor.store import runs as job_records
from executor.store.log_writer import LogWriter, settled, settled_size
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.plan.step_ids import StepId


MARK, COPY, REMOVED_LINES = "log.json", "log", "log.jsonl"
MOST_COPIED = 64 << 20  # bytes of a log that is copied; of a longer one only the end is compared
END_BYTES = 1 << 20
BLOCK = 1 << 20
FORGED = "forged"
# Events that an earlier executor may have written of the task while its agent worked; none ticks a box.
EARLIER_EXECUTOR_EVENTS = frozenset(
    (
        *("MainStarted", "AgentTurned", "MainAdopted", "TaskResumed", "CheckFinished", "StraysStopped"),
        *("TestStarted", "TestFinished", "TestSkipped", "WarningRaised", "ProtectedRestored"),
        *("StepFailed", "StepInterrupted", "SpecMarked"),
    )
)
# Events that no supervisor writes of its job, and those that it writes only at the end of the job.
EXECUTOR_EVENTS = frozenset(
    (
        *("TaskStarted", "TaskResumed", "BriefGiven", "BriefRepeated"),
        *("StepMarkedDone", "StepReopened", "HandTickSeen", "HandUntickSeen"),
    )
)
END_EVENTS = frozenset(("StepPassed", "SpecTicked"))
BOX_STATES = {
    "StepPassed": "x",
    "SpecTicked": "x",
    "StepFailed": " ",
    "StepInterrupted": " ",
    "SpecMarked": " ~",
    "JobStarted": "~",
    "SupervisorStarted": "~",
}


class LogMark(Record):
    """The log up to `size` bytes: `digest` is of those from `start`, `link` its target, `jobs` run meanwhile."""

    size: int = 0
    start: int = 0
    digest: str = ""
    link: str = ""
    jobs: tuple[str, ...] = ()


class VerifiedLog(Record):
    """The changes of the log that were found, most of them `restored`.

    `explained` are the states of boxes, by step, that lines after the mark explain, as `path_patterns.allowed_spec`
    takes them; `jobs` are the tasks whose supervisors may have written meanwhile.
    """

    found: tuple[Change, ...] = ()
    jobs: tuple[str, ...] = ()
    explained: Mapping[StepId, str] = {}


def mark_log(journal: LogWriter, folder: str, *, jobs: Collection[str] = ()) -> LogMark:
    """Copy the log; `jobs` are the ids of tasks whose supervisors may write to it meanwhile."""
    journal.keep()
    files.private_folder(folder)
    state = state_of(journal.path)
    size = settled_size(journal.path)
    start = 0 if size <= MOST_COPIED else size - END_BYTES
    digest = _copy_part(journal.path, os.path.join(folder, COPY), start, size)
    mark = LogMark(size, start, digest, state.target if state else "", tuple(sorted(jobs)))
    files.replace(os.path.join(folder, MARK), json.dumps(mark.asdict()).encode())
    return mark


def verify(journal: LogWriter, folder: str, *, task_id: str, mark: LogMark | None = None) -> VerifiedLog:
    """Remove lines that neither do-tasks nor a supervisor wrote since the mark, and restore lines that are gone.

    Without `mark`, the result of `remember`, the one in the folder counts, which another executor made; lines of this
    task that such an executor writes stay. Removed lines are kept in the folder, in taken/log.jsonl. When anything was
    found, the caller reads the log again.
    """
    project.drop_caches(os.path.dirname(journal.path))
    known = mark or _read_mark(folder)
    if known is None:
        return VerifiedLog()
    since = _Since(journal, folder, known, task_id="" if mark else task_id)
    known_before = protect.found_changes(folder)
    found = tuple(one for one in since.repaired() if one not in known_before or one.restored)
    protect.record_changes(folder, found)
    return VerifiedLog(found, known.jobs, since.explained())


class _Since:
    """The lines of the log after the mark."""

    def __init__(self, journal: LogWriter, folder: str, mark: LogMark, *, task_id: str) -> None:
        self._journal = journal
        self._folder = folder
        self._mark = mark
        self._root = os.path.dirname(journal.path)
        self._task_id = task_id
        self._own_lines = [*journal.kept()]
        self._intact = False
        self._reached = mark.size
        self._lines: list[bytes] = []
        self._removed: list[bytes] = []
        self._missing = False

    def repaired(self) -> tuple[Change, ...]:
        """Write the log again when it is not as it must be; return its changes."""
        self._move_away()
        self._intact = _is_as_marked(self._journal.path, self._mark)
        if not self._intact and (self._mark.start or not _is_as_marked(self._copy(), self._mark)):
            return (Change(LOG_NAME, LOST, why="older lines of it changed, and no copy of them is left: read it"),)
        self._sort()
        if self._intact and not self._removed and not self._missing:
            return ()
        kind = FORGED if self._removed else CHANGED
        protect.record_changes(self._folder, [Change(LOG_NAME, kind)])
        self._keep_removed()
        self._rewrite()
        return (Change(LOG_NAME, kind, restored=True),)

    def _sort(self) -> None:
        """Sort the lines after the mark into those that stay and those that are removed; lost own lines stay."""
        present = list(self._present())
        for at, line in enumerate(present):
            behind = present[at + 1] if at + 1 < len(present) else b""
            if line in self._own_lines:
                self._add_own_before(line)
            elif line and not self._is_fine(line, behind):
                self._removed.append(line)
                continue
            self._lines.append(line)
        self._missing = self._missing or bool(self._own_lines)
        self._lines += self._own_lines

    def explained(self) -> dict[StepId, str]:
        """Return the states of boxes that the lines explain, by step."""
        states: dict[StepId, str] = {}
        for line in self._lines:
            event = log_reader.parse(line) or {}
            step = event.get("step")
            is_of_plan = str(event.get("plan") or "") == self._journal.plan
            if is_of_plan and isinstance(step, (int, str)) and event.get("event") in BOX_STATES:
                states[step] = states.get(step, "") + BOX_STATES[event["event"]]
        return states

    def _move_away(self) -> None:
        """Move a log aside that is no file, or a new link."""
        path = self._journal.path
        now = state_of(path)
        if now and now.kind != FILE and not (now.kind == LINK and now.target == self._mark.link):
            os.rename(path, os.path.join(self._taken(), f"log.{now.kind}.{os.urandom(4).hex()}"))

    def _present(self) -> Iterator[bytes]:
        """Yield the lines after the mark, without late ones; of a log that changed before the mark, all new lines."""
        path, reached = self._journal.path, self._mark.size if self._intact else 0
        before = set() if self._intact else {line for _, line in log_reader.lines(self._copy())}
        self._reached = settled_size(path)
        for behind, line in log_reader.lines(path, reached):
            if behind > self._reached:
                break
            reached = behind
            if line not in before:
                yield line
        torn = b"".join(_blocks(path, reached, self._reached))
        if torn and torn not in before:
            yield torn

    def _add_own_before(self, line: bytes) -> None:
        """Add the own lines that were written before this one and are gone."""
        at = self._own_lines.index(line)
        self._lines += self._own_lines[:at]
        self._missing = self._missing or at > 0
        del self._own_lines[: at + 1]

    def _is_fine(self, line: bytes, behind: bytes) -> bool:
        fields = log_reader.parse(line)
        if fields is None:  # a line that a full disk cut is followed by LogRepaired
            return (log_reader.parse(behind) or {}).get("event") == "LogRepaired"
        if fields.get("event") == "LogRepaired":
            return not fields.get("task_id") and fields.get("step") is None
        task_id = fields.get("task_id")
        if not isinstance(task_id, str) or not _is_of(fields, task_id):
            return False
        event = fields.get("event")
        if task_id in self._mark.jobs and event not in EXECUTOR_EVENTS and not fields.get("record"):
            return event not in END_EVENTS or job_records.newest_status(self._root, task_id).status == "exited"
        return task_id == self._task_id and event in EARLIER_EXECUTOR_EVENTS

    def _keep_removed(self) -> None:
        if self._removed:
            path = os.path.join(self._taken(), REMOVED_LINES)
            before = files.read(path)
            new = b"".join(line + b"\n" for line in self._removed)
            if not before.endswith(new):
                files.replace(path, before + new)

    def _rewrite(self) -> None:
        """Replace the log by the copy and the lines that stay; a supervisor may still append to the old one."""
        path = self._journal.path
        try:
            old = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._journal.replace(self._parts(), bytes)
            return
        try:
            self._journal.replace(self._parts(), lambda: self._late(old))
        finally:
            os.close(old)

    def _late(self, old: int) -> bytes:
        """Return the bytes since the read: supervisors write to the old log until they see that it moved."""
        return os.pread(old, max(0, settled(old)[0] - self._reached), self._reached)

    def _parts(self) -> Iterator[bytes]:
        yield from _blocks(self._journal.path if self._intact else self._copy(), 0, self._mark.size)
        for line in self._lines:
            yield line + b"\n"

    def _copy(self) -> str:
        return os.path.join(self._folder, COPY)

    def _taken(self) -> str:
        return files.private_folder(os.path.join(self._folder, TAKEN))


def _is_of(fields: Mapping[str, Any], task_id: str) -> bool:
    """Return True when a line is about the step of its task."""
    return is_task_of(task_id, fields.get("step"))


def _is_as_marked(path: str, mark: LogMark) -> bool:
    """Return True when a file begins as the log did at the mark."""
    digest, size = sha256(), 0
    for block in _blocks(path, mark.start, mark.size):
        digest.update(block)
        size += len(block)
    return size == mark.size - mark.start and digest.hexdigest() == mark.digest


def _copy_part(path: str, copy: str, start: int, end: int) -> str:
    """Copy a part of a file and return the digest of it."""
    digest = sha256()
    try:
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            for block in _blocks(path, start, end):
                digest.update(block)
                file.write(block)
    except OSError as error:
        raise MachineError(f"cannot keep a copy of the log in {copy}: {error.strerror}") from error
    return digest.hexdigest()


def _blocks(path: str, start: int, end: int = sys.maxsize) -> Iterator[bytes]:
    """Yield the bytes of a file between two offsets; none of a missing file."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the with below
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        while block := file.read(min(BLOCK, end - start)):
            start += len(block)
            yield block


def _read_mark(folder: str) -> LogMark | None:
    try:
        body = safe_open.parse_json(files.read(os.path.join(folder, MARK)) or b"null")
        return LogMark(**{**body, "jobs": tuple(map(str, body["jobs"]))}) if body else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return LogMark(size=1, start=1, digest=str(error))  # it fits no log, so the mark counts as lost
