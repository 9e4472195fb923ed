"""The only writer of .task_execution.log: one event, one line, one write."""

from __future__ import annotations

import json
import math
import os
import time
from _thread import RLock, _local, allocate_lock

from executor.errors import MachineError, remedy
from executor.store import deleted_log, log_witness
from executor.store.events import VERSION, LogRepaired, WarningRaised
from executor.system import safe_open, unsupported
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from executor.plan.step_ids import StepId
    from executor.store.events import Event
    from executor.store.log_processors import Processor

    Follower = Callable[[dict[str, Any]], None]

MOST_ADDED = 1 << 16  # characters that one processor adds to one line
_encode = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": "), default=str).encode


def timestamp(now_s: float) -> str:
    """Return UTC in RFC 3339 with milliseconds, for seconds since the epoch."""
    ms = int(now_s * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}Z"


class LogWriter:
    """An open log. Values of events are masked, the envelope never is; followers see what was written.

    Threads may write to it at the same time; no two lines mix.
    """

    def __init__(
        self,
        path: str,
        *,
        mask: Callable[[str], str] = str,
        followers: tuple[Follower, ...] = (),
        processors: tuple[Processor, ...] = (),
        plan: str = "",
    ) -> None:
        """`processors` add fields to events; what they add is masked too."""
        self.path = path
        self.plan = plan
        self._processors = processors
        self._mask = mask
        self._lock, self._syncing, self._syncs = RLock(), allocate_lock(), 0
        self._followers = followers
        self._own = _local()  # followers of one thread: they go with it, for its identifier is given to another
        self._fd = self._rotated = -1
        self._kept: list[bytes] | None = None
        self._open()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
            safe_open.refuse_irregular(self.path, os.fstat(self._fd).st_mode)
        except OSError as error:
            raise MachineError(f"cannot open {self.path}: {error.strerror}; {remedy(error)}") from error
        self._repair()

    def _follow_rotation(self) -> None:
        """Open the new file when the log was rotated or deleted: a supervisor outlives many logs."""
        try:
            moved = os.stat(self.path).st_ino != os.fstat(self._fd).st_ino
        except FileNotFoundError:
            moved = True
            deleted_log.write_again(self._fd, self.path)
        if moved:
            before = self._fd
            self._open()
            done, self._rotated = self._rotated, before  # a thread may still sync this file
            if done >= 0:
                os.close(done)

    def write(self, event: Event, *, task_id: str = "", step: StepId | None = None) -> dict[str, Any]:
        """Append the event as one line and return it as written; MachineError when the disk refuses."""
        with self._lock:
            line = self._line(event, task_id=task_id, step=step)
            self._follow_rotation()
            self._repair()
            self._append((escaped_json(_encode(line)) + "\n").encode("utf-8", "replace"))
            self.show(line)
            for message in unsupported.take_messages():
                self.write(WarningRaised(message=message), task_id=task_id, step=step)
        return line

    def follow(self, follower: Follower) -> None:
        """Call `follower` with each line from now on."""
        with self._lock:
            self._followers = (*self._followers, follower)

    def follow_here(self, follower: Follower) -> None:
        """Call `follower` with each line of this thread from now on."""
        self._own.followers = (*self._followers_here(), follower)

    def follow_only_here(self, follower: Follower) -> None:
        """Call a present follower only with lines of this thread from now on."""
        with self._lock:
            if follower in self._followers:
                self._followers = tuple(one for one in self._followers if one != follower)
                self.follow_here(follower)

    def show(self, line: dict[str, Any]) -> None:
        """Call the followers with a line of this process or of another."""
        with self._lock:
            for follower in (*self._followers, *self._followers_here()):
                follower(line)

    def _followers_here(self) -> tuple[Follower, ...]:
        followers: tuple[Follower, ...] = getattr(self._own, "followers", ())
        return followers

    def sync(self) -> None:
        """Make every line so far survive a power cut."""
        begun = self._syncs
        with self._syncing:
            if self._syncs > begun:  # the sync of another thread has included the lines of this one
                return
            self._syncs += 1
            try:
                unsupported.sync(self._fd, self.path, os.fdatasync)
            except OSError as error:
                self._syncs -= 1
                raise MachineError(f"cannot sync {self.path}: {error.strerror}; check the disk, then go on") from error

    def keep(self) -> None:
        """Keep a copy of each line that this writer writes from now on, to detect lines by others."""
        self._kept = []

    def kept(self) -> tuple[bytes, ...]:
        """Return the lines written here since `keep`, each without its newline."""
        return tuple(self._kept or ())

    def replace(self, parts: Iterable[bytes], late: Callable[[], bytes]) -> None:
        """Replace the log by these bytes, whole or not at all, then append the bytes that `late` returns."""
        path = os.path.realpath(self.path)
        fd = self._new(path, parts)
        os.close(self._fd)
        self._fd = fd
        self._write(late())
        self.sync()

    def _new(self, path: str, parts: Iterable[bytes]) -> int:
        beside, fd = f"{path}.tmp", -1
        try:
            if os.path.lexists(beside):
                os.unlink(beside)
            fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(fd, view) :]
            unsupported.sync(fd, path, os.fdatasync)
            os.rename(beside, path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            raise MachineError(
                f"cannot repair {path}: {error.strerror}; free some space or fix the permissions"
            ) from error
        return fd

    def close(self) -> None:
        """Close the log; nothing is buffered."""
        os.close(self._fd)
        if self._rotated >= 0:
            os.close(self._rotated)

    def _line(self, event: Event, *, task_id: str, step: StepId | None) -> dict[str, Any]:
        fields = event.asdict()
        line: dict[str, Any] = {
            "v": VERSION,
            "timestamp": timestamp(time.time()),
            "task_id": task_id,
            "step": step,
            "phase": fields.pop("phase"),
            "event": type(event).__name__,
            "status": str(fields.pop("status")),
        }
        if self.plan and step is not None:
            line["plan"] = self.plan
        for name, value in fields.items():
            line[name] = self._masked(value)
        return self._processed(line) if self._processors else line

    def _processed(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the line with the fields that processors add; a processor that fails is not called again."""
        for one in self._processors:
            try:
                added = self._masked(one.added(line))
                if len(_encode(added)) > MOST_ADDED:
                    raise ValueError(f"more than {MOST_ADDED} characters added to one line")  # noqa: TRY301
                line = {**line, **added}
            except Exception as error:  # noqa: BLE001 - code of the project must not cost the log a line
                self._processors = tuple(other for other in self._processors if other is not one)
                message = self._mask(
                    f"log processor {one.path}: {type(error).__name__}: {error}; left out from here on"
                )
                unsupported.note_once(one.path, message)
        return line

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value)
        if value is None or type(value) is int or type(value) is bool:
            return value
        if isinstance(value, dict):
            return {self._mask(str(key)): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._masked(inner) for inner in value]
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # NaN is not JSON: jq would refuse the line
        return value

    def _append(self, data: bytes) -> None:
        self._write(data)
        if self._kept is not None:
            self._kept += filter(None, data.split(b"\n"))

    def _write(self, data: bytes) -> None:
        log_witness.note(os.path.dirname(self.path), data)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            log_witness.retract(os.path.dirname(self.path), data)
            raise MachineError(f"cannot write {self.path}: {error.strerror}; nothing runs without its log") from error
        if written < len(data):
            log_witness.retract(os.path.dirname(self.path), data)
            self._repair()
            raise MachineError(
                f"cannot write {self.path}: the disk took {written} of {len(data)} bytes; free some space"
            )

    def _repair(self) -> None:
        """Close a torn last line and log the repair in the same write, so that neither is lost without the other."""
        size, torn = settled(self._fd)
        if not torn:
            return
        line = self._line(LogRepaired(size=size - _last_newline(self._fd, size)), task_id="", step=None)
        self._append((f"\n{_encode(line)}\n").encode("utf-8", "replace"))
        self.show(line)


def settled(fd: int, looks: int = 100) -> tuple[int, bool]:
    """Return a log's size in bytes with no write going on at its end, and whether its last line was cut short.

    A write appears page by page: half a line may be one that another process writes right now. Changing the mode
    (to the same value) waits for that write, as both lock the inode; a tail that is then unchanged has no writer.
    """
    size = -1
    for _ in range(looks):
        before, size = size, os.fstat(fd).st_size
        if not size or os.pread(fd, 1, size - 1) == b"\n":
            return size, False
        if size == before:
            return size, True
        _await_writers(fd)
    return size, False  # among so many writers another one repairs it


def settled_size(path: str) -> int:
    """Return `settled`'s size for a path, 0 for a log that cannot be opened."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return settled(fd)[0]
    finally:
        os.close(fd)


def _await_writers(fd: int) -> None:
    try:
        os.fchmod(fd, os.fstat(fd).st_mode & 0o7777)
    except OSError:
        time.sleep(0.01)  # the log of another user: read it again a little later


def _last_newline(fd: int, size: int, block: int = 65536) -> int:
    end = size
    while end > 0:
        start = max(0, end - block)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
