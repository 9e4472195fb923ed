"""The log as it was before an agent's work: what neither we nor a supervisor wrote since is taken out again."""

from __future__ import annotations

import json
import os
import re
import sys
from hashlib import sha256

from executor.errors import MachineError
from executor.guard import protect, scan
from executor.guard.restore import CHANGED, LOST, TAKEN, Change
from executor.guard.scan import FILE, LINK
from executor.store import caches, log_reader
from executor.store import runs as job_records
from executor.store.log_writer import LogWriter, settled, settled_size
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any


MARK, COPY, STRUCK = "log.json", "log", "log.jsonl"
WHOLE = 64 << 20  # bytes of a log that is kept whole; of a longer one the end is known again, no more
END = 1 << 20
BLOCK = 1 << 20
FORGED = "forged"
TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")
# What an executor before us may have written of the task while its agent worked; none of it ticks a box.
INNOCENT = frozenset(
    (
        *("MainStarted", "AgentTurned", "MainAdopted", "TaskResumed", "CheckFinished", "StraysStopped"),
        *("TestStarted", "TestFinished", "TestSkipped", "WarningRaised", "ProtectedRestored"),
        *("StepFailed", "StepInterrupted", "SpecMarked"),
    )
)
# What no supervisor writes of its job, and what it writes only when the job has ended.
OF_EXECUTORS = frozenset(
    (
        *("TaskStarted", "TaskResumed", "BriefGiven", "BriefRepeated"),
        *("StepMarkedDone", "StepReopened", "HandTickSeen", "HandUntickSeen"),
    )
)
OF_THE_END = frozenset(("StepPassed", "SpecTicked"))
EXPLAINS = {
    "StepPassed": "x",
    "SpecTicked": "x",
    "StepFailed": " ",
    "StepInterrupted": " ",
    "SpecMarked": " ~",
    "JobStarted": "~",
    "SupervisorStarted": "~",
}


class Mark(Record):
    """The log up to `size` bytes: `digest` is of those from `start`; `link` its text when it is one, `jobs` run."""

    size: int = 0
    start: int = 0
    digest: str = ""
    link: str = ""
    jobs: tuple[str, ...] = ()


class Verified(Record):
    """What became of the log: `found` is what was changed, and mended where its `restored` says so.

    `explained` are the states of boxes, by step, that lines behind the mark account for, as guarded.allowed_spec
    takes them; `jobs` are the tasks whose supervisors may have written meanwhile.
    """

    found: tuple[Change, ...] = ()
    jobs: tuple[str, ...] = ()
    explained: Mapping[int, str] = {}


def remember(journal: LogWriter, folder: str, *, jobs: Collection[str] = ()) -> Mark:
    """Know the log again as it is now. `jobs` are the ids of tasks whose supervisors may write to it meanwhile."""
    journal.keep()
    files.private_folder(folder)
    look = scan.look(journal.path)
    size = settled_size(journal.path)
    start = 0 if size <= WHOLE else size - END
    digest = _copied(journal.path, os.path.join(folder, COPY), start, size)
    mark = Mark(size, start, digest, look.target if look else "", tuple(sorted(jobs)))
    files.replace(os.path.join(folder, MARK), json.dumps(mark.asdict()).encode())
    return mark


def verify(journal: LogWriter, folder: str, *, task_id: str, mark: Mark | None = None) -> Verified:
    """Take out of the log what neither we nor a supervisor wrote since the mark, and put back what is gone.

    Without `mark`, which `remember` gave, another executor made it: the one in the folder counts, and lines of this
    task are left that only such an executor would write. Struck lines are kept in the folder, in taken/log.jsonl.
    Whoever has a fold in memory recalls the log when something was found.
    """
    caches.drop(os.path.dirname(journal.path))
    known = mark or _read_mark(folder)
    if known is None:
        return Verified()
    since = _Since(journal, folder, known, task_id="" if mark else task_id)
    told = protect.offences(folder)
    found = tuple(one for one in since.mended() if one not in told or one.restored)
    protect.note(folder, found)
    return Verified(found, known.jobs, since.explained())


