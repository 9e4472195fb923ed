"""A run that outlives its executor: paused until it is in the log, its exit code written by its own parent."""

from __future__ import annotations

import errno
import os

from executor.errors import MachineError
from executor.system import run_lock
from executor.system.process import spawn
from executor.system.records import TYPE_CHECKING, Record
from executor.system.shell.bash_command import guarded_argv

if TYPE_CHECKING:
    from collections.abc import Mapping

# $1 is the exit file, the rest is the command. Standard input is the handshake: a line starts the command, end of file
# means that the executor died first. The traps keep the launcher alive to write the exit code; the command has none.
# Messages of the shell about a command's death ("Terminated") are dropped: stderr.log is for the command alone.
# 4 is the exit file, opened and filled with blanks before: neither a full disk nor a renamed project loses the code.
# $1 is relative to the working directory, which follows a rename; it is written too when another file is there now.
# 5 is the project's folder, locked. The command inherits neither 4 nor 5, but the lock of its run.
SCRIPT = """\
trap : HUP INT QUIT TERM
out=$1
shift
tell() {
  umask 077
  printf '%s\\n' "$1" >&4
  [ "$out" -ef /dev/fd/4 ] || [ -L "$out" ] || { [ -e "$out" ] && [ ! -f "$out" ]; } || printf '%s\\n' "$1" >"$out"
}
if IFS= read -r go; then :; else
  tell '{"ran": false}' 2>/dev/null
  exit 125
fi
exec 3>&2 2>/dev/null
(exec "$@" </dev/null 2>&3 3>&- 4>&- 5>&-)
code=$?
tell "{\\"exit_code\\": $code}"
exit "$code"
"""
BLANK = b" " * 64  # room for the launcher's one line
EXIT_NAME = "exit.json"
NOT_RELEASED = 125  # the launcher's exit code when nothing ran
EXIT, ROOT = 4, 5  # descriptors of the launcher alone


class PausedProcess(Record):
    """A launcher that waits: `go` is the write end of its handshake, `locked` is True when it holds its run's lock."""

    pid: int
    go: int
    locked: bool = False


def start_detached(argv: tuple[str, ...], env: Mapping[str, str], *, folder: str) -> int:
    """Start a run that no later executor adopts, its output in the run's folder, and return its pid."""
    stdin = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    return spawn(guarded_argv(argv), env, [stdin, *_outputs(folder)])


def start_paused(argv: tuple[str, ...], env: Mapping[str, str], *, folder: str, root: str = "") -> PausedProcess:
    """Start the launcher in a session of its own, its output in the run's folder; it waits for `release`.

    `root` is the project's folder, in which the command runs. MachineError when the exit code could not be kept.
    """
    reserve_exit_file(folder)
    locks = {run_lock.LOCK_FD: run_lock.acquire(folder), ROOT: run_lock.share_root(root) if root else -1}
    waiting, go = os.pipe2(os.O_CLOEXEC)
    out = os.path.join(os.path.relpath(folder, root) if root else folder, EXIT_NAME)
    actions = [
        (os.POSIX_SPAWN_DUP2, waiting, 0),
        *_outputs(folder),
        (os.POSIX_SPAWN_OPEN, EXIT, os.path.join(folder, EXIT_NAME), os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_DUP2, fd, at) for at, fd in locks.items() if fd >= 0),
    ]
    asked = guarded_argv(argv)
    try:
        pid = spawn(("/bin/sh", "-c", SCRIPT, "do-tasks-launcher", out, *asked), env, actions)
    except BaseException:
        os.close(go)
        raise
    finally:
        for fd in (waiting, *(fd for fd in locks.values() if fd >= 0)):
            os.close(fd)
    return PausedProcess(pid, go, locked=locks[run_lock.LOCK_FD] >= 0)


def reserve_exit_file(folder: str) -> None:
    """Create the exit file, filled with blanks: overwriting them later needs no free space on the disk."""
    path = os.path.join(folder, EXIT_NAME)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}; fix the permissions, then go on") from error
    try:
        _allocate(fd)
        os.write(fd, BLANK)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}; free some space, then go on") from error
    finally:
        os.close(fd)


def _allocate(fd: int) -> None:
    """Reserve the blocks of the file, where the file system can: a plain write may reserve them only later."""
    try:
        os.posix_fallocate(fd, 0, len(BLANK))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise


def _outputs(folder: str) -> list[tuple[int, int, str, int, int]]:
    """Return the file actions that send a run's output to its files: a pipe would end with this process."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    names = ((1, "stdout.log"), (2, "stderr.log"))
    return [(os.POSIX_SPAWN_OPEN, fd, f"{folder}/{name}", flags, 0o600) for fd, name in names]


def abandon(held: PausedProcess) -> None:
    """Close the handshake: the launcher ends without the command."""
    os.close(held.go)


def release(held: PausedProcess) -> None:
    """Let the launcher start the command; the death of a launcher is noticed later."""
    try:
        os.write(held.go, b"\n")
    except BrokenPipeError:
        return
    finally:
        os.close(held.go)
