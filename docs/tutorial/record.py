"""Records the commands of first-plan.md as they run: an asciicast (version 2) that any player of such files shows.

    python docs/tutorial/record.py [docs/tutorial/first-plan.cast]

Files and commands are those of the page, so the page is proven each time. Needs `do-tasks` on the PATH; takes seconds.
"""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

PAGE = Path(__file__).with_name("first-plan.md")
WIDTH, HEIGHT = 110, 32
TYPED_S, LONGEST_S, LIMIT_S = 0.03, 0.8, 60.0
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {"markdown": "SPEC.md", "yaml": "step_definitions.yaml"}
WRONG = "sed -i 's/-eq 4/-eq 5/' step_definitions.yaml"
MENDED = ("sed -i 's/-eq 5/-eq 4/' step_definitions.yaml", "do-tasks why 2", "do-tasks --continue", "cat SPEC.md")
BY_HAND = 'do-tasks reopen 2 --by you --reason "to see it fail"'


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, text) of each block of the page, up to the mending, which is prose there."""
    return BLOCK.findall(page)


def commands(block: str) -> list[str]:
    """Return the commands of a block, without what is said of them."""
    lines = [re.sub(r"\s{2,}#.*$", "", line) for line in block.splitlines() if line.strip()]
    return [BY_HAND if line.startswith("do-tasks reopen 2") else line for line in lines]


class Recording:
    """A terminal in `folder`, what it showed and when; pauses are cut to `LONGEST_S`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.events: list[tuple[float, str, str]] = []

    def show(self, text: str, after: float) -> None:
        """Add what the terminal shows `after` seconds, as a terminal ends lines."""
        self.now += min(after, LONGEST_S)
        shown = text.replace(str(self.folder.parent), "~")
        self.events.append((round(self.now, 3), "o", shown))

    def run(self, command: str) -> str:
        """Type a command, run it in the folder, return what it printed; TimeoutError after `LIMIT_S`."""
        self.show("$ ", 0.4)
        for letter in command:
            self.show(letter, TYPED_S)
        self.show("\r\n", 0.2)
        return self.printed(command)

    def printed(self, command: str) -> str:
        """Run a command in a terminal of its own; show and return what it prints."""
        here, there = pty.openpty()
        ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        child = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=there,
            stderr=there,
            start_new_session=True,
        )
        os.close(there)
        said, until = "", time.monotonic() + LIMIT_S
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while True:
            began = time.monotonic()
            piece = read(here, until - began)
            if not piece:
                break
            self.show(decode(piece), time.monotonic() - began)
            said += self.events[-1][2]
        os.close(here)
        ended(child, command)
        return said


def ended(child: subprocess.Popen[bytes], command: str) -> None:
    """Wait for a command that closed its terminal, or end it; TimeoutError when it had to be ended."""
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(5)
        raise TimeoutError(f"{command!r} took more than {LIMIT_S:g} s") from None


def read(terminal: int, limit_s: float) -> bytes:
    """Return what comes next, nothing at the end."""
    if not select.select([terminal], [], [], max(0.0, limit_s))[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def record(page: str, folder: Path) -> Recording:
    """Run the page in an empty folder."""
    recording, task = Recording(folder), "task_1_..."
    for language, text in blocks(page):
        if language in FILES:
            (folder / FILES[language]).write_text(text)
            recording.run(f"cat {FILES[language]}")
            continue
        for command in commands(text):
            if command.startswith("mkdir"):
                continue
            if "--step 2; " in command:
                recording.run(WRONG)
            said = recording.run(command.replace("task_1_...", task))
            found = re.search(r"task_1_[0-9a-f]{8}", said)
            task = found[0] if found else task
    for command in MENDED:
        recording.run(command)
    return recording


def main(arguments: list[str]) -> int:
    """Write the cast; return the exit code."""
    target = Path(arguments[0]) if arguments else PAGE.with_suffix(".cast")
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above, "hello")
        folder.mkdir()
        recording = record(PAGE.read_text(encoding="utf-8"), folder)
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": "do-tasks: a first plan"}
    lines = [head, *recording.events]
    beside = target.with_suffix(".tmp")
    beside.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    beside.replace(target)
    print(f"wrote {target}: {recording.now:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
