"""`log`: the events of a task, with --follow also new ones and the output of its job; --rotate starts a new file."""

from __future__ import annotations

import os
import sys
import time

from executor.cli import preconditions
from executor.cli.options import flag, option
from executor.cli.output.screen import Screen, print_json
from executor.cli.output.transcript import Transcript
from executor.cli.tasks import run_lock
from executor.errors import UsageError
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
from executor.system.text import clean_control, joined_lines

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
POLL_S = 0.2
ALONE_S = 2.0
NO_EXECUTOR = "no executor watches it; go on with: do-tasks --continue"
NO_SUPERVISOR = "no supervisor watches it; start one with: do-tasks monitor"
EARLIER = 4096  # bytes of a living job's earlier output that are shown
BLOCKS = 16  # of each stream between two looks at the log
LONGEST = 1 << 16


OPTIONS = (
    option("task_id", nargs="?", default="", help="default: the newest task"),
    flag("--follow", "wait for more until the task has its verdict; shows a job's output too"),
    flag("--json", "print the lines of the log as they are"),
    flag("--rotate", "rename the log and start a new one"),
)


def run(args: Namespace) -> Verdict:
    """Print the events of the task."""
    here = project.find_for(args.plan, args.project)
    if args.rotate:
        return _rotate(here)
    task_id = args.task_id or _newest(here.root)
    screen = Screen()
    show = print_json if args.json else Transcript(screen)
    tail = FileTail(path := here.path(LOG_NAME), file_tail.at_end(path), block_bytes=log_reader.MOST_LINE)
    lines = log_reader.task_lines(here.root, task_id, upto=tail.state["at"])
    if not lines:
        raise UsageError(f"the log has no task {clean_control(task_id)}; see: do-tasks list")
    for line in lines:
        show(line)
    if args.follow and not _has_ended(lines):
        output = _Output(here.root, task_id, screen) if runs.is_job(here.root, task_id) and not args.json else None
        return _follow(here, task_id, tail, show, output)
    return Verdict.PASSED


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
    """Show new lines of the task until its verdict, or until no process is left that would write one."""
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
    move = NO_SUPERVISOR if runs.is_job(here.root, task_id) else NO_EXECUTOR
    print(f"{clean_control(task_id)} has no verdict and {move}")
    return Verdict.WAITING


def _new_lines(tail: FileTail) -> Iterator[bytes]:
    """Yield the new lines of the log; none while it is missing, as for a moment of its rotation."""
    try:
        yield from tail.lines()
    except FileNotFoundError:
        return


def _is_alone(here: project.Project, task_id: str) -> bool:
    """Return True when no process will give the task its verdict."""
    if locks.holder_pid(run_lock(here.root)) or runs.supervisor(here.root, task_id):
        return False
    status = runs.newest_status(here.root, task_id).status
    return status != "alive" and not (status == "elsewhere" and runs.is_job(here.root, task_id))


def _has_ended(lines: list[dict[str, Any]]) -> bool:
    """Return True when the task has its verdict; only a new start after it would open the task again."""
    ended = False
    for line in lines:
        ended = (ended or _ended(line)) and line.get("event") not in ("TaskStarted", "TaskResumed")
    return ended


def _ended(line: dict[str, Any]) -> bool:
    if line.get("event") == "SpecMarked":
        return line.get("status") != "started"
    return line.get("event") in ("SpecTicked", "StepInterrupted")


class _Output:
    """The masked output of a job's newest MAIN run, in whole lines; after a restart that of the new run."""

    def __init__(self, root: str, task_id: str, screen: Screen) -> None:
        self._root, self._task_id, self._screen = root, task_id, screen
        self._masker = masker_here(root, os.environ, task_id)
        self._run = ""
        self._streams: tuple[_Stream, ...] = ()

    def show(self) -> None:
        """Print the new lines of both streams."""
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
        """Print the rest, also an unfinished last line."""
        for stream in self._streams:
            stream.show()
            stream.close()
        self._streams = ()


class _Stream:
    """A growing output of a run; of its present content the last `first_bytes` are shown."""

    def __init__(self, path: str, masker: Masker, screen: Screen, *, first_bytes: int) -> None:
        self._tail = FileTail(path, {}, first_bytes=first_bytes, flags=os.O_NOFOLLOW, compares=False)
        self._screen = screen
        self._mask = StreamMasker(masker)
        self._held = b""
        self._skips = False

    def show(self) -> None:
        """Print the new whole lines."""
        for _ in range(BLOCKS):
            try:
                for data in self._tail.appended():
                    self._feed(data)
            except OSError:  # not there yet, or no regular file
                return
            if not self._tail.state["behind"]:
                return

    def close(self) -> None:
        """Print the rest, also an unfinished last line."""
        self._print(self._mask.flush() + b"\n")

    def _feed(self, data: bytes) -> None:
        state = self._tail.state
        if [key for key in ("anew", "turned") if state.pop(key, False)]:  # truncated, or rotated
            self.close()
        self._skips = self._skips or state.pop("midway", False)  # the first line is not whole
        self._print(self._mask.feed(data))

    def _print(self, data: bytes) -> None:
        *whole, self._held = (self._held + data).split(b"\n")
        if len(self._held) > LONGEST:
            whole, self._held = [*whole, self._held], b""
        if self._skips and whole:
            whole, self._skips = whole[1:], False
        # A progress bar redraws its line: only its last state is kept and shown.
        self._held = self._held[self._held.rfind(b"\r", 0, -1) + 1 :]
        texts = [line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace") for line in whole]
        if shown := [
            f"       | {joined_lines(text)}" for text in texts if text.strip() and not text.startswith(PROGRESS_PREFIX)
        ]:
            if self._screen.live:
                self._screen.print(*shown)
            else:
                print("\n".join(shown), flush=True)  # a slow reader gets every line
        if moved := [text for text in texts if text.startswith(PROGRESS_PREFIX)]:
            self._show_bar(moved[-1])

    def _show_bar(self, text: str) -> None:
        """Draw a progress bar on a terminal, nothing in a pipe."""
        done, total = parse_progress(text) or (0.0, None)
        if total is not None:
            self._screen.bar(int(done), int(total))


def _rotate(here: project.Project) -> Verdict:
    """Rename the log under the lock of a run; readers of the log find it under its new name."""
    path = here.path(LOG_NAME)
    if not files.size_of(path):
        raise UsageError("there is no log to rotate")
    lock = locks.acquire(here.state("run.lock"))
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
    print(f"The log so far is {os.path.basename(aside)}. To search both: grep TASK_ID {LOG_NAME}*")
    return Verdict.PASSED
