"""A process with its group: started in a session of its own, stopped by a sequence of signals."""

from __future__ import annotations

import errno
import os
import signal
import time
from _thread import allocate_lock

from executor.errors import MachineError
from executor.system import files, procfs, project_identity, run_processes
from executor.system.outcome import Verdict
from executor.system.output_tail import OutputTail
from executor.system.records import TYPE_CHECKING, Record
from executor.system.shell.bash_command import guarded_argv
from executor.system.signals import group_lives, reap_group, signal_group, signal_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from executor.system.run_processes import ProcessQuery
    from executor.system.run_records import Identity

StopSequence = tuple[tuple[int, float], ...]
GRACE_S = 2.0
STOP: StopSequence = ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5.0))
INTERRUPT: StopSequence = ((signal.SIGINT, GRACE_S), (signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5.0))
KILL: StopSequence = ((signal.SIGKILL, 5.0),)
DEFAULT_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ),
)
CHECK_OUTPUT = 64 * 1024**2
MOST_FILE_BYTES = 1 << 30  # of one file of a command whose stderr is a file
RESOURCE_ERRORS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class CannotStartError(MachineError):
    """The kernel cannot start this one program: it is missing, or not a program."""


class Command(Record):
    """A process to run: `token` is its DO_TASKS_RUN, `spill` the file for output beyond the tail.

    `limit_s` is in seconds, `max_output` in bytes. `errors` is a file for its stderr, which is else a part of its
    output.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    token: str
    limit_s: float
    parallel: bool = True
    spill: str = ""
    max_output: int = CHECK_OUTPUT
    errors: str = ""


class ProcessResult(Record):
    """The end of a process: `exit_code` is None when a signal ended it or it still lives, `signal` else 0.

    `stopped` are the pids outside its group that were stopped.
    """

    name: str
    verdict: Verdict
    exit_code: int | None = None
    signal: int = 0
    duration_s: float = 0.0
    output: bytes = b""
    output_file: str = ""
    reason: str = ""
    stopped: tuple[int, ...] = ()


class RunningProcess:
    """A process, its group, and the members that left the group; an `adopted` one is no child of this process."""

    def __init__(
        self,
        command: Command,
        pid: int,
        *,
        pipe: int = -1,
        adopted: Identity | None = None,
        age_s: float = 0.0,
    ) -> None:
        self.command = command
        self.pid = pid
        self.pipe = pipe
        self.output = OutputTail(command.spill)
        self.began = time.monotonic() - age_s
        self.status: int | None = None
        self.has_exited = False
        self.verdict: Verdict | None = None
        self.reason = ""
        self.stopped: set[int] = set()
        self._adopted = adopted
        self._members: dict[int, int] = {}
        self._sequence: StopSequence = ()
        self._next_at = 0.0
        try:
            self.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.pidfd = -1
            self.has_exited = True
        except OSError:  # an old kernel, a container's filter, no descriptor left: it is polled instead
            self.pidfd = -1

    def stop(self, verdict: Verdict, reason: str, sequence: StopSequence = STOP) -> None:
        """Begin to end the group; the first verdict given stays."""
        if self.verdict is None and not self.has_exited:
            self.verdict, self.reason = verdict, reason
        self._sequence, self._next_at = sequence, 0.0
        self.escalate()

    def escalate(self) -> bool:
        """Send the next signal of the stop sequence when it is due; return True when signals are left."""
        now = time.monotonic()
        if now < self._next_at:
            return True
        if not self._sequence:
            return False
        (number, grace), *rest = self._sequence
        self._sequence, self._next_at = tuple(rest), now + grace
        self._signal(number)
        return True

    @property
    def is_stopping(self) -> bool:
        """True once a stop sequence has begun."""
        return self._next_at > 0

    @property
    def has_given_up(self) -> bool:
        """True when the last signal and its grace have passed: a process that still lives sleeps in the kernel."""
        return self.is_stopping and not self._sequence and time.monotonic() >= self._next_at

    def bytes_written(self) -> int:
        """Return the number of bytes written so far, with those of a separate stderr file."""
        return self.output.size + files.size_of(self.command.errors)

    def deadline(self) -> float:
        """Return the monotonic time of the next signal, or of the time limit."""
        return self._next_at if self.is_stopping else self.began + self.command.limit_s

    def _signal(self, number: int) -> None:
        escaped = self._escaped()  # before the group ends: its descendants are not known by anything else afterwards
        signal_group(self.pid, number)
        for pid in escaped:
            self.stopped.add(pid)
            signal_process(pid, number)

    def reap(self) -> None:
        """Take the exit status of the leader when it has one."""
        if self._adopted is not None:
            self.has_exited = not procfs.is_alive(self._adopted)  # its pid may be another's by now
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.has_exited = True
            return
        if pid:
            self.status, self.has_exited = status, True

    def has_survivors(self) -> bool:
        """Return True when any process of the group, or that left the group, still lives."""
        reap_group(self.pid)
        return group_lives(self.pid) or bool(self._escaped())

    def _escaped(self) -> list[int]:
        """Return the members outside the group; /proc is only read when there may be any."""
        may_be = self._adopted is not None or (self.is_stopping if not self.has_exited else has_unknown_children())
        if not (may_be or self._members):
            return []
        self._members = run_processes.find_living(self._wanted(), self._members)
        return [pid for pid in self._members if procfs.process_group(pid) not in (self.pid, None)]

    def _wanted(self) -> ProcessQuery:
        root = project_identity.root_of(self.command.env)
        if self._adopted is not None:
            return run_processes.ProcessQuery(self.command.token, root, self.pid, self._adopted.start)
        return run_processes.ProcessQuery(self.command.token, root, 0 if self.has_exited else self.pid)

    def result(self, mask: Callable[[bytes], bytes] | None = None) -> ProcessResult:
        """Close the descriptors and return the result; `mask` keeps the length of an output that is cut."""
        self.output.close()
        _close(self.pidfd)
        _close(self.pipe)
        code, number = _decode(self.status)
        verdict = self.verdict or (Verdict.PASSED if code == 0 else Verdict.FAILED)
        return ProcessResult(
            name=self.command.name,
            verdict=verdict,
            exit_code=code,
            signal=number,
            duration_s=round(time.monotonic() - self.began, 3),
            output=self.output.masked(mask),
            output_file=self.output.file,
            reason=self.reason,
            stopped=tuple(sorted(self.stopped)),
        )


_started_children: set[int] = set()
_children_lock = allocate_lock()  # a child that another thread has just started is not an orphan to reap


def forget_child(pid: int) -> None:
    """Forget a process that this one started: it is wholly over."""
    _started_children.discard(pid)


def has_unknown_children() -> bool:
    """Return True when a child lives that this process did not start: an adopted orphan. Dead ones are reaped."""
    with _children_lock:
        kids = set() if _has_no_child() else procfs.children()
        if kids is None:
            return True
        return any(not _reap(pid) for pid in kids - _started_children)


def _has_no_child() -> bool:
    """Return True when this process has no child, in one call: the kernel's list costs forty times that."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _reap(pid: int) -> bool:
    """Reap a child if it is dead; return True when it is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _decode(status: int | None) -> tuple[int | None, int]:
    """Return the exit code and the signal of a wait status."""
    code = 0 if status is None else os.waitstatus_to_exitcode(status)
    return (None, -code) if code < 0 or status is None else (code, 0)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def spawn(argv: tuple[str, ...], env: Mapping[str, str], actions: Sequence[tuple[Any, ...]]) -> int:
    """Start a process in a session of its own, with default signals, and return its pid."""
    try:
        with _children_lock:
            pid = os.posix_spawn(
                argv[0], argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=DEFAULT_SIGNALS
            )
            _started_children.add(pid)
    except OSError as error:
        kind = MachineError if error.errno in RESOURCE_ERRORS else CannotStartError
        raise kind(f"cannot start {argv[0]}: {error.strerror}") from error
    return pid


def _stderr_action(command: Command, writing: int) -> tuple[Any, ...]:
    if not command.errors:
        return (os.POSIX_SPAWN_DUP2, writing, 2)
    return (os.POSIX_SPAWN_OPEN, 2, command.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def start(command: Command) -> RunningProcess:
    """Start a command with its output in a pipe to this process and an empty standard input."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    silent = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    actions = [silent, (os.POSIX_SPAWN_DUP2, writing, 1), _stderr_action(command, writing)]
    try:
        pid = spawn(guarded_argv(command.argv), {**command.env, "DO_TASKS_RUN": command.token}, actions)
    except MachineError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    if command.errors:
        _limit_file_size(pid)
    return RunningProcess(command, pid, pipe=reading)


def _limit_file_size(pid: int) -> None:
    """Limit the size of a file that a child writes: the loop that checks it may die before the child does."""
    import resource

    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MOST_FILE_BYTES, MOST_FILE_BYTES))
    except (OSError, AttributeError):  # it has ended already; macOS has no prlimit
        return
