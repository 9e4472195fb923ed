"""A run that outlives us: held until it is on record, its exit code kept by its own parent."""

from __future__ import annotations

import os

from executor.proc import spawn
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

# $1 is the exit file, the rest is the command. Its standard input is the handshake: one line lets it go, end of file
# means that we died first. The traps keep it alive to write the exit code while the command gets the default ones.
# What the shell itself says of a command's death ("Terminated") goes nowhere: stderr.log is the command's alone.
SCRIPT = """\
trap : HUP INT QUIT TERM
out=$1
shift
if IFS= read -r go; then :; else
  umask 077
  printf '{"ran": false}\\n' >"$out"
  exit 125
fi
exec 3>&2 2>/dev/null
(exec "$@" </dev/null 2>&3 3>&-)
code=$?
umask 077
printf '{"exit_code": %d}\\n' "$code" >"$out"
exit "$code"
"""


class Held(Value):
    """A launcher that waits: `go` is our end of its handshake."""

    pid: int
    go: int


def start(argv: tuple[str, ...], env: Mapping[str, str], *, folder: str) -> int:
    """Start a run that nobody adopts, its output in the run's folder, and return its pid."""
    stdin = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    return spawn(argv, env, [stdin, *_outputs(folder)])


def hold(argv: tuple[str, ...], env: Mapping[str, str], *, folder: str) -> Held:
    """Start the launcher in a session of its own, its output in the run's folder, waiting to be let go."""
    waiting, go = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, waiting, 0), *_outputs(folder)]
    try:
        pid = spawn(("/bin/sh", "-c", SCRIPT, "do-tasks-launcher", f"{folder}/exit.json", *argv), env, actions)
    except BaseException:
        os.close(go)
        raise
    finally:
        os.close(waiting)
    return Held(pid, go)


def _outputs(folder: str) -> list[tuple[int, int, str, int, int]]:
    """Return the file actions that send a run's output straight into its files: a pipe would die with us."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    names = ((1, "stdout.log"), (2, "stderr.log"))
    return [(os.POSIX_SPAWN_OPEN, fd, f"{folder}/{name}", flags, 0o600) for fd, name in names]


def leave(held: Held) -> None:
    """Let the launcher end without the command."""
    os.close(held.go)


def let_go(held: Held) -> None:
    """Send the one line; a launcher that died before reads nothing and is found dead."""
    try:
        os.write(held.go, b"\n")
    except BrokenPipeError:
        return
    finally:
        os.close(held.go)
