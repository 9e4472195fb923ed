"""`log`: what the log says of a task, live with --follow, a job's own output too; --rotate starts a new file."""

from __future__ import annotations

import json
import os
import sys
import time

from executor.cli import preconditions
from executor.cli.options import flag, option
from executor.cli.output.screen import Screen
from executor.cli.output.transcript import Transcript
from executor.errors import BusyError, UsageError
from executor.store import log_reader, project, runs
from executor.store.events import LogRotated
from executor.store.known_secrets import masker_here
from executor.store.log_writer import LogWriter
from executor.system import file_tail, files, locks
from executor.system.file_tail import FileTail
from executor.system.masking import Masker, StreamMasker
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME, PROGRESS_PREFIX, parse_progress
from executor.system.text import clean_control as safe
from executor.system.text import escaped_json
from executor.system.text import joined_lines as one_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
POLL_S = 0.2
ALONE_S = 2.0
ALONE = "no executor watches it; go on with: do-tasks --continue"
EARLIER = 4096  # bytes of a living job's output that are shown of what it wrote before
BLOCKS = 16  # of each stream between two looks at the log
LONGEST = 1 << 16


OPTIONS = (
    option("task_id", nargs="?", default="", help="default: the newest task"),
    flag("--follow", "wait for more until the task has its verdict; shows a job's output too"),
    flag("--json", "print the lines of the log as they are"),
    flag("--rotate", "rename the log and start a new one"),
)


def run(args: Namespace) -> Verdict:
    """Print the task's lines."""
    here = project.find(args.project)
    if args.rotate:
        return _rotate(here)
    task_id = args.task_id or _newest(here.root)
    screen = Screen()
    show = _raw if args.json else Transcript(screen)
    tail = FileTail(path := here.path(LOG_NAME), file_tail.at_end(path), block_bytes=log_reader.MOST_LINE)
    lines = log_reader.task_lines(here.root, task_id, upto=tail.state["at"])
    if not lines:
        raise UsageError(f"the log knows no task {safe(task_id)}; see: do-tasks list")
    for line in lines:
        show(line)
    if args.follow and not _has_ended(lines):
        output = _Output(here.root, task_id, screen) if runs.is_job(here.root, task_id) and not args.json else None
        return _follow(here, task_id, tail, show, output)
    return Verdict.PASSED


def _raw(line: dict[str, Any]) -> None:
    print(escaped_json(json.dumps(line, ensure_ascii=False)))
    sys.stdout.flush()


def _newest(root: str) -> str:
    """Return the task id of the last line that has one, read from the end."""
    for path in (os.path.join(root, LOG_NAME), *reversed(log_reader.rotated(root))):
        size = files.size_of(path)
        for block in (1 << 16, 1 << 20, 1 << 24):
            newest = ""
            for _, line in log_reader.lines(path, max(0, size - block)):
                newest = (log_reader.parse(line) or {}).get("task_id") or newest
            if newest:
                return newest
    raise UsageError("the log is empty; run something first: do-tasks --continue")


def _follow(here: project.Project, task_id: str, tail: FileTail, show: Any, output: _Output | None) -> Verdict:
    """Show new lines of the task as they come, until its verdict, or until nobody is left to write one."""
    alone_since = time.monotonic()
    while time.monotonic() - alone_since < ALONE_S:
        if not _is_alone(here, task_id):
            alone_since = time.monotonic()
        if output:
            output.show()
        for record in map(log_reader.parse, _new_lines(tail)):
            if record and record.get("task_id") == task_id:
                if output and _ended(record):
                    output.close()
                show(record)
                if _ended(record):
                    return Verdict.PASSED
        time.sleep(POLL_S)
    move = "no supervisor watches it; start one with: do-tasks monitor" if runs.is_job(here.root, task_id) else ALONE
    print(f"{safe(task_id)} has no verdict and {move}")
    return Verdict.WAITING


def _new_lines(tail: FileTail) -> Iterator[bytes]:
    """Yield the new lines of the log; none while it is missing, as for a moment of its rotation."""
    try:
        yield from tail.lines()
    except FileNotFoundError:
        return


def _is_alone(here: project.Project, task_id: str) -> bool:
    """Tell whether nobody is there who will give the task its verdict."""
    if locks.holder_pid(here.path(project.STATE_FOLDER, "run.lock")) or runs.supervisor(here.root, task_id):
        return False
    status = runs.look(here.root, task_id).status
    return status != "alive" and not (status == "elsewhere" and runs.is_job(here.root, task_id))


def _has_ended(lines: list[dict[str, Any]]) -> bool:
    """Tell whether the task has its verdict; what stands behind it, such as who was told, opens nothing again."""
    ended = False
    for line in lines:
        ended = (ended or _ended(line)) and line.get("event") not in ("TaskStarted", "TaskResumed")
    return ended


