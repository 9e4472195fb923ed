"""A run that outlives us: held until it is on record, its exit code kept by its own parent."""

from __future__ import annotations

import os

from executor.proc import spawn
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

# $1 is the exit file, the rest is the command. Its standard input is the handshake: one line lets it go, end of file
# means that we died first. The traps keep it alive to write the exit code while the command gets the default ones.
SCRIPT = """\
trap : HUP INT QUIT TERM
out=$1
shift
if IFS= read -r go; then :; else
  printf '{"ran": false}\\n' >"$out"
  exit 125
fi
"$@" </dev/null
code=$?
printf '{"exit_code": %d}\\n' "$code" >"$out"
exit "$code"
"""


class Held(Value):
    """A launcher that waits: `go` is our end of its handshake."""

    pid: int
    go: int


def hold(argv: tuple[str, ...], env: Mapping[str, str], *, folder: str) -> Held:
    """Start the launcher in a session of its own, its output in the run's folder, waiting to be let go."""
    waiting, go = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_DUP2, waiting, 0),
        (os.POSIX_SPAWN_OPEN, 1, f"{folder}/stdout.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, f"{folder}/stderr.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    try:
        pid = spawn(("/bin/sh", "-c", SCRIPT, "do-tasks-launcher", f"{folder}/exit.json", *argv), env, actions)
    except BaseException:
        os.close(go)
        raise
    finally:
        os.close(waiting)
    return Held(pid, go)


def let_go(held: Held) -> None:
    """Send the one line; a launcher that died before reads nothing and is found dead."""
    try:
        os.write(held.go, b"\n")
    except BrokenPipeError:
        return
    finally:
        os.close(held.go)