class _Since:
    """What stands in the log behind the mark."""

    def __init__(self, journal: LogWriter, folder: str, mark: Mark, *, task_id: str) -> None:
        self._journal = journal
        self._folder = folder
        self._mark = mark
        self._root = os.path.dirname(journal.path)
        self._task_id = task_id
        self._ours = [*journal.kept()]
        self._intact = False
        self._reached = mark.size
        self._lines: list[bytes] = []
        self._struck: list[bytes] = []
        self._missing = False

    def mended(self) -> tuple[Change, ...]:
        """Write the log anew where it is not what it must be; return what was wrong with it."""
        self._clear_the_place()
        self._intact = _is_the_same(self._journal.path, self._mark)
        if not self._intact and (self._mark.start or not _is_the_same(self._copy(), self._mark)):
            return (Change(LOG_NAME, LOST, why="older lines of it changed, and no copy of them is left: read it"),)
        self._sort()
        if self._intact and not self._struck and not self._missing:
            return ()
        kind = FORGED if self._struck else CHANGED
        protect.note(self._folder, [Change(LOG_NAME, kind)])
        self._keep_struck()
        self._rewrite()
        return (Change(LOG_NAME, kind, restored=True),)

    def _sort(self) -> None:
        """Sort the lines behind the mark into those that stay and those that do not; ours that are gone stay too."""
        present = list(self._present())
        for at, line in enumerate(present):
            behind = present[at + 1] if at + 1 < len(present) else b""
            if line in self._ours:
                self._up_to(line)
            elif line and not self._is_fine(line, behind):
                self._struck.append(line)
                continue
            self._lines.append(line)
        self._missing = self._missing or bool(self._ours)
        self._lines += self._ours

    def explained(self) -> dict[int, str]:
        """Return the states of boxes that the lines account for, by step."""
        states: dict[int, str] = {}
        for line in self._lines:
            said = log_reader.parse(line) or {}
            step = said.get("step")
            if isinstance(step, int) and said.get("event") in EXPLAINS:
                states[step] = states.get(step, "") + EXPLAINS[said["event"]]
        return states

    def _clear_the_place(self) -> None:
        """Move aside what is no file, and a link that was not there."""
        path = self._journal.path
        now = scan.look(path)
        if now and now.kind != FILE and not (now.kind == LINK and now.target == self._mark.link):
            os.rename(path, os.path.join(self._taken(), f"log.{now.kind}.{os.urandom(4).hex()}"))

    def _present(self) -> Iterator[bytes]:
        """Yield the lines behind the mark (of a log that was changed before it, all new ones) but for late ones."""
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

    def _up_to(self, line: bytes) -> None:
        """Put back in their order what we wrote before this line of ours and is gone."""
        at = self._ours.index(line)
        self._lines += self._ours[:at]
        self._missing = self._missing or at > 0
        del self._ours[: at + 1]

    def _is_fine(self, line: bytes, behind: bytes) -> bool:
        said = log_reader.parse(line)
        if said is None:  # the torn line of somebody's full disk is closed by a line that says so
            return (log_reader.parse(behind) or {}).get("event") == "LogRepaired"
        if said.get("event") == "LogRepaired":
            return not said.get("task_id") and said.get("step") is None
        task_id = said.get("task_id")
        if not isinstance(task_id, str) or not _is_of(said, task_id):
            return False
        event = said.get("event")
        if task_id in self._mark.jobs and event not in OF_EXECUTORS and not said.get("record"):
            return event not in OF_THE_END or job_records.look(self._root, task_id).status == "exited"
        return task_id == self._task_id and event in INNOCENT

    def _keep_struck(self) -> None:
        if self._struck:
            path = os.path.join(self._taken(), STRUCK)
            before = files.read(path)
            new = b"".join(line + b"\n" for line in self._struck)
            if not before.endswith(new):
                files.replace(path, before + new)

    def _rewrite(self) -> None:
        """Put the log as it was and the lines that stay in its place; a supervisor may append to the old one still."""
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
        """Return what came since we read: supervisors write to the old log until they see that it moved."""
        return os.pread(old, max(0, settled(old)[0] - self._reached), self._reached)

    def _parts(self) -> Iterator[bytes]:
        yield from _blocks(self._journal.path if self._intact else self._copy(), 0, self._mark.size)
        for line in self._lines:
            yield line + b"\n"

    def _copy(self) -> str:
        return os.path.join(self._folder, COPY)

    def _taken(self) -> str:
        return files.private_folder(os.path.join(self._folder, TAKEN))


def _is_of(said: Mapping[str, Any], task_id: str) -> bool:
    """Tell whether a line is about the step that its task is of."""
    match = TASK.fullmatch(task_id)
    return match is not None and said.get("step") == int(match[1])


def _is_the_same(path: str, mark: Mark) -> bool:
    """Tell whether a file begins as the log did at the mark."""
    told, size = sha256(), 0
    for block in _blocks(path, mark.start, mark.size):
        told.update(block)
        size += len(block)
    return size == mark.size - mark.start and told.hexdigest() == mark.digest


def _copied(path: str, copy: str, start: int, end: int) -> str:
    """Copy a part of a file and return the digest of it."""
    told = sha256()
    try:
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            for block in _blocks(path, start, end):
                told.update(block)
                file.write(block)
    except OSError as error:
        raise MachineError(f"cannot keep a copy of the log in {copy}: {error.strerror}") from error
    return told.hexdigest()


def _blocks(path: str, start: int, end: int = sys.maxsize) -> Iterator[bytes]:
    """Yield what a file holds between two offsets; nothing of one that is not there."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the with below
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        while block := file.read(min(BLOCK, end - start)):
            start += len(block)
            yield block


def _read_mark(folder: str) -> Mark | None:
    try:
        body = safe_open.parsed(files.read(os.path.join(folder, MARK)) or b"null")
        return Mark(**{**body, "jobs": tuple(map(str, body["jobs"]))}) if body else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Mark(size=1, start=1, digest=str(error))  # it fits no log: what was remembered is lost