def _ended(line: dict[str, Any]) -> bool:
    if line.get("event") == "SpecMarked":
        return line.get("status") != "started"
    return line.get("event") in ("SpecTicked", "StepInterrupted")


class _Output:
    """What a job's newest run writes, both streams, masked, in whole lines; a run after a restart is followed too."""

    def __init__(self, root: str, task_id: str, screen: Screen) -> None:
        self._root, self._task_id, self._screen = root, task_id, screen
        self._masker = masker_here(root, os.environ, task_id)
        self._run = ""
        self._streams: tuple[_Stream, ...] = ()

    def show(self) -> None:
        """Print what is new."""
        newest = runs.newest_main(self._root, self._task_id)
        if newest != self._run:
            first_bytes = sys.maxsize if self._run else EARLIER
            self.close()
            folder = runs.run_folder(self._root, self._task_id, newest)
            paths = (os.path.join(folder, name) for name in ("stdout.log", "stderr.log"))
            self._streams = tuple(_Stream(path, self._masker, self._screen, first_bytes=first_bytes) for path in paths)
            self._run = newest
        for stream in self._streams:
            stream.show()

    def close(self) -> None:
        """Print the rest, a line that has no end too."""
        for stream in self._streams:
            stream.show()
            stream.close()
        self._streams = ()


class _Stream:
    """One growing output of a run; `first_bytes` of what it holds at the start are shown."""

    def __init__(self, path: str, masker: Masker, screen: Screen, *, first_bytes: int) -> None:
        self._tail = FileTail(path, {}, first_bytes=first_bytes, flags=os.O_NOFOLLOW, compares=False)
        self._screen = screen
        self._mask = StreamMasker(masker)
        self._held = b""
        self._skips = False

    def show(self) -> None:
        """Print the whole lines that are new."""
        for _ in range(BLOCKS):
            try:
                for data in self._tail.appended():
                    self._feed(data)
            except OSError:  # not there yet, or no regular file
                return
            if not self._tail.state["behind"]:
                return

    def close(self) -> None:
        """Print the rest, a line without an end too."""
        self._say(self._mask.flush() + b"\n")

    def _feed(self, data: bytes) -> None:
        state = self._tail.state
        if [key for key in ("anew", "turned") if state.pop(key, False)]:  # truncated, or rotated
            self.close()
        self._skips = self._skips or state.pop("midway", False)  # the first line is not whole
        self._say(self._mask.feed(data))

    def _say(self, data: bytes) -> None:
        *whole, self._held = (self._held + data).split(b"\n")
        if len(self._held) > LONGEST:
            whole, self._held = [*whole, self._held], b""
        if self._skips and whole:
            whole, self._skips = whole[1:], False
        # A bar redraws its line: only what stands there last is shown, and kept.
        self._held = self._held[self._held.rfind(b"\r", 0, -1) + 1 :]
        texts = [line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace") for line in whole]
        if shown := [
            f"       | {one_line(text)}" for text in texts if text.strip() and not text.startswith(PROGRESS_PREFIX)
        ]:
            if self._screen.live:
                self._screen.say(*shown)
            else:
                print("\n".join(shown), flush=True)  # a slow reader gets every line
        if moved := [text for text in texts if text.startswith(PROGRESS_PREFIX)]:
            self._show_bar(moved[-1])

    def _show_bar(self, text: str) -> None:
        """Draw progress as a bar on a terminal; a pipe gets none, as from a run."""
        done, total = parse_progress(text) or (0.0, None)
        if total is not None:
            self._screen.bar(int(done), int(total))


def _rotate(here: project.Project) -> Verdict:
    """Move the log aside under the lock of a run; the fold still reads it."""
    path = here.path(LOG_NAME)
    if not files.size_of(path):
        raise UsageError("there is no log to rotate")
    try:
        lock = locks.acquire(here.state("run.lock"))
    except BusyError as error:
        raise BusyError(f"{error}; the log is not rotated under a run") from error
    preconditions.refuse_while_agent_works(here.root, "log --rotate")
    number = max((int(name.rsplit(".", 1)[1]) for name in log_reader.rotated(here.root)), default=0) + 1
    aside = f"{path}.{number}"
    os.rename(path, aside)
    files.sync_folder(here.root)
    journal = LogWriter(path)
    journal.write(LogRotated(file=os.path.basename(aside)))
    journal.sync()
    journal.close()
    lock.release()
    print(f"the log so far is in {os.path.basename(aside)}; grep both with: grep TASK_ID {LOG_NAME}*")
    return Verdict.PASSED
