"""`log`: what the log says of a task, live with --follow; --rotate starts a new file."""

from __future__ import annotations

import json
import os
import sys
import time

from executor import files, follow, jobs, project
from executor.errors import BusyError, UsageError
from executor.events import LogRotated
from executor.journal import Journal
from executor.mask import spelled_json
from executor.outcome import Verdict
from executor.records import LOG_NAME
from executor.values import TYPE_CHECKING
from executor.views.terminal import Screen, Transcript, safe

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
POLL_S = 0.2
ALONE_S = 2.0


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of log."""
    parser.add_argument("task_id", nargs="?", default="", help="default: the newest task")
    parser.add_argument("--follow", action="store_true", help="wait for more until the task has its verdict")
    parser.add_argument("--json", action="store_true", help="the lines as they are")
    parser.add_argument("--rotate", action="store_true", help="move the log aside and begin a new one")


def run(args: Namespace) -> Verdict:
    """Print the task's lines."""
    here = project.find(args.project)
    if args.rotate:
        return _rotate(here)
    task_id = args.task_id or _newest(here.root)
    show = _raw if args.json else Transcript(Screen())
    found = False
    last: dict[str, Any] = {}
    offset = _size(here.path(LOG_NAME))
    for line in follow.task_lines(here.root, task_id, upto=offset):
        show(line)
        found, last = True, line
    if not found:
        raise UsageError(f"the log knows no task {safe(task_id)}; see: do-tasks list")
    if args.follow and not _ended(last):
        return _follow(here, task_id, offset, show)
    return Verdict.PASSED


def _raw(line: dict[str, Any]) -> None:
    print(spelled_json(json.dumps(line, ensure_ascii=False)))
    sys.stdout.flush()


def _newest(root: str) -> str:
    """Return the task id of the last line that has one, read from the end."""
    for path in (os.path.join(root, LOG_NAME), *reversed(follow.rotated(root))):
        size = _size(path)
        for block in (1 << 16, 1 << 20, 1 << 24):
            newest = ""
            for _, line in follow.lines(path, max(0, size - block)):
                newest = (follow.parse(line) or {}).get("task_id") or newest
            if newest:
                return newest
    raise UsageError("the log is empty; run something first: do-tasks --continue")


def _follow(here: project.Project, task_id: str, offset: int, show: Any) -> Verdict:
    """Show new lines of the task as they come, until its verdict, or until nobody is left to write one."""
    alone_since = time.monotonic()
    while time.monotonic() - alone_since < ALONE_S:
        if files.held(here.state("run.lock")) or jobs.look(here.root, task_id).status == "alive":
            alone_since = time.monotonic()
        for behind, line in follow.lines(here.path(LOG_NAME), offset):
            offset = behind
            record = follow.parse(line) or {}
            if record.get("task_id") == task_id:
                show(record)
                if _ended(record):
                    return Verdict.PASSED
        time.sleep(POLL_S)
    print(f"{safe(task_id)} has no verdict and no executor watches it; go on with: do-tasks --continue")
    return Verdict.WAITING


def _ended(line: dict[str, Any]) -> bool:
    return line.get("event") in ("SpecTicked", "SpecMarked") or line.get("event") == "StepInterrupted"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _rotate(here: project.Project) -> Verdict:
    """Move the log aside under the lock of a run; the fold still reads it."""
    path = here.path(LOG_NAME)
    if not _size(path):
        raise UsageError("there is no log to rotate")
    try:
        lock = files.take_lock(here.state("run.lock"))
    except BusyError as error:
        raise BusyError(f"{error}; the log is not rotated under a run") from error
    number = max((int(name.rsplit(".", 1)[1]) for name in follow.rotated(here.root)), default=0) + 1
    aside = f"{path}.{number}"
    os.rename(path, aside)
    files.sync_folder(here.root)
    journal = Journal(path)
    journal.write(LogRotated(file=os.path.basename(aside)))
    journal.sync()
    journal.close()
    os.close(lock)
    print(f"the log so far is in {os.path.basename(aside)}; grep both with: grep TASK_ID {LOG_NAME}*")
    return Verdict.PASSED
