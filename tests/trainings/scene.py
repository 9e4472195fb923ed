"""A project whose step 13 is a real training, driven through the real command line."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil

from tests.integration.projects import Project, finish

HERE = Path(__file__).resolve().parent
ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
SMALL = ["--width", "48", "--layers", "2", "--block", "32", "--warmup", "20"]
NEEDS_TORCH = "torch is not installed: pip install -c constraints.txt torch==2.13.0 -r requirements/demo.txt"
FIRST_LOSS = {"criterion": "It trains", "at": "start", "file": "training_logs/loss.txt"}
TITLE = "Train the student"


def has_torch():
    return importlib.util.find_spec("torch") is not None


class Scene(Project):
    """Step 13 trains in the background; step 14, when there is one, needs its first checkpoint."""

    def __init__(self, root):
        super().__init__(root)
        self.started = []
        for name in ("train.py", "mishaps.py"):
            shutil.copy(HERE / name, self.root / name)

    def define(self, *args, background=(), post=(), second=False, **main):
        """Write the plan; `args` are the training's, `main` more keys of its MAIN."""
        what = {} if "command" in main else {"script": "train.py"}
        usual = {"test": "none", "mode": "background", "timeout": 600, "success_criteria": [FIRST_LOSS]}
        step = {
            "slug": "training",
            "title": TITLE,
            "main": {**what, "args": [*SMALL, *args], **usual, **main},
            "background": list(background),
            "post_validation": list(post),
        }
        steps = {"s13": step, **({"s14": later_step()} if second else {})}
        return self.plan(settings={"python": sys.executable}, **steps)

    def start(self, *words, **how):
        process = super().start(*words, **how)
        self.started.append(process)
        return process

    # What it left

    def records(self, name):
        path = self.root / name
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def runs(self):
        """One entry for each time that the training's process began."""
        return self.records("runs.jsonl")

    def losses(self):
        """Every loss written for a step: more than one where a run went over it again."""
        found = {}
        for row in self.records("training_logs/metrics.jsonl"):
            for kind in ("loss", "val_loss"):
                if kind in row:
                    found.setdefault((row["step"], kind), set()).add(row[kind])
        return found

    def steps_done(self):
        return max((row["step"] for row in self.records("training_logs/metrics.jsonl")), default=0)

    def lines(self):
        """The log as objects, but for a last line that is being written."""
        path = self.root / ".task_execution.log"
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []

    def keys(self):
        """The alerts that were ever raised, in order."""
        return [line["key"] for line in self.events("AlertRaised")]

    def end(self):
        """The line that ended step 13, None while it goes on."""
        return next((line for line in self.lines() if line["event"] in ENDS and line["step"] == 13), None)

    def box(self, number=13):
        return next(line for line in self.spec.splitlines() if f"**STEP {number}**" in line)

    def job(self):
        """The task id of step 13."""
        return next(line["task_id"] for line in self.lines() if line["step"] == 13 and line["task_id"])

    def watch(self):
        """What the supervisor wrote last."""
        paths = sorted(self.root.glob(".do-tasks/jobs/task_13_*/watch.json"))
        return json.loads(paths[-1].read_text()) if paths else {}

    def supervisor(self):
        """The pid of the living supervisor, 0 when there is none."""
        pid = int(self.watch().get("pid") or 0)
        return pid if pid and lives(pid) else 0

    def trainer(self):
        """The pid of the newest training."""
        return self.runs()[-1]["pid"]

    def record(self, name, run="main.1"):
        [path] = self.root.glob(f".do-tasks/jobs/task_13_*/{run}/{name}")
        return path

    # What is done to it

    def hold_until(self, true, what, limit_s):
        """Wait, within bounds, and say on failure what there is."""
        wait_for(true, lambda: f"waited {limit_s} s for {what}\n{self.told()}", limit_s)

    def ended(self, limit_s=600):
        self.hold_until(lambda: self.end() and not self.supervisor(), "the end of step 13", limit_s)
        return self.end()

    def told(self):
        log = "\n".join(json.dumps(line)[:400] for line in self.lines()[-15:])
        errors = "\n".join(path.read_text()[-800:] for path in self.root.glob(".do-tasks/jobs/*/*/stderr.log"))
        ours = "\n".join(path.read_text()[-800:] for path in self.root.glob(".do-tasks/jobs/*/supervisor.log"))
        return f"{log}\n--- stderr\n{errors}\n--- supervisor\n{ours}\n--- watch\n{json.dumps(self.watch())[:3000]}"

    def living(self):
        """Processes that stand in the project's folder: executor, supervisor, launcher, training, all below."""
        return [process for process in psutil.process_iter() if folder_of(process) == str(self.root.resolve())]

    def close(self):
        """Leave nothing alive, however the test went."""
        for _ in range(3):
            for process in self.living():
                kill(process.pid)
            time.sleep(0.05)
        for process in self.started:
            finish(process)


def later_step():
    return {
        "slug": "judge",
        "title": "Judge the first checkpoint",
        "depends_on": [{"step": 13, "until": "first_checkpoint"}],
        "main": {"command": "ls checkpoints/step_*.pt >>judged.txt", "test": "none"},
    }


def wait_for(true, otherwise, limit_s=300):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.05)


def wall_s(line):
    """The time of a line of the log, seconds of the wall clock."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def folder_of(process):
    try:
        return process.cwd() if process.pid != os.getpid() else ""
    except psutil.Error:
        return ""


def lives(pid):
    """Tell whether a process is there; a zombie is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
