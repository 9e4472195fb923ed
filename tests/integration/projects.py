"""A small project in a folder, driven through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")
PATIENCE_S = 120.0  # no verdict hangs on how fast the machine is
WITHOUT_RIGHTS = """\
import ctypes, os, sys
for capability in (1, 2, 3):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "executor", *sys.argv[1:]])
"""


class Done:
    """What a command line left: its exit code and both outputs as text."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Project:
    """A folder with SPEC.md and step_definitions.yaml; `environ` is added to what the command line is given."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.environ = {}

    def plan(self, *, settings=None, spec=None, **steps):
        """Define steps by keyword, s1={...}; SPEC.md gets an open box for each unless it is given."""
        body = {f"step_{name[1:]}_{step.pop('slug', 'one')}": step for name, step in steps.items()}
        if settings:
            body["settings"] = settings
        self.write("step_definitions.yaml", json.dumps(body))
        boxes = [f"- [ ] **STEP {name[1:]}**: Title {name[1:]}\n" for name in steps]
        self.write("SPEC.md", "".join(["# Plan\n\n", *boxes]) if spec is None else spec)
        return self

    def write(self, name, content, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def env(self):
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        kept["XDG_STATE_HOME"] = f"{self.root}.state"
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **self.environ}

    def start(self, *words, argv=(sys.executable, "-m", "executor"), **popen):
        """Start a command line and return its Popen; close it with `finish`."""
        usual = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*argv, *words], **{"cwd": self.root, "env": self.env(), **usual, **popen})

    def run(self, *words, **popen):
        return finish(self.start(*words, **popen))

    def lines(self):
        """The log as objects, every line of it."""
        path = self.root / ".task_execution.log"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def events(self, name, /, **fields):
        found = [line for line in self.lines() if line["event"] == name]
        return [line for line in found if all(line[key] == value for key, value in fields.items())]

    def event(self, name, /, **fields):
        (line,) = self.events(name, **fields)
        return line

    def check(self, name):
        return self.event("CheckFinished", name=name)

    @property
    def spec(self):
        return (self.root / "SPEC.md").read_bytes().decode()

    def text(self, name):
        return (self.root / name).read_text()

    def has(self, name):
        return (self.root / name).exists()

    def until_there(self, name):
        """Wait, within bounds, until a file has something in it."""
        path = self.root / name
        until(lambda: path.exists() and path.stat().st_size > 0, f"{name} was never written")

    def until_logged(self, name):
        until(lambda: self.events(name), f"{name} was never logged")

    def task_id(self):
        return self.lines()[-1]["task_id"]


def finish(process, timeout_s=120.0):
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))


def until(true, otherwise):
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


def alive(pid):
    """Tell whether a process lives; a zombie is dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def asked_to_stop(process, number=signal.SIGINT):
    """Signal the executor alone, then see it end."""
    process.send_signal(number)
    return finish(process)


def without_rights(project, *words):
    """Run as one whom modes bind, root too."""
    return project.run(*words, argv=(sys.executable, "-c", WITHOUT_RIGHTS))


def command(text, **more):
    """A MAIN that is one command with no test form."""
    return {"main": {"command": text, "test": "none", **more}}


def check(name, text, **more):
    return {"task": name, "command": text, **more}
