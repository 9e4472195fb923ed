"""The containment of this machine, found by a trial."""

from __future__ import annotations

import os

from executor.errors import MachineError
from executor.guard.mounts import Containment, contained_argv
from executor.system import files, process
from executor.system.interrupts import Interrupts
from executor.system.process_loop import ProcessLoop
from executor.system.text import clean_control

USUAL = ("/usr/bin", "/bin", "/usr/local/bin")
PROBE_S = 5.0
PROBE = "echo in >inside; echo in >/tmp/inside; (echo out >../outside) 2>/dev/null; exit 0"


def find_containment(mode: str, *, network: bool, path: str) -> Containment:
    """Return the containment that works here; `mode` is auto, required or off, `path` the PATH with bwrap.

    With mode `required` the caller must fail when the kind is none.
    """
    if mode == "off":
        return Containment(why="sandbox: off")
    program = _program(path)
    if not program:
        return Containment(why="bwrap is not installed; the package is called bubblewrap")
    tried = Containment("bubblewrap", network=network, program=program)
    problem = _problem(tried)
    return Containment(why=f"bwrap does not work here: {problem}") if problem else tried


def _program(path: str) -> str:
    """Return the path of bwrap, from the usual folders first: an agent may write to others."""
    folders = [*USUAL, *filter(os.path.isabs, path.split(os.pathsep))]
    found = (os.path.join(folder, "bwrap") for folder in folders)
    return next((file for file in found if os.path.isfile(file) and os.access(file, os.X_OK)), "")


def _problem(tried: Containment) -> str:
    """Return the reason why it contains no shell, empty when it works."""
    from tempfile import TemporaryDirectory

    try:
        with TemporaryDirectory(prefix="do-tasks-", ignore_cleanup_errors=True) as folder:
            return _trial(tried, os.path.realpath(folder))
    except OSError as error:
        return f"it cannot be tried: {error.strerror}"
    except MachineError as error:
        return str(error)


def _trial(tried: Containment, folder: str) -> str:
    root = files.private_folder(os.path.join(folder, "project"))
    scratch = os.path.join(root, files.STATE_FOLDER, "scratch")
    argv = contained_argv(tried, ("/bin/sh", "-c", PROBE), root=root, scratch=scratch, home="")
    output = _output(argv, token=f"sandbox/probe.{os.getpid()}")
    if os.path.exists(os.path.join(folder, "outside")):
        return "a write outside the project went through"
    within = (os.path.join(root, "inside"), os.path.join(scratch, "tmp", "inside"))
    return "" if all(map(os.path.exists, within)) else output or "it said nothing and ran nothing"


def _output(argv: tuple[str, ...], *, token: str) -> str:
    """Return the first line of output within the time limit."""
    loop = ProcessLoop(Interrupts())
    loop.add(process.start(process.Command(name="bwrap", argv=argv, env={}, token=token, limit_s=PROBE_S)))
    ended: list[process.ProcessResult] = []
    while not ended:
        ended = loop.turn()
    lines = clean_control(ended[0].output.decode("utf-8", "replace")).split("\n")
    return ended[0].reason or next(filter(None, lines), "")[:200]
