"""A terminal of a person: a shell with a terminal of its own, that no process of a test is above."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

from tests.integration.projects import until

PATIENCE_S = 300
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
# It leaves us by forking twice, so that process 1 is above it, and ends by itself.
LEAVE = """\
import os, pty, select, sys, time
folder, patience_s, waits_for = sys.argv[1], float(sys.argv[2]), sys.argv[3]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.mkfifo(f"{folder}/typed")
typed = os.open(f"{folder}/typed", os.O_RDWR)
with open(f"{folder}/left", "w") as file:
    file.write(str(os.getpid()))
until = time.monotonic() + patience_s
while waits_for and not os.path.exists(waits_for) and time.monotonic() < until:
    time.sleep(0.05)
pid, screen = pty.fork()
if not pid:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
with open(f"{folder}/pid.new", "w") as file:
    file.write(f"{os.getpid()} {pid}")
os.rename(f"{folder}/pid.new", f"{folder}/pid")
with open(f"{folder}/shown", "wb", buffering=0) as shown:
    try:
        while ready := select.select([screen, typed], [], [], patience_s)[0]:
            if screen in ready:
                shown.write(os.read(screen, 65536))
            if typed in ready:
                os.write(screen, os.read(typed, 65536))
    except OSError:
        pass
os.kill(pid, 9)
"""


class Terminal:
    """A shell of a person in the folder of a project; open it before the brief is given.

    Where it waits for a file, it is a helper that has no terminal until `open`.
    """

    def __init__(self, folder, project, waits_for=""):
        self.folder = folder
        self.folder.mkdir()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)  # a test before this one may have set it
        argv = [sys.executable, "-c", LEAVE, str(folder), str(PATIENCE_S), str(waits_for)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(argv, env={**project.env(), "PS1": "$ "}, cwd=project.root, timeout=60, check=True, **quiet)
        self.waits_for = waits_for
        if waits_for:
            until((self.folder / "left").exists, "the helper never came")
        else:
            self.open()

    def open(self):
        if self.waits_for:
            self.waits_for.touch()
        until((self.folder / "pid").exists, "the terminal never came")
        until(lambda: self.shown, "the shell never asked")
        self.pids = [int(pid) for pid in (self.folder / "pid").read_text().split()]

    @property
    def shown(self):
        return (self.folder / "shown").read_bytes().decode(errors="replace").replace("\r\n", "\n")

    def type(self, line):
        with (self.folder / "typed").open("wb", buffering=0) as typed:
            typed.write(line.encode() + b"\n")

    def run(self, *words, answer=""):
        """Type a command line of ours, and the answer to its question; return exit code and what was shown since."""
        return self.line(f"{sys.executable} -m executor {' '.join(words)}", answer)

    def line(self, said, answer=""):
        """Type a line, and the answer to its question; return exit code and what was shown since."""
        before, ended = len(self.shown), f"ended {os.urandom(4).hex()}"
        self.type(f"{said}; echo {ended[:7]}''{ended[7:]} $?")
        if answer:
            until(lambda: "Type the number" in self.shown[before:] or ended in self.shown[before:], "it never asked")
            self.type(answer)
        until(lambda: f"{ended} " in self.shown[before:], "it never ended")
        shown, _, code = self.shown[before:].partition(f"{ended} ")
        return int(code.split()[0]), shown

    def close(self):
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
